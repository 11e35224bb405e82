"""Videos of several people with sound and fixations (Find-Who-to-Look-at, Liu et al., 2017).

Layout: ``videos/<id>.mp4``; ``videos.csv`` (video, width, height, fps, frames, has_audio, first_frame_s);
``fixations.csv`` (video, observer, onset_ms, duration_ms, x, y in pixels of the video); ``faces.csv`` (video,
frame, face, x1, y1, x2, y2, points: extent of hand-checked facial landmarks, brows to chin).

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

from gasp.datasets.columns import check_name, column, field, read_csv
from gasp.datasets.fixations import Fixations
from gasp.datasets.video_set import Video, VideoSet
from gasp.errors import InputError
from gasp.faces.face import Box

logger = logging.getLogger(__name__)

#: Standard deviation of density maps as a fraction of the width: 66 px full width at half maximum at 1280.
BLUR = 66 / (2 * np.sqrt(2 * np.log(2))) / 1280


@dataclass(frozen=True, slots=True)
class LandmarkedFace:
    """Extent of one face's landmarks in pixels; 68 ``points`` for a frontal face, 39 for a profile.

    ``number`` tells the faces of one picture apart; it is not an identity over time.
    """

    number: int
    box: Box
    points: int


class FindWhoSet(VideoSet):
    """Videos with fixations, read from ``folder`` in the layout of this module.

    ``videos`` maps ids to :class:`Video`. ``skipped`` counts what could not be used: ``missing videos``,
    ``fixations outside`` (of the picture), ``fixations lost`` (NaN), ``fixations without video``, and the
    like for faces. Raises :class:`~gasp.errors.InputError` when a table is missing or damaged, or no video is
    left.
    """

    name = "findwho"

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
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
        """66 pixels full width at half maximum at 1280 wide."""
        return float(BLUR * self.video(video).width)

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
            if not (
                video.width > 0 and video.height > 0 and 0 < video.fps < np.inf and video.first_frame >= 0
            ):
                raise InputError(f"{path}: the size, rate or first picture's time cannot be right in {row}")
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
        observer = np.array([field(row, "observer", int, path) for row in rows], np.int64)
        # Recorded as whole pixels: the middle of the pixel.
        return self._inside(video, x + 0.5, y + 0.5, observer, onset=onset / 1000, duration=duration / 1000)

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
