"""``gasp presets``: lists what can be run by name, and shows what it consists of."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = "The YAML of `gasp presets show PIPELINE` is a file for `gasp predict --pipeline FILE`."
    parser.add_argument("--json", action="store_true", help="print as JSON (the list: of pipelines)")
    parser.add_argument("--all", action="store_true", help="list the presets of 2021, too")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("show", help="print one preset, as YAML")
    show.add_argument("name", metavar="NAME", help="a pipeline, a recipe, or a preset of 2021")
    # Left alone where it is not given, so that it does not undo the same option before `show`.
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print as JSON")


def run(options: argparse.Namespace) -> int:
    """Lists all, or shows one."""
    from gasp.config.presets import PRESETS, preset

    if options.action == "show":
        _show(options.name, options.json)
        return 0
    configs = [preset(name) for name in PRESETS]
    if options.json:
        print(json.dumps([config.model_dump(mode="json") for config in configs], indent=2))
        return 0
    _list("pipelines, for `gasp predict --pipeline NAME`", {one.name: one.title for one in configs})
    _list_training(everything=options.all)
    return 0


def _list_training(*, everything: bool) -> None:
    from gasp.config.presets2021 import find_preset, inference_presets, training_presets
    from gasp.config.recipes import TITLES

    _list("recipes of the packaged weights, for `gasp train NAME`", TITLES)
    training, inference = training_presets(), inference_presets()
    if not everything:
        print(
            f"\nof 2021: {len(training)} presets for training (gasp train, gasp_train) and {len(inference)} for "
            "inference (gasp_infer); --all lists them"
        )
        return
    for title, names in (
        ("of 2021, for `gasp train NAME` and `gasp_train`", training),
        ("of 2021, for `gasp_infer`", inference),
    ):
        presets = {name: find_preset(name) or {} for name in names}
        _list(
            title, {name: found.get("config_info", {}).get("summary", "") for name, found in presets.items()}
        )


def _list(title: str, described: dict[str, str]) -> None:
    width = max(map(len, described))
    print(title if title.startswith("pipelines") else f"\n{title}")
    for name, what in described.items():
        print(f"  {name:{width}}  {what}".rstrip())


def _show(name: str, as_json: bool) -> None:
    from gasp.config.presets import PRESETS, preset
    from gasp.config.presets2021 import find_preset, inference_presets, training_presets
    from gasp.config.recipes import recipe_presets
    from gasp.errors import UsageError
    from gasp.naming import nearest

    plain = find_preset(name) or recipe_presets().get(name)
    if plain is not None:
        _show_plain(plain, as_json)
    elif name in PRESETS:
        config = preset(name)
        print(json.dumps(config.model_dump(mode="json"), indent=2) if as_json else config.to_yaml().rstrip())
    else:
        known = [*PRESETS, *recipe_presets(), *training_presets(), *inference_presets()]
        raise UsageError(f"there is no preset {name!r}{nearest(name, known, most=4)}")


def _show_plain(preset: dict[str, Any], as_json: bool) -> None:
    """Prints a preset of 2021, or a recipe."""
    import yaml

    text = json.dumps(preset, indent=4) if as_json else yaml.safe_dump(preset, sort_keys=False, width=100)
    print(text.rstrip())
