"""Videos of several people with sound and fixations (Find-Who-to-Look-at, Liu et al., 2017).

Layout: ``videos/<id>.mp4``; ``videos.csv`` (video, width, height, fps, frames, has_audio, first_frame_s);
``fixations.csv`` (video, observer, onset_ms, duration_ms, x, y: whole pixels of the video, counted from 1 as the
authors' MATLAB file does); ``faces.csv`` (video, frame, face, x1, y1, x2, y2, points: extent of hand-checked facial
landmarks, brows to chin).

Time: recordings follow the container's clock, and in some files the first picture comes ``first_frame_s``
seconds after the container's start. Picture k is shown around ``first_frame_s + (k + 0.5) / fps``. The
authors' own scripts leave the offset out.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.columns import check_name, checked_size, column, field, observer_numbers, read_csv
from gasp.datasets.fixations import Fixations
from gasp.datasets.video_set import MOST_FRAMES, Kernel, Video, VideoSet
from gasp.errors import InputError
from gasp.faces.face import Box

logger = logging.getLogger(__name__)

#: Standard deviation of density maps as a fraction of the width: 66 px full width at half maximum at 1280.
BLUR = 66 / (2 * np.sqrt(2 * np.log(2))) / 1280

#: In pixels of any video: the code of 2021 took the authors' full width at half maximum for a standard deviation.
SIGMA_2021 = 66.0


@dataclass(frozen=True, slots=True)
class LandmarkedFace:
    """Extent of one face's landmarks in pixels; 68 ``points`` for a frontal face, 39 for a profile.

    ``number`` tells the faces of one picture apart; it is not an identity over time.
    """

    number: int
    box: Box
    points: int


def sigma_of(video: Video, kernel: Kernel) -> float:
    """Standard deviation of density maps, in pixels of the video."""
    return SIGMA_2021 if kernel == "2021" else float(BLUR * video.width)


def middle_of(pixel: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    """Positions in the middle of recorded pixels, which MATLAB counts from 1; the code of 2021 counted them from 0."""
    return pixel + 0.5 if kernel == "2021" else pixel - 0.5


def weight_of(duration: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    """How much fixations count in density maps: all the same, or as long as they last, as in 2021."""
    return duration if kernel == "2021" else np.ones_like(duration)


class FindWhoSet(VideoSet):
    """Videos with fixations, read from ``folder`` in the layout of this module.

    ``kernel``: "authors" blurs with 66 pixels full width at half maximum and counts every fixation once; "2021" blurs
    with a standard deviation of 66 pixels, weights fixations by their duration and puts them a pixel further down and
    to the right, as the code of 2021 did.

    ``videos`` maps ids to :class:`Video`. ``skipped`` counts what could not be used: ``missing videos``,
    ``fixations outside`` (of the picture), ``fixations lost`` (NaN), ``fixations without video``, and the
    like for faces. Raises :class:`~gasp.errors.InputError` when a table is missing or damaged, or no video is
    left.
    """

    name = "findwho"

    def __init__(self, folder: str | Path, *, kernel: Kernel = "authors") -> None:
        super().__init__(folder)
        self._kernel: Kernel = kernel
        listed = self._read_videos()
        self.videos = {name: video for name, video in listed.items() if video.path.is_file()}
        self._count("missing videos", len(listed) - len(self.videos))
        if not self.videos:
            raise InputError(
                f"{self.folder}/videos holds none of the {len(listed)} videos named in videos.csv"
            )
        self._all_fixations = self._read_all_fixations(listed)
        self._faces = self._read_faces(listed)
        if self.skipped:
            counts = ", ".join(f"{count} {what}" for what, count in self.skipped.items())
            logger.warning("%s: skipped %s", self.folder, counts)

    @property
    def ids(self) -> list[str]:
        """Names of the videos, in the order of ``videos.csv``."""
        return list(self.videos)

    def sigma(self, video: str) -> float:
        """66 pixels full width at half maximum at 1280 wide (28 standard deviation), or that of 2021."""
        return sigma_of(self.video(video), self._kernel)

    def faces(self, video: str, frame_index: int) -> list[LandmarkedFace]:
        """Faces marked in one picture."""
        return self._faces.get((self.video(video).name, frame_index), [])

    def _open(self, video: str) -> Video:
        return self.videos[video]

    def _read_fixations(self, video: Video) -> Fixations:
        return self._all_fixations[video.name]

    def _read_videos(self) -> dict[str, Video]:
        path = self.folder / "videos.csv"
        videos: dict[str, Video] = {}
        for row in read_csv(
            path, ("video", "width", "height", "fps", "frames", "has_audio", "first_frame_s")
        ):
            name = check_name(row["video"], path)
            video = Video(
                name=name,
                path=self.folder / "videos" / f"{name}.mp4",
                width=field(row, "width", int, path),
                height=field(row, "height", int, path),
                fps=field(row, "fps", float, path),
                frames=field(row, "frames", int, path),
                has_audio=field(row, "has_audio", int, path) != 0,
                first_frame=field(row, "first_frame_s", float, path),
            )
            if name in videos:
                raise InputError(f"{path}: the video {name!r} occurs twice")
            checked_size(video.width, video.height, f"{path}: the video {name!r}")
            if not (
                0 < video.fps <= 1000 and 0 <= video.first_frame < 86400 and 0 <= video.frames <= MOST_FRAMES
            ):
                raise InputError(f"{path}: the rate, length or first picture's time cannot be right in {row}")
            videos[name] = video
        if not videos:
            raise InputError(f"{path} names no video")
        return videos

    def _read_all_fixations(self, videos: dict[str, Video]) -> dict[str, Fixations]:
        path = self.folder / "fixations.csv"
        by_video = defaultdict(list)
        for row in read_csv(path, ("video", "observer", "onset_ms", "duration_ms", "x", "y")):
            by_video[row["video"]].append(row)
        for name in by_video.keys() - videos.keys():
            self._count("fixations without video", len(by_video[name]))
        return {name: self._fixations_of(video, by_video[name], path) for name, video in videos.items()}

    def _fixations_of(self, video: Video, rows: list[dict[str, str]], path: Path) -> Fixations:
        x, y, onset, duration = (column(rows, name, path) for name in ("x", "y", "onset_ms", "duration_ms"))
        observer = observer_numbers([row["observer"] for row in rows])
        return self._inside(
            video, middle_of(x, self._kernel), middle_of(y, self._kernel), observer,
            onset=onset / 1000, duration=duration / 1000, weight=weight_of(duration / 1000, self._kernel),
        )  # fmt: skip

    def _read_faces(self, videos: dict[str, Video]) -> dict[tuple[str, int], list[LandmarkedFace]]:
        path = self.folder / "faces.csv"
        if not path.is_file():
            return {}
        faces = defaultdict(list)
        for row in read_csv(path, ("video", "frame", "face", "x1", "y1", "x2", "y2", "points")):
            if row["video"] not in videos:
                self._count("faces without video", 1)
                continue
            box = Box(*(field(row, name, float, path) for name in ("x1", "y1", "x2", "y2")))
            if not (np.isfinite(box).all() and box.area > 0):
                self._count("faces without extent", 1)
                continue
            face = LandmarkedFace(field(row, "face", int, path), box, field(row, "points", int, path))
            faces[row["video"], field(row, "frame", int, path)].append(face)
        return dict(faces)
