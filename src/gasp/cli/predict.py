"""``gasp predict``: where people look in videos and pictures."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gasp.config.settings import PredictSettings
    from gasp.results.output_settings import OutputSettings
    from gasp.runs.run import RunSummary

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
    looking.add_argument("--seed", type=int, metavar="N", help="of random numbers (0)")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(options: argparse.Namespace) -> int:
    """Predicts every input; exit status 1 when one of them could not be."""
    settings, outputs = read_options(options)
    return predict_inputs(
        options.inputs, Path(options.output), settings, outputs,
        overwrite=options.overwrite, quiet=options.quiet, as_json=options.json,
    )  # fmt: skip


def read_options(options: argparse.Namespace) -> tuple[PredictSettings, OutputSettings]:
    """Settings and wanted results from the command line. Raises :class:`gasp.errors.UsageError`."""
    from gasp.config.settings import PredictSettings
    from gasp.errors import UsageError
    from gasp.results.output_settings import OutputSettings
    from gasp.results.sink import check_sinks

    check_sinks(options.sink)
    given = {
        name: getattr(options, name)
        for name in ("pipeline", "cues", "faces", "every", "device", "precision", "batch", "threads", "seed")
        if getattr(options, name) is not None
    }
    settings = PredictSettings.read({**given, "sound": not options.no_sound})
    outputs = OutputSettings(
        overlay=not options.no_overlay,
        grid=options.grid,
        maps=options.maps,
        map_size=_read_size(options.map_size),
        report=not options.no_report,
        sinks=tuple(dict.fromkeys(options.sink)),
    )
    if outputs.map_size and not outputs.maps:
        raise UsageError("--map-size is the size of the maps of --maps; add --maps png, npy or zarr")
    return settings, outputs


def predict_inputs(
    inputs: Sequence[str], out: Path, settings: PredictSettings, outputs: OutputSettings,
    *, overwrite: bool = False, quiet: bool = False, as_json: bool = False,
) -> int:  # fmt: skip
    """Predicts one input after another; one that fails is named, the others are still done."""
    from gasp.errors import GaspError, InputError, OutputError
    from gasp.pipeline.pipeline import Networks
    from gasp.runs.folders import choose_folders

    networks = Networks.load(settings)
    check_output(out)
    names = choose_folders(inputs, out)
    done: list[dict[str, Any]] = []
    with stop_politely():
        for path, name in zip(inputs, names, strict=True):
            try:
                summary = _predict_one(path, out, name, settings, outputs, networks, overwrite, quiet)
            except (InputError, OutputError) as error:
                log.error("%s", error)
                done.append({"source": path, "error": str(error)})
            except GaspError:
                raise
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"stopped; what was done of {path} is in {out / name}, and the same command goes on from there"
                ) from None
            else:
                done.append(summary.plain())
                if not as_json and not quiet:
                    _say(summary)
    if as_json:
        print(json.dumps(done, indent=2))
    return 1 if any("error" in entry for entry in done) else 0


def _predict_one(
    path: str, out: Path, name: str, settings: PredictSettings, outputs: OutputSettings,
    networks: Any, overwrite: bool, quiet: bool,
) -> RunSummary:  # fmt: skip
    from gasp.runs.run import run_source
    from gasp.video import open_source

    with open_source(Path(path)) as source, _progress(Path(path).name or path, quiet) as report:
        return run_source(
            source, out, settings, outputs, networks=networks, name=name, overwrite=overwrite, report=report
        )


def _say(summary: RunSummary) -> None:
    frames = f"{summary.done} frame{'' if summary.done == 1 else 's'}"
    if summary.unchanged:
        print(f"{summary.source}: nothing to do, the results are in {summary.folder}")
        return
    troubles = [f"{count} x {event}" for event, count in summary.events.items()]
    if summary.skipped:
        troubles.append(f"damaged or missing pictures: {summary.skipped}")
    print(f"{summary.source}: {frames} in {summary.folder}" + "".join(f"; {trouble}" for trouble in troubles))


def _read_size(text: str | None) -> tuple[int, int] | None:
    from gasp.errors import UsageError

    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--map-size = {text!r}: write width x height, for example 640x360")
    return int(width), int(height)


def check_output(out: Path) -> None:
    """Says at once, not after the first video, that nothing can be written."""
    from gasp.errors import OutputError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error.strerror or error}.") from error
    if not os.access(out, os.W_OK):
        raise OutputError(f"{out} cannot be written: permission denied.")


@contextmanager
def stop_politely() -> Iterator[None]:
    """A request to end (SIGTERM) is treated like Ctrl-C: results so far are kept."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        # Not in the main thread: whoever runs us there deals with signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(title: str, quiet: bool) -> Iterator[Any]:
    """A bar on standard error: frames, frames per second, time left."""
    if quiet:
        yield lambda done, expected: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(title, total=None, rate="")

        def report(done: int, expected: int | None) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed:.1f} frames/s" if speed else ""
            progress.update(task, completed=done, total=max(done, expected) if expected else None, rate=rate)

        yield report
