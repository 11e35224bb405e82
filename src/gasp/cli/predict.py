"""``gasp predict``: where people look in videos and pictures."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gasp.config.settings import PredictSettings
    from gasp.results.output_settings import OutputSettings
    from gasp.runs.inputs import InputResult

log = logging.getLogger(__name__)

EPILOG = """\
writes OUT/<name of the input>/ with overlay.mp4 (heat map and faces over the video), frames.csv, people.csv,
report.html and run.json. A second call goes on where an interrupted one stopped, and does nothing when the results
are there.

examples:
  gasp predict talk.mp4 -o results
  gasp predict *.mp4 -o results --grid --maps png
  gasp predict frames/ -o results --every 5 --no-sound
  gasp predict talk.mp4 -o results --pipeline gasp
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument(
        "inputs", nargs="+", metavar="VIDEO", help="video, picture, or folder of numbered pictures"
    )
    parser.add_argument(
        "-o", "--output", default="gasp-output", metavar="OUT", help="folder of results (%(default)s)"
    )
    results = parser.add_argument_group("results")
    results.add_argument("--grid", action="store_true", help="also grid.mp4: every cue beside the prediction")
    results.add_argument(
        "--maps", choices=("png", "npy", "zarr"), help="also the saliency map of every frame"
    )
    results.add_argument("--map-size", metavar="WxH", help="size of the maps (default: the network's)")
    results.add_argument("--no-overlay", action="store_true", help="leave out overlay.mp4, which saves time")
    results.add_argument(
        "--legend",
        choices=("why", "gates", "none"),
        default="why",
        help="what the overlay's bars show: contributions of the cues (%(default)s), gates of the network, or nothing",
    )
    results.add_argument("--no-report", action="store_true", help="leave out report.html")
    results.add_argument(
        "--sink", action="append", default=[], metavar="NAME", help="also a sink of another installed package"
    )
    results.add_argument("--overwrite", action="store_true", help="begin anew even where results are there")
    looking = parser.add_argument_group("prediction")
    looking.add_argument(
        "--pipeline",
        metavar="NAME|FILE",
        help="a preset (see gasp presets), or a YAML or JSON file (default)",
    )
    looking.add_argument("--cues", metavar="A,B,...", help="only these cues of the pipeline (all)")
    looking.add_argument(
        "--faces", metavar="DETECTOR", help="glance, yunet, s3fd, or none (what the pipeline says)"
    )
    looking.add_argument("--no-sound", action="store_true", help="do not use the sound")
    looking.add_argument("--every", type=int, metavar="N", help="predict every N-th frame (1)")
    looking.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    looking.add_argument(
        "--precision",
        metavar="NAME",
        help="float32 (default), bfloat16, or float16, which are quicker on a GPU",
    )
    looking.add_argument("--batch", type=int, metavar="N", help="frames computed together (8)")
    looking.add_argument("--threads", type=int, metavar="N", help="threads of the CPU (PyTorch's choice)")
    looking.add_argument(
        "--piece", type=int, metavar="N", help="frames after which an interrupted run can go on (chosen)"
    )
    looking.add_argument("--seed", type=int, metavar="N", help="of random numbers (0)")
    looking.add_argument(
        "--why",
        type=float,
        metavar="SECONDS",
        help="between two looks at what each cue contributes (2); 0: contributions are left out, which saves time, and "
        "is the default for published fusion networks",
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(options: argparse.Namespace) -> int:
    """Predicts every input; exit status 1 when one of them could not be."""
    from gasp.cli.progress import progress_bar
    from gasp.runs.inputs import predict_inputs
    from gasp.work.interrupts import stop_politely

    settings, outputs = read_options(options)
    said = say_result if not options.json and not options.quiet else _say_nothing
    with stop_politely(), progress_bar(options.quiet) as report:
        results = predict_inputs(
            options.inputs, Path(options.output), settings, outputs,
            overwrite=options.overwrite, report=report, said=said,
        )  # fmt: skip
    if options.json:
        print(json.dumps([result.plain() for result in results], indent=2))
    return 1 if any(result.error for result in results) else 0


def read_options(options: argparse.Namespace) -> tuple[PredictSettings, OutputSettings]:
    """Settings and wanted results from the command line. Raises :class:`gasp.errors.UsageError`."""
    from gasp.config.settings import PredictSettings
    from gasp.errors import UsageError
    from gasp.results.output_settings import OutputSettings
    from gasp.results.sink import check_sinks

    check_sinks(options.sink)
    given = {
        name: getattr(options, name)
        for name in (
            "pipeline",
            "cues",
            "faces",
            "every",
            "device",
            "precision",
            "batch",
            "threads",
            "seed",
            "piece",
            "why",
        )
        if getattr(options, name) is not None
    }
    settings = PredictSettings.read({**given, "sound": not options.no_sound})
    outputs = OutputSettings(
        overlay=not options.no_overlay,
        legend=options.legend,
        grid=options.grid,
        maps=options.maps,
        map_size=_map_size(options.map_size),
        report=not options.no_report,
        sinks=tuple(dict.fromkeys(options.sink)),
    )
    if outputs.map_size and not outputs.maps:
        raise UsageError("--map-size is the size of the maps of --maps; add --maps png, npy or zarr")
    return settings, outputs


def _say_nothing(_result: InputResult) -> None:
    """Nobody wants to know."""


def say_result(result: InputResult) -> None:
    """Says in a line how predicting an input went."""
    summary = result.summary
    if summary is None:
        return  # its error was logged
    if summary.unchanged:
        print(f"{result.source}: nothing to do, the results are in {summary.folder}")
        return
    frames = f"{summary.done} frame{'' if summary.done == 1 else 's'}"
    troubles = [f"{count} x {event}" for event, count in summary.events.items()]
    if summary.skipped:
        troubles.append(f"damaged or missing pictures: {summary.skipped}")
    print(f"{result.source}: {frames} in {summary.folder}" + "".join(f"; {trouble}" for trouble in troubles))


def _map_size(text: str | None) -> tuple[int, int] | None:
    """(width, height)."""
    from gasp.config.sizes import read_size
    from gasp.results.output_settings import LARGEST_MAP

    if text is None:
        return None
    height, width = read_size(text, "--map-size", LARGEST_MAP)
    return width, height
