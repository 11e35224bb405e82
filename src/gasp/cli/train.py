"""``gasp train``: trains the networks that ship with the package, by their recipes."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

EPILOG = """\
DIR holds the sets osie, eyecrowd and scene, each with images/, images.csv and fixations.npz (and faces.csv).
A seventh of each set is held back by the hash of the picture's name and only used to report scores.

examples:
  gasp train default-saliency --data DIR -o glance.safetensors
  gasp train default-fusion --data DIR --saliency glance.safetensors -o fusion.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("recipe", choices=("default-saliency", "default-fusion"), help="what to train")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the picture sets")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="weights, .safetensors"
    )
    parser.add_argument(
        "--saliency", type=Path, metavar="FILE", help="weights of the saliency network, for default-fusion"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="fewer steps than the recipe, for a try")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the CPU")
    parser.add_argument("--float32", action="store_true", help="do not compute in bfloat16")


def run(options: argparse.Namespace) -> int:
    """Trains and writes the weights."""
    import torch

    from gasp.errors import UsageError
    from gasp.training.recipes import RECIPES

    if options.steps is not None and options.steps < 1:
        raise UsageError(f"--steps must be at least 1, not {options.steps}")
    if options.output.suffix != ".safetensors":
        raise UsageError(f"--output = {options.output}: weights are written as .safetensors")
    if options.saliency and options.recipe != "default-fusion":
        raise UsageError("--saliency only belongs to the recipe default-fusion")
    if options.threads:
        torch.set_num_threads(options.threads)
    if not options.quiet:
        # Scores at every checkpoint are the progress of a training run.
        logging.getLogger("gasp").setLevel(logging.INFO)
    extra = {"saliency": options.saliency} if options.recipe == "default-fusion" else {}
    path = RECIPES[options.recipe](
        options.data, options.output, steps=options.steps, half=not options.float32, **extra
    )
    print(path)
    return 0
