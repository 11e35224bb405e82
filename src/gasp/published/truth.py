"""What predictions are compared with, frame by frame: stored pictures, or the recorded gaze of a raw set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.datasets.drawn_truth import draw_density, draw_points
from gasp.datasets.grouped import GroupedVideo
from gasp.datasets.video_set import VideoSet

Map = NDArray[np.uint8]


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
    """The pictures in a frame's folder, by the names in a preset's ``metrics_mappings``.

    ``gt_baseline`` is a picture by its path below ``root``; or, without a slash, the name of a picture whose mean over
    the other frames of the prediction's ``window`` is the baseline.
    """

    dataset = "processed"

    def __init__(self, video: GroupedVideo, mapping: Mapping[str, Any], root: Path, window: int) -> None:
        self.video_id = f"{video.dataset}/{video.name}"
        self._video, self._mapping, self._window = video, mapping, window
        self._baseline = read_baseline(mapping, root)

    def at(self, number: int) -> FrameTruth:
        """The pictures of frame ``number``."""
        points, density = (self._read(number, self._mapping[role]) for role in ("gt_fixmap", "gt_salmap"))
        return FrameTruth(
            points, density, self._baseline if self._baseline is not None else self._mean(number)
        )

    def _read(self, number: int, name: str) -> Map | None:
        return read_grey(self._video.path(number, name))

    def _mean(self, number: int) -> Map | None:
        name = str(self._mapping.get("gt_baseline") or "")
        if not name or "/" in name:
            return None
        others = range(max(1, number - self._window + 1), number)
        pictures = [picture for other in others if (picture := self._read(other, name)) is not None]
        same = [picture for picture in pictures if picture.shape == pictures[0].shape]
        return np.asarray(np.mean(same, axis=0), np.uint8) if same else None


class RecordedTruth:
    """Drawn from recorded fixations at ``size`` (height, width), as the generators draw it."""

    def __init__(
        self, videos: VideoSet, video: str, mapping: Mapping[str, Any], root: Path, size: tuple[int, int]
    ) -> None:
        self.video_id, self.dataset = video, videos.name
        self._videos, self._size = videos, size
        self._baseline = read_baseline(mapping, root)

    def at(self, number: int) -> FrameTruth:
        """The fixations while picture ``number`` is shown."""
        video = self._videos.video(self.video_id)
        fixations = self._videos.fixations_at(self.video_id, number - 1)
        points = draw_points(fixations, video, self._size)
        density = draw_density(fixations, video, self._videos.sigma(self.video_id), self._size)
        return FrameTruth(points, density, self._baseline)


def read_baseline(mapping: Mapping[str, Any], root: Path) -> Map | None:
    """The picture that ``gt_baseline`` names by its path; None where it names none, or there is none."""
    name = str(mapping.get("gt_baseline") or "")
    return read_grey(root / name) if "/" in name else None


def read_grey(path: Path) -> Map | None:
    """A picture as grey uint8 (H, W); None when it is missing or damaged."""
    return decode(path, cv2.IMREAD_GRAYSCALE)


def decode(path: Path, how: int) -> Map | None:
    """A picture as OpenCV reads it; None when it is missing or damaged."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    picture = cv2.imdecode(data, how) if data.size else None
    return None if picture is None else np.asarray(picture, np.uint8)
