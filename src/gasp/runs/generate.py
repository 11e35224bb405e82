"""Stage 1 of whole datasets: the cue maps and targets of every frame, in the folder layout of 2021."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gasp._renamed import renamed
from gasp.config.settings import PredictSettings
from gasp.datasets.video_set import VideoSet
from gasp.errors import GaspError, UsageError
from gasp.pipeline.predictor import Predictor
from gasp.results.grouped import FramesFolder, GenerateSettings, GroupedFramesSink
from gasp.runs.processes import run_in_processes
from gasp.runs.run import run
from gasp.video import open_source
from gasp.work.progress import Progress, Report, silent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoSummary:
    """How a video went. ``events`` counts what went wrong in the pipeline without stopping it."""

    video: str
    frames: int
    unchanged: bool
    events: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class GenerateSummary:
    """How it went: videos that are in place, and those that failed with the reason."""

    done: list[VideoSummary] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def generate(
    videos: VideoSet,
    names: Sequence[str],
    root: str | Path,
    settings: PredictSettings | None = None,
    options: GenerateSettings | None = None,
    *,
    jobs: int = 1,
    overwrite: bool = False,
    predictor: Predictor | None = None,
    report: Report = silent,
) -> GenerateSummary:
    """Writes the maps of videos of a set in the layout of 2021.

    A video that fails is named; the others are still done. What was finished before an interruption is kept, and the
    same call goes on from there.

    Args:
        videos: The set.
        names: Which of its videos.
        root: The folder that gets ``Grouped_frames`` and ``Manifests`` (``datasets/processed``).
        settings: Of the pipeline.
        options: What is written.
        jobs: Videos at a time, each in a process of its own. Results do not depend on it where the number of threads
            is given.
        overwrite: Begin anew even where frames are there.
        predictor: That of the settings, where it is loaded already (several processes load their own).
        report: Is told of progress.
    """
    # Maps are stored, not explained.
    settings = (settings or PredictSettings()).model_copy(update={"why": 0.0})
    if jobs < 1:
        raise UsageError(f"at least 1 job is needed, not {jobs}")
    if settings.every != 1:
        raise UsageError(f"every = {settings.every}: maps are generated of every frame")
    work = partial(
        _generate_video, videos, Path(root), options=options or GenerateSettings(), overwrite=overwrite
    )
    labels = {name: f"{videos.name}/{name}" for name in names}
    summary = GenerateSummary()
    if jobs == 1 or len(names) < 2:
        predictor = predictor or Predictor.load(settings)
        for name in names:
            try:
                summary.done.append(work(name, predictor=predictor, report=report))
            except GaspError as error:
                _fail(summary, labels[name], str(error))
        return summary
    for name, result in run_in_processes(work, names, settings, min(jobs, len(names)), report):
        if isinstance(result, str):
            _fail(summary, labels[name], result)
        else:
            summary.done.append(result)
    return summary


def _fail(summary: GenerateSummary, label: str, reason: str) -> None:
    summary.failed[label] = reason
    log.error("%s: %s", label, reason)


def _generate_video(
    videos: VideoSet,
    root: Path,
    video: str,
    *,
    options: GenerateSettings,
    overwrite: bool,
    predictor: Predictor,
    report: Report,
) -> VideoSummary:
    label = f"{videos.name}/{video}"
    decisive: dict[str, Any] = {"frames": asdict(options)}
    if options.targets:
        decisive["gaze"] = _gaze_fingerprint(videos, video)
    plan = {**decisive, "predictor": predictor.decisive()}
    folder = FramesFolder(root, videos.name, video, plan)
    sinks = [GroupedFramesSink(videos, video, options)]
    with open_source(videos.video(video).path) as source:
        done = run(
            source, predictor, sinks, folder, decisive=decisive, overwrite=overwrite,
            report=lambda p: report(Progress(label, p.done, p.total, p.values, p.unit)),
        )  # fmt: skip
    if done.unchanged:
        report(Progress(label, done.done, done.done, unit="frames"))
    return VideoSummary(label, 0 if done.unchanged else done.done, done.unchanged, done.events)


def _gaze_fingerprint(videos: VideoSet, video: str) -> str:
    fixations = videos.fixations(video)
    digest = hashlib.sha256(f"{videos.sigma(video)}".encode())
    for values in (fixations.x, fixations.y, fixations.onset, fixations.duration, fixations.weight):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


__getattr__ = renamed(__name__, {"GenerateOptions": "gasp.results.grouped:GenerateSettings"})
