"""What predictions are compared with, frame by frame: stored pictures, or the recorded gaze of a raw set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from gasp.datasets.drawn_truth import draw_density, draw_points
from gasp.datasets.grouped import GroupedVideo
from gasp.datasets.video_set import VideoSet
from gasp.published.measures import Map
from gasp.published.plan import MetricsPlan
from gasp.video.grouped import read_grey


class FrameTruth(NamedTuple):
    """Grey pictures, uint8 (H, W), of one frame; None where there is none.

    ``points`` is white where people looked, ``density`` how much, ``baseline`` what some metrics compare with.
    """

    points: Map | None
    density: Map | None
    baseline: Map | None


class Truth(Protocol):
    """The truth of a video. ``video_id`` and ``dataset`` are what the tables of 2021 call it."""

    video_id: str
    dataset: str

    def at(self, number: int) -> FrameTruth:
        """That of frame ``number`` (from 1)."""


class StoredTruth:
    """The pictures in a frame's folder, by the names in ``metrics``.

    The baseline is a picture by its path below ``root``; or, without a slash, the name of a picture whose mean over
    the other frames of the prediction's ``window`` is the baseline.
    """

    dataset = "processed"

    def __init__(self, video: GroupedVideo, metrics: MetricsPlan, root: Path, window: int) -> None:
        self.video_id = f"{video.dataset}/{video.name}"
        self._video, self._metrics, self._window = video, metrics, window
        self._baseline = read_baseline(metrics.baseline, root)

    def at(self, number: int) -> FrameTruth:
        """The pictures of frame ``number``."""
        points = self._read(number, self._metrics.fixations)
        density = self._read(number, self._metrics.density)
        return FrameTruth(
            points, density, self._baseline if self._baseline is not None else self._mean(number)
        )

    def _read(self, number: int, name: str) -> Map | None:
        return read_grey(self._video.path(number, name))

    def _mean(self, number: int) -> Map | None:
        name = self._metrics.baseline
        if not name or "/" in name:
            return None
        others = range(max(1, number - self._window + 1), number)
        pictures = [picture for other in others if (picture := self._read(other, name)) is not None]
        same = [picture for picture in pictures if picture.shape == pictures[0].shape]
        return np.asarray(np.mean(same, axis=0), np.uint8) if same else None


class RecordedTruth:
    """Drawn from recorded fixations at ``size`` (height, width), as the generators draw it."""

    def __init__(
        self, videos: VideoSet, video: str, metrics: MetricsPlan, root: Path, size: tuple[int, int]
    ) -> None:
        self.video_id, self.dataset = video, videos.name
        self._videos, self._size = videos, size
        self._baseline = read_baseline(metrics.baseline, root)

    def at(self, number: int) -> FrameTruth:
        """The fixations while picture ``number`` is shown."""
        video = self._videos.video(self.video_id)
        fixations = self._videos.fixations_at(self.video_id, number - 1)
        points = draw_points(fixations, video, self._size)
        density = draw_density(fixations, video, self._videos.sigma(self.video_id), self._size)
        return FrameTruth(points, density, self._baseline)


def read_baseline(name: str, root: Path) -> Map | None:
    """The picture whose path below ``root`` is the name; None where it is no path, or there is none."""
    return read_grey(root / name) if "/" in name else None
