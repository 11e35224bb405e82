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

from gasp.datasets.fixations import DensityMap, FixationMap, Fixations, density_map, fixation_map
from gasp.datasets.tables import check_name, column, field, read_csv
from gasp.errors import InputError
from gasp.faces.face import Box

logger = logging.getLogger(__name__)

#: Standard deviation of density maps as a fraction of the width: 66 px full width at half maximum at 1280.
BLUR = 66 / (2 * np.sqrt(2 * np.log(2))) / 1280


@dataclass(frozen=True, slots=True)
class Video:
    """One video: where it is, its size in pixels, pictures per second and number of pictures.

    ``first_frame`` is when picture 0 appears, in seconds on the container's clock.
    """

    name: str
    path: Path
    width: int
    height: int
    fps: float
    frames: int
    has_audio: bool
    first_frame: float

    def time(self, frame_index: int) -> float:
        """The middle of picture ``frame_index``'s time on screen, in seconds on the container's clock."""
        return self.first_frame + (frame_index + 0.5) / self.fps


@dataclass(frozen=True, slots=True)
class LandmarkedFace:
    """Extent of one face's landmarks in pixels; 68 ``points`` for a frontal face, 39 for a profile.

    ``number`` tells the faces of one picture apart; it is not an identity over time.
    """

    number: int
    box: Box
    points: int


class FindWhoSet:
    """Videos with fixations, read from ``folder`` in the layout of this module.

    ``videos`` maps ids to :class:`Video`. ``skipped`` counts what could not be used: ``missing videos``,
    ``fixations outside`` (of the picture), ``fixations lost`` (NaN), ``fixations without video``, and the
    like for faces. Raises :class:`~gasp.errors.InputError` when a table is missing or damaged, or no video is
    left.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.skipped: dict[str, int] = {}
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not a folder; videos with fixations were expected there")
        listed = self._read_videos()
        self.videos = {name: video for name, video in listed.items() if video.path.is_file()}
        self._count("missing videos", len(listed) - len(self.videos))
        if not self.videos:
            raise InputError(
                f"{self.folder}/videos holds none of the {len(listed)} videos named in videos.csv"
            )
        self._fixations = self._read_fixations(listed)
        self._faces = self._read_faces(listed)
        if self.skipped:
            counts = ", ".join(f"{count} {what}" for what, count in self.skipped.items())
            logger.warning("%s: skipped %s", self.folder, counts)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def ids(self) -> list[str]:
        """Names of the videos, in the order of ``videos.csv``."""
        return list(self.videos)

    def fixations(self, video: str) -> Fixations:
        """All fixations on a video; ``onset`` is on the container's clock, points in pixels of the video."""
        return self._fixations[self._known(video).name]

    def fixations_at(self, video: str, frame_index: int) -> Fixations:
        """Fixations going on while picture ``frame_index`` (from 0) is shown."""
        return self.fixations(video).active_at(self._known(video).time(frame_index))

    def fixation_map_at(self, video: str, frame_index: int) -> FixationMap:
        """Fixations at one picture counted per pixel, at the video's size."""
        return fixation_map(
            self.fixations_at(video, frame_index), self._known(video).height, self._known(video).width
        )

    def density_at(self, video: str, frame_index: int) -> DensityMap:
        """Fixation density at one picture: 66 pixels full width at half maximum at 1280 wide.

        Raises :class:`~gasp.errors.InputError` when nobody fixates then; see :meth:`fixations_at`.
        """
        return density_map(self.fixation_map_at(video, frame_index), BLUR * self._known(video).width)

    def faces(self, video: str, frame_index: int) -> list[LandmarkedFace]:
        """Faces marked in one picture."""
        return self._faces.get((self._known(video).name, frame_index), [])

    def _known(self, video: str) -> Video:
        if video not in self.videos:
            raise InputError(f"{self.folder} has no video {video!r}; it has {', '.join(self.videos)}")
        return self.videos[video]

    def _count(self, what: str, count: int) -> None:
        if count:
            self.skipped[what] = self.skipped.get(what, 0) + count

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

    def _read_fixations(self, videos: dict[str, Video]) -> dict[str, Fixations]:
        path = self.folder / "fixations.csv"
        by_video = defaultdict(list)
        for row in read_csv(path, ("video", "observer", "onset_ms", "duration_ms", "x", "y")):
            by_video[row["video"]].append(row)
        for name in by_video.keys() - videos.keys():
            self._count("fixations without video", len(by_video[name]))
        return {name: self._fixations_of(video, by_video[name], path) for name, video in videos.items()}

    def _fixations_of(self, video: Video, rows: list[dict[str, str]], path: Path) -> Fixations:
        x, y, onset, duration = (column(rows, name, path) for name in ("x", "y", "onset_ms", "duration_ms"))
        found = np.isfinite(x) & np.isfinite(y) & np.isfinite(onset) & np.isfinite(duration)
        fixations = Fixations.create(
            x[found] + 0.5,  # recorded as whole pixels: the middle of the pixel
            y[found] + 0.5,
            np.array([field(row, "observer", int, path) for row in rows], np.int64)[found],
            duration=duration[found] / 1000,
            onset=onset[found] / 1000,
        )
        inside = fixations.inside(video.height, video.width)
        self._count("fixations lost", int((~found).sum()))
        self._count("fixations outside", len(fixations) - len(inside))
        return inside

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
