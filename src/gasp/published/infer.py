"""An inference preset from its videos to its results: those of a raw set, or stored frames."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gasp.config.presets2021 import FRAMES, PROCESSED
from gasp.datasets.grouped import GroupedFrames, GroupedVideo
from gasp.datasets.sets import open_set
from gasp.datasets.split import SplitRow, read_split
from gasp.datasets.video_set import VideoSet
from gasp.errors import GaspError, InputError
from gasp.published.metric_table import VideoTable
from gasp.published.plan import CuePlan, InferencePlan
from gasp.published.predictor import generator_settings, open_cue
from gasp.published.stored import FrameWork
from gasp.published.truth import RecordedTruth
from gasp.results.grouped import GenerateSettings
from gasp.runs.generate import generate
from gasp.video import open_source
from gasp.work.progress import Progress, Report, silent

logger = logging.getLogger(__name__)

RATE = 25.0
"""Frames per second of stored frames that no list names."""


@dataclass
class InferenceSummary:
    """How it went, in sentences; and videos that failed with the reason."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def fail(self, video: str, error: GaspError) -> None:
        """Notes and says that a video failed."""
        self.failed[video] = str(error)
        logger.error("%s: %s", video, error)


def run_inference(
    plan: InferencePlan,
    root: str | Path = ".",
    *,
    jobs: int = 1,
    overwrite: bool = False,
    frames: str | Path = FRAMES,
    report: Report = silent,
) -> InferenceSummary:
    """Does what a plan asks for.

    Args:
        plan: See :func:`gasp.published.plan.plan_of`.
        root: The working directory.
        jobs: Videos that are generated at a time.
        overwrite: Generate anew even where frames are there.
        frames: The folder of stored frames, relative to ``root``.
        report: Is told how far each video is.

    Raises:
        GaspError: Nothing can be done. (A video that fails is named in the summary.)
    """
    root = Path(root)
    if plan.dataset is None:
        return _look_at_frames(plan, root, root / frames, report)
    work = _Recorded(plan, root, open_set(plan.dataset, root=root, kernel="2021"), report)
    return work.run(jobs, overwrite)


# --- raw sets --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recorded:
    """What is done with the videos of a raw set."""

    plan: InferencePlan
    root: Path
    videos: VideoSet
    report: Report

    def run(self, jobs: int, overwrite: bool) -> InferenceSummary:
        """Writes pictures, or measures, or both."""
        names, summary = self._names(), InferenceSummary()
        if self.plan.maps is not None:
            self._generate(names, jobs, overwrite, summary)
        if self.plan.metrics is not None:
            self._measure([name for name in names if self._label(name) not in summary.failed], summary)
        return summary

    def _label(self, video: str) -> str:
        return f"{self.videos.name}/{video}"

    def _names(self) -> list[str]:
        """The videos of the plan's lists; all where it does not keep to them."""
        names = self.videos.ids
        if self.plan.listed_only:
            listed = _listed(self.plan, self.root)
            wanted = {row.video_id for row in listed if row.dataset == self.videos.name}
            _name_missing(f"{self.plan.name}: {self.videos.name}", sorted(wanted - set(names)))
            names = [video for video in names if video in wanted]
        if not names:
            raise InputError(f"{self.plan.name}: {self.videos.folder} holds no video of the preset's lists")
        return names

    def _generate(self, names: list[str], jobs: int, overwrite: bool, summary: InferenceSummary) -> None:
        done = generate(
            self.videos,
            names,
            self.root / PROCESSED,
            generator_settings(self.plan),
            GenerateSettings(size=self.plan.size),
            jobs=jobs,
            overwrite=overwrite,
            report=self.report,
        )
        frames = sum(video.frames for video in done.done)
        unchanged = sum(video.unchanged for video in done.done)
        summary.done.append(
            f"{self.videos.name}: {len(done.done) - unchanged} videos generated ({frames} frames), "
            f"{unchanged} were there"
        )
        summary.failed |= done.failed

    def _measure(self, names: list[str], summary: InferenceSummary) -> None:
        plan = self.plan
        assert isinstance(plan.model, CuePlan)
        assert plan.metrics is not None
        predictor = open_cue(plan.model, plan.device, sound=plan.sound)
        for name in names:
            try:
                video = self.videos.video(name)
                truth = RecordedTruth(self.videos, name, plan.metrics, self.root, plan.size)
                table = VideoTable(truth, plan.metrics.names)
                with open_source(video.path) as source:
                    for frame in predictor.predict(source):
                        number = frame.index + 1
                        if number % plan.stride == 0:
                            table.add(number, frame.saliency, None)
                        self.report(
                            Progress(self._label(name), number, max(number, video.frames), unit="frames")
                        )
                summary.done.append(table.finish(plan.metrics, self.root, self._label(name)))
            except GaspError as error:
                summary.fail(self._label(name), error)


# --- stored frames ---------------------------------------------------------------------------------------


def _look_at_frames(plan: InferencePlan, root: Path, frames: Path, report: Report) -> InferenceSummary:
    work = FrameWork.open(plan, root, report)
    summary = InferenceSummary()
    for video, fps in _stored_videos(plan, root, frames):
        try:
            summary.done.append(work.run(video, fps))
        except GaspError as error:
            summary.fail(f"{video.dataset}/{video.name}", error)
    return summary


def _stored_videos(plan: InferencePlan, root: Path, frames: Path) -> Iterator[tuple[GroupedVideo, float]]:
    """The videos of the plan's lists that are there, with their rates; those that are not are named."""
    grouped = GroupedFrames(frames)
    rates = {(row.dataset, row.video_id): row.fps for row in _listed(plan, root)}
    wanted = list(grouped.videos)
    if plan.listed_only:
        _name_missing(plan.name, sorted("/".join(video) for video in rates if video not in grouped.videos))
        wanted = [video for video in wanted if video in rates]
    if not wanted:
        raise InputError(f"{plan.name}: {grouped.folder} holds no video of the preset's lists")
    for video in wanted:
        yield grouped.videos[video], rates.get(video, RATE)


# --- lists -----------------------------------------------------------------------------------------------


def _listed(plan: InferencePlan, root: Path) -> list[SplitRow]:
    """The Social videos of the plan's lists."""
    rows: dict[SplitRow, None] = {}
    for path in filter(None, plan.lists):
        there = root / path
        rows |= dict.fromkeys(read_split(there if there.is_file() else path).only().rows)
    return list(rows)


def _name_missing(where: str, missing: list[str]) -> None:
    if missing:
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        logger.warning(
            "%s: %d videos of the lists are not there: %s%s",
            where,
            len(missing),
            ", ".join(missing[:8]),
            more,
        )
