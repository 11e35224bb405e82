"""``gasp demo``: predicts the clip that ships with the package and says what it made."""

from __future__ import annotations

import argparse
from pathlib import Path

MADE = {
    "overlay.mp4": "the clip with the predicted heat map, faces and focus, with sound",
    "grid.mp4": "every cue beside the prediction",
    "report.html": "attention and cues over time, open it in a browser",
    "frames.csv": "one row per frame: focus, entropy, contributions of the cues",
    "people.csv": "one row per face and frame: place, share of attention, speaking",
    "run.json": "settings, versions, weights and timing",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "-o", "--output", default="demo-output", metavar="OUT", help="folder of results (%(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="begin anew even where results are there")


def run(options: argparse.Namespace) -> int:
    """Runs the whole way on the clip."""
    from gasp.cli.predict import say_result
    from gasp.cli.progress import progress_bar
    from gasp.config.settings import PredictSettings
    from gasp.demo import clip_path
    from gasp.results.output_settings import OutputSettings
    from gasp.runs.folders import choose_folders
    from gasp.runs.inputs import predict_inputs
    from gasp.work.interrupts import stop_politely

    clip, out = clip_path(), Path(options.output)
    [name] = choose_folders([clip], out)
    with stop_politely(), progress_bar(options.quiet) as report:
        [result] = predict_inputs(
            [str(clip)], out, PredictSettings(), OutputSettings(grid=True),
            overwrite=options.overwrite, report=report,
        )  # fmt: skip
    if result.error is not None:
        return 1
    if options.quiet:
        return 0
    say_result(result)
    folder = out / name
    print(f"\nIn {folder.resolve()}:")
    for name, what in MADE.items():
        print(f"  {name:12s} {what}")
    return 0
