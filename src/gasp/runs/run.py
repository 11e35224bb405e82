"""One source in, one folder of results out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gasp.config.settings import PredictSettings
from gasp.cues.cue import CUES, PUBLISHED_CUES
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source, step_of
from gasp.results.output_settings import OutputSettings
from gasp.results.sink import open_sinks
from gasp.results.sinks import ResultWriter
from gasp.video import VideoSource
from gasp.weights import describe

Report = Callable[[int, int | None], None]
"""Called with the frames done and the frames expected in all (None when unknown)."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run went. ``done`` frames are in ``folder``; ``unchanged`` tells that they were there already."""

    source: str
    folder: Path
    done: int
    skipped: int
    events: dict[str, int]
    unchanged: bool

    def plain(self) -> dict[str, Any]:
        """The summary for JSON."""
        return {
            "source": self.source,
            "folder": str(self.folder),
            "frames": self.done,
            "skipped": self.skipped,
            "events": self.events,
            "unchanged": self.unchanged,
        }


def run_source(
    source: VideoSource,
    out_dir: Path,
    settings: PredictSettings,
    outputs: OutputSettings,
    *,
    networks: Networks,
    name: str | None = None,
    overwrite: bool = False,
    report: Report = lambda done, expected: None,
) -> RunSummary:
    """Predicts an open source and writes ``out_dir/<name>/``; goes on where an earlier run was interrupted.

    Raises :class:`gasp.errors.GaspError`; results up to then are kept and named as partial, as they are on
    KeyboardInterrupt.
    """
    weights = [{"name": name, **describe(path)} for name, path in networks.weights.items()]
    writer = ResultWriter(
        out_dir,
        source,
        settings.model_dump(mode="json"),
        outputs=outputs,
        weights=weights,
        cues={cue: _statement(cue) for cue in settings.cues},
        overwrite=overwrite,
        resumable=not outputs.sinks,
        warm_up=_warm_up(settings, networks),
        name=name,
    )
    expected = None if source.frame_count is None else -(-source.frame_count // settings.every)
    with writer:
        if not writer.complete:
            pipeline = Pipeline(settings, networks, step=step_of(source, settings))
            writer.events = pipeline.events
            with open_sinks(outputs.sinks, writer.folder, source) as sinks:
                for prediction in predict_source(source, pipeline, start_index=writer.start_index):
                    writer.write(prediction)
                    for sink in sinks:
                        sink.write(prediction)
                    report(writer.frames_done, expected)
    label = str(source.path or source.name)
    return RunSummary(
        label, writer.folder, writer.frames_done, source.skipped, dict(writer.events), writer.complete
    )


def _warm_up(settings: PredictSettings, networks: Networks) -> int | None:
    """Frames to predict again, at least, before the place where an interrupted run goes on; None for all of them.

    In published mode a cue counts frames, and blocks of sound, from the beginning of the video.
    """
    if any(cue.mode == "published" for cue in settings.pipeline.cues if cue.name in settings.cues):
        return None
    # No window of a cue holds more than 64 frames.
    return 64 + networks.fusion.network.sequence_len


def _statement(cue: str) -> str:
    entry = CUES.get(cue) or PUBLISHED_CUES.get(cue)
    return "a cue of another package" if entry is None else entry.statement
