"""``gasp live``: where people look, while it happens."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gasp.config.settings import PredictSettings
    from gasp.pipeline.focus import SteadyFocus
    from gasp.pipeline.live import Live, LiveResult
    from gasp.pipeline.live_statistics import Statistics
    from gasp.pipeline.predictor import Predictor
    from gasp.video.live import Capture, CaptureSettings, Feed

    Consumer = Callable[[LiveResult], None]

log = logging.getLogger(__name__)

EPILOG = """\
SOURCE is the number of a camera (0), its device (/dev/video0), the address of a stream (rtsp://, http://, ...), the
screen (screen, or screen:X,Y,WIDTHxHEIGHT), a named pipe, or a video file, which is played at its own speed. A stream
that is lost is opened again. Ctrl-C ends; in the window q or Escape ends and the space bar pauses.

examples:
  gasp live 0
  gasp live rtsp://camera.local/stream --headless --json
  gasp live talk.mp4 --record results
  gasp live talk.mp4 --benchmark --seconds 30
"""

STATUS_EVERY = 1.0
"""Seconds between two status lines on a terminal; elsewhere ten times as many."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("source", metavar="SOURCE", help="camera, stream, screen, pipe or file")
    shown = parser.add_argument_group("what is shown and kept")
    shown.add_argument("--headless", action="store_true", help="no window")
    shown.add_argument(
        "--legend", choices=("why", "gates", "none"), default="why", help="bars in the window (why)"
    )
    shown.add_argument(
        "--record", metavar="OUT", help="also write a folder of results into OUT, as gasp predict does"
    )
    shown.add_argument(
        "--maps", choices=("png", "npy", "zarr"), help="of --record: also the map of every frame"
    )
    shown.add_argument("--json", action="store_true", help="print a line of JSON per result")
    shown.add_argument("--lsl", action="store_true", help="also streams of the Lab Streaming Layer")
    shown.add_argument("--benchmark", action="store_true", help="headless; measure, and print how it kept up")
    shown.add_argument("--seconds", type=float, metavar="N", help="end after so many seconds")
    steady = parser.add_argument_group("steady focus, for robots (off)")
    steady.add_argument("--hysteresis", type=float, default=0.0, metavar="VALUE",
                        help="by which a new place must beat the old one (0; the map is in 0..1)")  # fmt: skip
    steady.add_argument(
        "--hold", type=float, default=0.0, metavar="SECONDS", help="for which a place stays (0)"
    )
    steady.add_argument(
        "--speed", type=float, metavar="WIDTHS", help="of the picture per second at most (unbounded)"
    )
    source = parser.add_argument_group("source")
    source.add_argument("--size", metavar="WxH", help="picture size to ask a camera for")
    source.add_argument("--rate", type=float, metavar="FPS", help="rate to ask a camera or the screen for")
    source.add_argument("--microphone", metavar="NAME", default="", help="sound device, such as default")
    source.add_argument("--no-sound", action="store_true", help="do not use the sound")
    source.add_argument(
        "--policy",
        choices=("newest", "every"),
        help="of frames that come too fast, drop the older ones, or make them wait (newest; for files: every)",
    )
    source.add_argument("--loop", action="store_true", help="begin a file anew at its end")
    source.add_argument(
        "--pace", type=float, default=1.0, metavar="X", help="speed of a file (1); 0: unbounded"
    )
    source.add_argument("--stall", type=float, default=5.0, metavar="SECONDS",
                        help="without a new frame, after which a source counts as lost (5)")  # fmt: skip
    source.add_argument("--freeze", type=float, default=0.0, metavar="SECONDS",
                        help="of the very same picture, after which it does (0: never)")  # fmt: skip
    source.add_argument("--no-reconnect", action="store_true", help="end when the source is lost")
    looking = parser.add_argument_group("prediction")
    looking.add_argument(
        "--pipeline", metavar="NAME|FILE", help="a preset (see gasp presets), or a file (default)"
    )
    looking.add_argument("--cues", metavar="A,B,...", help="only these cues of the pipeline (all)")
    looking.add_argument(
        "--faces", metavar="DETECTOR", help="glance, yunet, s3fd, or none (what the pipeline says)"
    )
    looking.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    looking.add_argument("--precision", metavar="NAME", help="float32 (default), bfloat16, or float16")
    looking.add_argument("--threads", type=int, metavar="N", help="threads of the CPU (half of the cores)")
    looking.add_argument("--why", type=float, metavar="SECONDS",
                         help="between two looks at what each cue contributes (2); 0: never")  # fmt: skip
    looking.add_argument("--budget", type=float, default=0.2, metavar="SECONDS",
                         help="from a frame to its result, beyond which work is left out (0.2); 0: never")  # fmt: skip
    looking.add_argument("--update", type=int, default=1, metavar="K",
                         help="the packaged network looks at every K-th frame (1)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Predicts until the source or the user ends it."""
    from gasp.pipeline.live import Live, LiveSettings, warm_up
    from gasp.pipeline.live_statistics import Statistics
    from gasp.pipeline.predictor import Predictor
    from gasp.video.live import Capture
    from gasp.work.interrupts import stop_politely, told_to_end

    address, capture, settings, lively = read_options(options)
    predictor = Predictor.load(settings)
    warm_up(predictor)
    statistics = Statistics(None if options.benchmark else 500)
    with stop_politely():
        feed = Capture(address, capture).open()
        alone = _time_alone(feed, predictor) if options.benchmark else 0.0
        live = Live(feed, predictor, LiveSettings(*lively))
        try:
            # Ctrl-C is how a live run ends: it stops and keeps what there is.
            with told_to_end(live.stop):
                return _predict(options, feed, live, predictor, statistics, alone)
        finally:
            live.close()


def read_options(
    options: argparse.Namespace,
) -> tuple[Any, CaptureSettings, PredictSettings, tuple[float, int]]:
    """Address, how it is taken, settings, and (budget, update). Raises :class:`~gasp.errors.UsageError`."""
    from gasp.config.settings import PredictSettings
    from gasp.config.sizes import read_size
    from gasp.errors import UsageError
    from gasp.results.output_settings import LARGEST_MAP
    from gasp.video.live import CaptureSettings, read_address

    for name in ("stall", "freeze", "pace", "budget", "seconds", "rate", "hysteresis", "hold", "speed"):
        value = getattr(options, name)
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"--{name} must be 0 or more, not {value:g}")
    if options.update < 1:
        raise UsageError(f"--update must be at least 1, not {options.update}")
    if options.hysteresis >= 1 or options.speed == 0:
        raise UsageError("--hysteresis must be below 1, and --speed above 0")
    if options.maps and not options.record:
        raise UsageError("--maps is kept in the folder of --record; add --record OUT")
    given = {
        name: getattr(options, name)
        for name in ("pipeline", "cues", "faces", "device", "precision", "why")
        if getattr(options, name) is not None
    }
    settings = PredictSettings.read(
        {
            "threads": options.threads or _half_of_the_cores(),
            "batch": 1,
            **given,
            "sound": not options.no_sound,
        }
    )
    size = None if options.size is None else read_size(options.size, "--size", LARGEST_MAP)[::-1]
    address = read_address(options.source, size=size, rate=options.rate)
    capture = CaptureSettings(
        policy=options.policy, sound=not options.no_sound, microphone=options.microphone,
        stall=options.stall or float("inf"), freeze=options.freeze, reconnect=not options.no_reconnect,
        loop=options.loop, speed=options.pace,
    )  # fmt: skip
    return address, capture, settings, (options.budget, options.update)


def _half_of_the_cores() -> int:
    """One thread looks at pictures while another does the rest."""
    import os

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, count // 2)


def _predict(
    options: argparse.Namespace,
    feed: Capture,
    live: Live,
    predictor: Predictor,
    statistics: Statistics,
    alone: float,
) -> int:
    import resource
    from contextlib import ExitStack

    began, used = time.monotonic(), _processor_seconds(resource)
    first: float | None = None
    recording = None
    with ExitStack() as open_things:
        consumers: list[Consumer] = [statistics.note]
        if options.json and not options.benchmark:
            consumers.append(partial(_print_json, steady=_steady(options)))
        if options.lsl:
            consumers.append(_send_to_lsl(predictor, options, open_things))
        if not (options.headless or options.benchmark):
            consumers.append(_show_in_window(options, live, open_things))
        if options.record:
            recording = _begin_recording(options, feed, predictor)
        status = _Status(live, statistics, quiet=options.quiet)
        events: dict[str, int] = {}
        try:
            for result in live:
                first = first or time.monotonic() - began
                events = result.events
                for consume in consumers:
                    consume(result)
                if recording is not None:
                    recording.take(result.prediction, events)
                status.tell()
                if options.seconds and time.monotonic() - began > options.seconds:
                    live.stop()
        except BaseException:
            if recording is not None:
                recording.abandon()
            raise
        finally:
            status.end()
        if recording is not None:
            summary = recording.finish(events)
            if summary is not None and not options.quiet:
                print(f"recorded {summary.done} frames in {summary.folder}", file=sys.stderr)
    if options.benchmark:
        frames = max(1, statistics.count)
        spent = (_processor_seconds(resource) - used) / frames
        _print_benchmark(options, live, statistics, alone, first or 0.0, spent)
    counts = live.counts
    log.info("received %d = results %d + dropped %d + failed %d", *asdict(counts).values())
    return 0 if statistics.count else 1


def _begin_recording(options: argparse.Namespace, feed: Capture, predictor: Predictor) -> Any:
    from gasp.results.folder import ResultFolder
    from gasp.results.output_settings import OutputSettings
    from gasp.runs.folders import check_output
    from gasp.runs.inputs import about_run
    from gasp.runs.recording import Recording

    out = Path(options.record)
    check_output(out)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    outputs = OutputSettings(legend=options.legend, maps=options.maps)
    folder = ResultFolder(out / f"{feed.address.slug}_{stamp}", about_run(predictor, outputs))
    return Recording(feed, predictor, outputs.create(), folder)


def _show_in_window(options: argparse.Namespace, live: Live, open_things: Any) -> Consumer:
    """Draws at the window's size what the window can show; without a display, that is an error in words."""
    from gasp.visualize.overlay import OverlayStyle, draw_overlay, shrink_prediction
    from gasp.visualize.window import Window

    paused = False

    def on_key(key: str) -> None:
        nonlocal paused
        if key in ("q", "Escape"):
            live.stop()
        elif key == "space":
            paused = not paused
            live.feed.pause(paused)

    scale = min(1.0, 1280 / live.feed.width)
    window = Window(
        f"gasp live: {live.feed.label}",
        round(scale * live.feed.width),
        round(scale * live.feed.height),
        on_key,
    )
    open_things.callback(window.close)

    def answer() -> None:
        window.update()
        if window.closed:
            live.stop()

    live.idle = answer
    style = OverlayStyle(legend=options.legend)

    def show(result: LiveResult) -> None:
        if window.closed:
            live.stop()
            return
        window.show(draw_overlay(shrink_prediction(result.prediction, window.width), style))

    return show


def result_line(result: LiveResult) -> dict[str, Any]:
    """A result as plain values: what ``--json`` prints."""
    from gasp.results.records import record_of

    prediction = result.prediction
    height, width = prediction.image.shape[:2]
    record = record_of(prediction)
    return {
        "sequence": result.sequence,
        "stamp_ns": result.stamp_ns,
        "time": record.time,
        "width": width,
        "height": height,
        "focus": {
            "x": record.focus_x,
            "y": record.focus_y,
            "value": record.focus_value,
            "across": round(record.focus_x / width, 4),
            "down": round(record.focus_y / height, 4),
        },
        "entropy": record.entropy,
        "cut": prediction.cut,
        "why": record.why,
        "gates": record.gates,
        "faces": [
            {
                "id": person.track_id, "box": person.box, "score": person.score, "attention": person.attention,
                "why": person.why, "found": person.found,
            }
            for person in record.people
        ],
        "level": result.level,
        "ages": result.ages,
        "latency_ms": {name: round(1000 * value, 1) for name, value in result.latency._asdict().items()},
    }  # fmt: skip


def _print_json(result: LiveResult, steady: SteadyFocus | None) -> None:
    line = result_line(result)
    if steady is not None:
        focus = steady.step(result.prediction)
        line["steady"] = {
            "x": round(focus.x, 1), "y": round(focus.y, 1), "value": round(focus.value, 4),
            "across": round(focus.x / line["width"], 4), "down": round(focus.y / line["height"], 4),
        }  # fmt: skip
    print(json.dumps(line, separators=(",", ":")), flush=True)


def _steady(options: argparse.Namespace) -> SteadyFocus | None:
    from gasp.pipeline.focus import SteadyFocus

    if not (options.hysteresis or options.hold or options.speed):
        return None
    return SteadyFocus(hysteresis=options.hysteresis, hold=options.hold, speed=options.speed)


def _send_to_lsl(predictor: Predictor, options: argparse.Namespace, open_things: Any) -> Consumer:
    """A focus of its own, since each keeps in mind where it was."""
    from gasp.results.lsl import LslOutlet

    outlet, steady = LslOutlet(predictor.settings.pipeline.name), _steady(options)
    open_things.callback(outlet.close)

    def send(result: LiveResult) -> None:
        prediction = result.prediction
        if steady is not None:
            prediction = replace(prediction, focus=steady.step(prediction))
        outlet.push(prediction, result.sequence, result.stamp_ns)

    return send


class _Status:
    """A line on standard error that says how it goes: rewritten every second on a terminal, else printed seldom."""

    def __init__(self, live: Live, statistics: Statistics, *, quiet: bool) -> None:
        self._live, self._statistics, self._quiet = live, statistics, quiet
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + STATUS_EVERY

    def tell(self) -> None:
        now = time.monotonic()
        if self._quiet or now < self._next:
            return
        self._next = now + (STATUS_EVERY if self._terminal else 10 * STATUS_EVERY)
        latency, counts = self._statistics.latency(), self._live.counts
        line = (
            f"{self._live.feed.condition}  {self._statistics.rate:.1f} results/s  latency {latency.median:.0f} ms "
            f"(95 %: {latency.p95:.0f}, 99 %: {latency.p99:.0f})  dropped {counts.dropped} of {counts.received}  "
            f"level {self._live.level}"
        )
        print(
            f"\r\x1b[2K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
        )
        sys.stderr.flush()

    def end(self) -> None:
        if self._terminal and not self._quiet:
            print(file=sys.stderr)


def _time_alone(feed: Feed, predictor: Predictor) -> float:
    """Seconds that looking at and computing one frame take while nothing else happens, median of 20."""
    from gasp.pipeline.pipeline import Pipeline

    captured = feed.receive(10)
    if captured is None:
        return 0.0
    pipeline = Pipeline(predictor.settings.model_copy(update={"why": 0.0}), predictor.networks)
    feed.pause(True)
    seconds = []
    for _ in range(25):
        began = time.perf_counter()
        pipeline.step([captured.frame], [captured.sound], pipeline.look([captured.frame]))
        seconds.append(time.perf_counter() - began)
    feed.pause(False)
    return sorted(seconds[5:])[10]


def _processor_seconds(resource: Any) -> float:
    """Of this process and those that it waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return float(own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime)


def _print_benchmark(
    options: argparse.Namespace, live: Live, statistics: Statistics, alone: float, first: float, spent: float
) -> None:
    import platform

    found = {
        **statistics.plain(),
        "source_rate": round(live.feed.fps, 2),
        "frame_alone_ms": round(1000 * alone, 1),
        "latency_in_frames_alone": {
            name: round(value / max(1e-9, 1000 * alone), 2)
            for name, value in statistics.latency()._asdict().items()
        },
        "first_result_s": round(first, 2),
        "processor_ms_per_frame": round(1000 * spent, 1),
        "look_ahead_frames": live.latency_frames,
        **asdict(live.counts),
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}",
        "threads": options.threads or _half_of_the_cores(),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        text = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else value
        print(f"{name:28}{text}")
