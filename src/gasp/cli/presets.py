"""``gasp presets``: lists the pipelines there are by name, and shows what they consist of."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = "The YAML of `gasp presets show NAME` is a file for `gasp predict --pipeline FILE`."
    parser.add_argument("--json", action="store_true", help="print as JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("show", help="print one preset, as YAML")
    show.add_argument("name", metavar="NAME", help="a name of `gasp presets`, or a preset of 2021")
    # Left alone where it is not given, so that it does not undo the same option before `show`.
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print as JSON")


def run(options: argparse.Namespace) -> int:
    """Lists all, or shows one."""
    from gasp.config.presets import PRESETS, preset
    from gasp.config.presets2021 import find_preset

    if options.action == "show":
        if (plain := find_preset(options.name)) is not None:
            _show_plain(plain, options.json)
            return 0
        config = preset(options.name)
        print(
            json.dumps(config.model_dump(mode="json"), indent=2)
            if options.json
            else config.to_yaml().rstrip()
        )
        return 0
    configs = [preset(name) for name in PRESETS]
    if options.json:
        print(json.dumps([config.model_dump(mode="json") for config in configs], indent=2))
        return 0
    width = max(len(config.name) for config in configs)
    for config in configs:
        print(f"{config.name:{width}}  {config.title}")
    return 0


def _show_plain(preset: dict[str, Any], as_json: bool) -> None:
    """Prints a preset of 2021."""
    import yaml

    text = json.dumps(preset, indent=4) if as_json else yaml.safe_dump(preset, sort_keys=False, width=100)
    print(text.rstrip())
