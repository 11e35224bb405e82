"""What every set of videos with recorded gaze offers, whatever format it is stored in.

Time: fixations and pictures are on the clock of the video's container. Picture ``k`` (counted from 0) is on screen
around ``first_frame + (k + 0.5) / fps``; in some files the first picture comes after the container's start. Sets that
record gaze per picture of the stimulus (Coutrot, DIEM, SumMe/ETMD) count from the first picture, so their samples are
moved by the same offset. Reading by time instead of by number also aligns a video that was stored at another frame rate
than the one the gaze was recorded at.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.fixations import DensityMap, FixationMap, Fixations, density_of_points, fixation_map
from gasp.errors import InputError
from gasp.video import open_source

logger = logging.getLogger(__name__)

#: Frame rates that differ by less than this fraction are the same (29.97 and 30).
SAME_RATE = 0.005

#: A video and its gaze last equally long when they differ by less than this fraction.
SAME_LENGTH = 0.05

Kernel = Literal["authors", "2021"]
"""Whose density maps: those of a set's authors, or those of the code of 2021 where that took them differently."""

SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")
"""Of videos that tables and recordings name."""

MOST_FRAMES = 10_000_000
"""Of one video: more than four days at 25 frames per second. What claims to have more is damaged."""

_CACHED = 2  # videos whose fixations are kept in memory


@dataclass(frozen=True, slots=True)
class Video:
    """One video: where it is, its size in pixels, pictures per second and number of pictures.

    Pixels are those of the file; ``pixel_aspect`` is their width by their height. ``first_frame`` is when picture 0
    appears, in seconds on the container's clock.
    """

    name: str
    path: Path
    width: int
    height: int
    fps: float
    frames: int
    has_audio: bool
    first_frame: float
    pixel_aspect: float = 1.0

    def time(self, frame_index: int) -> float:
        """The middle of picture ``frame_index``'s time on screen, in seconds on the container's clock."""
        return self.first_frame + (frame_index + 0.5) / self.fps


def probe_video(name: str, path: Path) -> Video:
    """What the file itself says. Raises :class:`~gasp.errors.InputError` when it is no video."""
    with open_source(path) as source:
        return Video(
            name,
            path,
            *source.stored_size,
            source.fps,
            source.frame_count or 0,
            source.has_sound,
            source.start_time,
            source.pixel_aspect,
        )


class VideoSet(ABC):
    """Videos with fixations.

    ``name``: the set's folder in the 2021 layout (``diem``, ``coutrot1``, ...). ``ids``: names of the usable videos.
    ``skipped`` counts what could not be used, by description (it grows as videos are read, since gaze is read when
    first asked for); ``problems`` names each in a sentence, and is logged as warnings too.
    """

    name: str

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.skipped: dict[str, int] = {}
        self.problems: list[str] = []
        self._known_videos: dict[str, Video] = {}
        self._read: dict[str, Fixations] = {}
        self._judged: set[str] = set()
        self._again = False  # what is read now was read, and its faults were counted, before
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not a folder; videos with fixations were expected there")

    # --- what a format has to say ------------------------------------------------------------------------

    @property
    @abstractmethod
    def ids(self) -> list[str]:
        """Names of the usable videos, in the set's order."""

    @abstractmethod
    def sigma(self, video: str) -> float:
        """Standard deviation of the set's density maps, in pixels of this video."""

    @abstractmethod
    def _open(self, video: str) -> Video:
        """The video of this id."""

    @abstractmethod
    def _read_fixations(self, video: Video) -> Fixations:
        """All fixations on a video, inside the picture."""

    # --- what follows from it ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.ids)

    def video(self, video: str) -> Video:
        """Size, rate, length and place of a video. Raises :class:`~gasp.errors.InputError` for an unknown one."""
        if video not in self._known_videos:
            if video not in self.ids:
                raise InputError(f"{self.folder} has no video {video!r}; it has {_list(self.ids)}")
            self._known_videos[video] = self._open(video)
        return self._known_videos[video]

    def fixations(self, video: str) -> Fixations:
        """All fixations on a video; ``onset`` is on the container's clock, points in pixels of the video."""
        if video not in self._read:
            known = self.video(video)
            self._again = video in self._judged
            try:
                read = self._read_fixations(known)
            finally:
                self._again = False
            if not len(read) and video not in self._judged:
                self._problem("videos without gaze", f"no fixation on {video} can be used")
            self._judged.add(video)
            while len(self._read) >= _CACHED:
                self._read.pop(next(iter(self._read)))
            self._read[video] = read
        return self._read[video]

    def fixations_at(self, video: str, frame_index: int) -> Fixations:
        """Fixations going on while picture ``frame_index`` (from 0) is shown."""
        return self.fixations(video).active_at(self.video(video).time(frame_index))

    def fixation_map_at(self, video: str, frame_index: int) -> FixationMap:
        """Fixations at one picture counted per pixel, at the video's size."""
        known = self.video(video)
        return fixation_map(self.fixations_at(video, frame_index), known.height, known.width)

    def density_at(self, video: str, frame_index: int) -> DensityMap:
        """Fixation density at one picture, at the video's size, with this set's kernel and weights.

        Raises :class:`~gasp.errors.InputError` when nobody fixates then; see :meth:`fixations_at`.
        """
        known = self.video(video)
        fixations = self.fixations_at(video, frame_index)
        return density_of_points(fixations, known.height, known.width, self.sigma(video))

    # --- for the formats ---------------------------------------------------------------------------------

    def _count(self, what: str, count: int) -> None:
        if count and not self._again:
            self.skipped[what] = self.skipped.get(what, 0) + count

    def _problem(self, what: str, sentence: str, count: int = 1) -> None:
        """Counts ``what`` and says it in a sentence that names the culprit."""
        if self._again:
            return
        self._count(what, count)
        self.problems.append(sentence)
        logger.warning("%s: %s", self.folder, sentence)

    def _with_files(self, videos: Iterable[tuple[str, Path]]) -> dict[str, Path]:
        """Those whose video file is there; raises :class:`~gasp.errors.InputError` when none is."""
        listed = dict(videos)
        there = {name: path for name, path in listed.items() if path.is_file()}
        missing = [name for name in listed if name not in there]
        if missing:
            self._problem(
                "missing videos", f"no video file for {_list(missing)}; they are left out", len(missing)
            )
        if not there:
            example = next(iter(listed.values()), self.folder)
            raise InputError(f"{self.folder} holds none of its {len(listed)} videos, such as {example}")
        return there

    def _check_rate(self, video: Video, recorded: float, unit: str) -> None:
        """Names a video whose rate is not the one its gaze was recorded at; they are aligned by time then."""
        if not (np.isfinite(recorded) and 0 < recorded <= 1000):
            raise InputError(f"{unit}: the frame rate {recorded} of {video.name!r} cannot be right")
        if abs(video.fps - recorded) > SAME_RATE * recorded:
            self._problem(
                "other frame rates",
                f"{video.name} is stored at {video.fps:.3f} frames per second, its gaze was recorded at "
                f"{recorded:.3f}; they are aligned by time",
            )

    def _check_length(self, video: Video, seconds: float) -> None:
        """Names a video that is much shorter or longer than the recording of gaze on it."""
        lasts = video.frames / video.fps
        if video.frames and abs(seconds - lasts) > max(SAME_LENGTH * lasts, 0.5):
            self._problem(
                "other lengths",
                f"{video.name} lasts {lasts:.1f} s, its gaze was recorded for {seconds:.1f} s; both begin together",
            )

    def _inside(
        self, video: Video, x: NDArray[Any], y: NDArray[Any], observer: Any, **columns: Any
    ) -> Fixations:
        """Fixations without those that are lost or lie outside the picture, which are counted.

        Lost is what is not a number, and what lasts or weighs less than nothing.
        """
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        given = {"observer": np.broadcast_to(observer, x.shape)}
        given |= {
            name: np.broadcast_to(np.asarray(value, np.float64), x.shape) for name, value in columns.items()
        }
        found = np.isfinite(x) & np.isfinite(y)
        for name, value in columns.items():
            found &= np.isfinite(value)
            if name in ("duration", "weight"):
                found &= np.asarray(value) >= 0
        kept = {name: value[found] for name, value in given.items()}
        fixations = Fixations.create(x[found], y[found], **kept)
        inside = fixations.inside(video.height, video.width)
        self._count("fixations lost", int((~found).sum()))
        self._count("fixations outside", len(fixations) - len(inside))
        return inside


def per_picture(samples: NDArray[np.float64], video: Video, fps: float) -> dict[str, NDArray[Any]]:
    """Columns of :class:`Fixations` from samples (rows, pictures, observers), one per picture of the stimulus.

    Rows 0 and 1 are x and y. A sample lasts for its picture, at ``fps`` pictures per second.
    """
    pictures, observers = samples.shape[1:]
    picture, observer = np.meshgrid(np.arange(pictures), np.arange(observers), indexing="ij")
    return {
        "x": samples[0].ravel(),
        "y": samples[1].ravel(),
        "observer": observer.ravel(),
        "onset": video.first_frame + picture.ravel() / fps,
        "duration": np.full(picture.size, 1 / fps),
    }


def _list(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
