"""``gasp evaluate``: predictions against recorded fixations, beside baselines."""

from __future__ import annotations

import argparse
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gasp.cli import recordings

if TYPE_CHECKING:
    from gasp.evaluation.items import ItemSet
    from gasp.evaluation.results import Evaluation
    from gasp.evaluation.settings import EvaluationSettings
    from gasp.evaluation.systems import PipelineSystem

log = logging.getLogger(__name__)

EPILOG = """\
Without --system the packaged pipeline is run. Baselines always stand beside it: a centre prior, the mean density of
the other videos, marked faces where the dataset has them, and the other observers.

examples:
  gasp evaluate osie/ -o results
  gasp evaluate findwho/ -o results --rate 2 --ablation --sound-sensitivity
  gasp evaluate findwho/ -o results --system ours=results/maps --system theirs=other/maps --system default
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("folder", metavar="DATASET_FOLDER", help="videos or pictures with recorded fixations")
    parser.add_argument(
        "--dataset", metavar="NAME", help="how it is read: images, findwho, diem, coutrot1, ... (found out)"
    )
    parser.add_argument(
        "--split",
        metavar="WHICH",
        help="held-back (pictures' default), all (videos' default), or a list of videos",
    )
    parser.add_argument(
        "--videos",
        metavar="A,B,...",
        help="only these videos or pictures, for a look; others mean these others",
    )
    parser.add_argument(
        "--system", action="append", default=[], metavar="NAME=FOLDER",
        help="maps of `gasp predict --maps png|npy`; again for more; the name default alone is the pipeline",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder of the tables and the report"
    )
    scoring = parser.add_argument_group("scoring")
    scoring.add_argument(
        "--rate", type=float, metavar="HZ", help="scored frames per second of video (every frame)"
    )
    scoring.add_argument(
        "--size", type=int, default=640, metavar="PX",
        help="longer side at which maps are scored (640), 0 for the source's",
    )  # fmt: skip
    scoring.add_argument(
        "--blur", type=float, metavar="F", help="density kernel of pictures, a fraction of their width"
    )
    scoring.add_argument(
        "--kernel", choices=("authors", "2021"), default="authors",
        help="whose density maps of videos: the authors' (default), or those of 2021 where they differ (findwho)",
    )  # fmt: skip
    scoring.add_argument(
        "--gain-over",
        choices=("centre", "others"),
        default="centre",
        help="baseline of information gain (centre)",
    )
    scoring.add_argument(
        "--no-ceiling", action="store_true", help="leave out the other observers: much quicker"
    )
    scoring.add_argument("--draws", type=int, default=2000, metavar="N", help="of the bootstrap (2000)")
    scoring.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (0)")
    scoring.add_argument(
        "--workers", type=int, metavar="N", help="threads that score (number of CPUs, 8 at most)"
    )
    recordings.add_arguments(parser)
    asking = parser.add_argument_group("diagnostics of the pipeline")
    asking.add_argument("--ablation", action="store_true", help="also with each cue left out")
    asking.add_argument(
        "--sound-sensitivity", action="store_true",
        help="also with the sound muted, of another video, and shifted (three more runs)",
    )  # fmt: skip
    asking.add_argument(
        "--shift", type=float, default=2.0, metavar="S", help="seconds of the shifted sound (2)"
    )
    looking = parser.add_argument_group("prediction by the pipeline, as in gasp predict")
    looking.add_argument(
        "--pipeline",
        metavar="NAME|FILE",
        help="a preset (see gasp presets), or a YAML or JSON file (default)",
    )
    looking.add_argument("--cues", metavar="A,B,...", help="only these cues of the pipeline (all)")
    looking.add_argument("--faces", metavar="DETECTOR", help="another face detector, or none")
    looking.add_argument("--no-sound", action="store_true", help="do not use the sound")
    looking.add_argument("--every", type=int, metavar="N", help="predict every N-th frame (1)")
    looking.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    looking.add_argument("--batch", type=int, metavar="N", help="frames computed together (8)")
    looking.add_argument("--threads", type=int, metavar="N", help="threads of the CPU (PyTorch's choice)")
    parser.add_argument("--no-report", action="store_true", help="leave out report.html")
    parser.add_argument(
        "--overwrite", action="store_true", help="begin anew, and replace files that are in the way"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(options: argparse.Namespace) -> int:
    """Evaluates, prints the table and writes the files; exit status 1 when a video could not be read."""
    from gasp.cli.progress import progress_bar
    from gasp.errors import UsageError
    from gasp.evaluation.evaluate import evaluate
    from gasp.evaluation.folder import evaluation_folder, write_evaluation
    from gasp.evaluation.score_tables import plain
    from gasp.evaluation.systems import read_systems
    from gasp.runs.folders import check_output
    from gasp.work.interrupts import stop_politely

    settings = _settings(options)
    # Wrong names cost nothing; loading networks does.
    folders, wants_pipeline = read_systems(options.system)
    if (options.ablation or options.sound_sensitivity) and not wants_pipeline:
        raise UsageError("--ablation and --sound-sensitivity need the pipeline; add --system default")
    if options.output is not None:
        check_output(options.output)
    items = _items(options)
    pipeline = _pipeline(options) if wants_pipeline else None
    with ExitStack() as stack:
        stack.enter_context(stop_politely())
        work = None
        if options.output is not None:
            place = evaluation_folder(
                options.output, report=not options.no_report, overwrite=options.overwrite
            )
            work = stack.enter_context(place)
        with progress_bar(options.quiet) as report:
            evaluation = evaluate(
                items, pipeline=pipeline, folders=folders, settings=settings,
                work=work, anew=options.overwrite, progress=report,
            )  # fmt: skip
        if work is not None:
            write_evaluation(
                evaluation, options.output, work, report=not options.no_report, overwrite=options.overwrite
            )
    for sentence in evaluation.problems.sentences():
        log.warning("%s", sentence)
    if options.json:
        import json

        print(json.dumps(plain(evaluation), indent=2))
    elif not options.quiet:
        _print_tables(evaluation)
        if options.output is not None:
            print(f"written to {options.output}")
    return 1 if any("could not be read" in what for what in evaluation.problems.counts) else 0


def _settings(options: argparse.Namespace) -> EvaluationSettings:
    from gasp.errors import UsageError
    from gasp.evaluation.settings import EvaluationSettings

    if options.size < 0:
        raise UsageError(f"--size = {options.size}: pixels of the longer side, or 0 for the source's size")
    return EvaluationSettings(
        rate=options.rate,
        longest=options.size or None,
        gain_over=options.gain_over,
        draws=options.draws,
        seed=options.seed,
        workers=min(8, os.cpu_count() or 1) if options.workers is None else options.workers,
        ceiling=not options.no_ceiling,
        examples=options.output is not None and not options.no_report,
    )


def _items(options: argparse.Namespace) -> ItemSet:
    from gasp.evaluation.items import open_items

    items = open_items(
        options.folder,
        options.dataset,
        split=options.split,
        blur=options.blur,
        kernel=options.kernel,
        placement=recordings.placement(options),
    )
    if options.videos is None:
        return items
    return items.only(name.strip() for name in options.videos.split(",") if name.strip())


def _pipeline(options: argparse.Namespace) -> PipelineSystem:
    from gasp.config.settings import PredictSettings
    from gasp.evaluation.systems import PipelineSystem

    given = {
        name: getattr(options, name)
        for name in ("pipeline", "cues", "faces", "every", "device", "batch", "threads")
        if getattr(options, name) is not None
    }
    settings = PredictSettings.read({**given, "sound": not options.no_sound, "why": 0})
    return PipelineSystem.load(
        settings, ablation=options.ablation, sound=options.sound_sensitivity, shift=options.shift
    )


def _print_tables(evaluation: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table

    from gasp.evaluation.score_tables import notes, sections

    console = Console()
    if not console.is_terminal:
        console = Console(width=170)
    for title, head, rows in sections(evaluation):
        table = Table(title=title, title_justify="left", title_style="bold")
        for place, name in enumerate(head):
            table.add_column(name, justify="right" if place else "left", no_wrap=not place)
        for row in rows:
            # The interval goes below its mean, so that eight metrics fit on a screen.
            table.add_row(row[0], *(cell.replace(" [", "\n\\[") for cell in row[1:]))
        console.print(table)
    console.print(notes(evaluation), style="dim", highlight=False, markup=False)
