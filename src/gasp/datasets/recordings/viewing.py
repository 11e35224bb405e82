"""What one observer fixated while one video was shown, and where on the screen the video was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.video_set import Video
from gasp.errors import InputError, UsageError

Floats = NDArray[np.float64]
Eye = Literal["left", "right"]
EYES: tuple[Eye, ...] = ("left", "right")

_LARGEST = 65536


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Where a video is on the screen, in its pixels: upper left corner and size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Placement:
    """How recordings are to be taken where the files do not say it, or say it wrongly.

    ``screen``: (width, height) of the screen in pixels. ``rectangle``: where the video was on it; by default in its
    middle, as large as fits. ``start``: seconds from the beginning that the file tells to the video's first picture.
    ``eye``: whose gaze counts where both were recorded.
    """

    screen: tuple[int, int] | None = None
    rectangle: Rectangle | None = None
    start: float = 0.0
    eye: Eye = "left"

    def __post_init__(self) -> None:
        if self.screen is not None and not all(0 < side <= _LARGEST for side in self.screen):
            raise UsageError(f"the screen's size {self.screen} must be 1 to {_LARGEST} pixels")
        if self.rectangle is not None:
            check_rectangle(self.rectangle, "the video's rectangle")
        if not abs(self.start) < 86400:
            raise UsageError(f"start = {self.start}: seconds, less than a day")
        if self.eye not in EYES:
            raise UsageError(f"the eye must be left or right, not {self.eye!r}")


@dataclass(frozen=True, eq=False, slots=True)
class Viewing:
    """Fixations of one observer on one video.

    ``x``, ``y`` (n,) in pixels of the screen, or of the video where ``in_video``. ``onset``, ``duration`` (n,) in
    seconds from the moment when the first picture was shown. ``frame_times``: when each picture was shown, on the same
    clock, where the file tells it. ``rectangle``, ``screen``: as the file tells them; ``corner``: of a video that is
    shown pixel by pixel. ``source``: for messages.
    """

    video: str
    observer: str
    onset: Floats
    duration: Floats
    x: Floats
    y: Floats
    source: Path
    screen: tuple[int, int] | None = None
    rectangle: Rectangle | None = None
    corner: tuple[float, float] | None = None
    frame_times: Floats | None = None
    in_video: bool = False

    def points(self, video: Video, placement: Placement) -> tuple[Floats, Floats]:
        """x and y in pixels of the video."""
        if self.in_video:
            return self.x, self.y
        place = placement.rectangle
        if place is None and placement.screen is None:
            place = self.rectangle
            if self.corner is not None:
                place = Rectangle(*self.corner, video.width * video.pixel_aspect, video.height)
        if place is None:
            screen = placement.screen or self.screen
            if screen is None:
                raise InputError(
                    f"{self.source} does not say how large the screen was; say it with --screen WxH, and with "
                    "--video-rect X,Y,W,H where on it the video was"
                )
            place = fitted(video, screen)
        return (
            (self.x - place.x) * video.width / place.width,
            (self.y - place.y) * video.height / place.height,
        )

    def times(self, video: Video, placement: Placement) -> tuple[Floats, Floats]:
        """Onsets and durations in seconds on the clock of the video's container."""
        begin, end = self.onset - placement.start, self.onset + self.duration - placement.start
        if self.frame_times is not None and len(self.frame_times) > 1:
            begin, end = (_by_pictures(time, self.frame_times) / video.fps for time in (begin, end))
        return video.first_frame + begin, end - begin


def fitted(video: Video, screen: tuple[int, int]) -> Rectangle:
    """The video in the middle of a screen, as large as fits."""
    shown = video.width * video.pixel_aspect  # stored pixels need not be square
    scale = min(screen[0] / shown, screen[1] / video.height)
    width, height = scale * shown, scale * video.height
    return Rectangle((screen[0] - width) / 2, (screen[1] - height) / 2, width, height)


def check_rectangle(rectangle: Rectangle, what: str) -> Rectangle:
    """``rectangle`` if a video can be there. Raises :class:`~gasp.errors.UsageError`."""
    place = (rectangle.x, rectangle.y, rectangle.width, rectangle.height)
    if not (
        np.isfinite(place).all() and 0 < rectangle.width <= _LARGEST and 0 < rectangle.height <= _LARGEST
    ):
        raise UsageError(f"{what} {place} cannot be right: x, y, width, height in pixels of the screen")
    return rectangle


def merge_samples(
    time: Floats, x: Floats, y: Floats, begin: Sequence[float] | Floats, end: Sequence[float] | Floats
) -> tuple[Floats, Floats]:
    """Mean x and y of the samples in each interval, NaN where there is none. ``time`` ascends."""
    first = np.searchsorted(time, np.asarray(begin, np.float64), "left")
    last = np.searchsorted(time, np.asarray(end, np.float64), "right")
    means = np.full((2, len(first)), np.nan)
    for place, (i, j) in enumerate(zip(first, last, strict=True)):
        known = np.isfinite(x[i:j]) & np.isfinite(y[i:j])
        if known.any():
            means[:, place] = x[i:j][known].mean(), y[i:j][known].mean()
    return means[0], means[1]


def _by_pictures(time: Floats, shown: Floats) -> Floats:
    """The picture (with fraction) on screen at each time; beyond both ends at the mean rate."""
    places = np.arange(len(shown), dtype=np.float64)
    found = np.interp(time, shown, places)
    step = (shown[-1] - shown[0]) / (len(shown) - 1)
    found = np.where(time < shown[0], (time - shown[0]) / step, found)
    return np.where(time > shown[-1], places[-1] + (time - shown[-1]) / step, found)
