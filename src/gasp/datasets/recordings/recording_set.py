"""Videos with what eye trackers recorded while they were shown: a folder with ``videos/`` and the trackers' files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gasp.datasets.columns import is_plain_name, observer_numbers
from gasp.datasets.fixations import Fixations
from gasp.datasets.gaze_table import BLUR
from gasp.datasets.plausible import findings
from gasp.datasets.recordings import bids
from gasp.datasets.recordings.eyelink import read_eyelink
from gasp.datasets.recordings.pupil import is_pupil, read_pupil, scene_video
from gasp.datasets.recordings.tobii import is_tobii, read_tobii
from gasp.datasets.recordings.viewing import Placement, Viewing
from gasp.datasets.text_tables import read_text
from gasp.datasets.video_set import SUFFIXES, Video, VideoSet, probe_video
from gasp.errors import InputError

_ORIGINALS = ("videos", "stimuli")
_START = 4000  # characters of a table that are looked at


class RecordingSet(VideoSet):
    """Videos in ``folder/videos`` (or ``stimuli``) with recordings of eye trackers anywhere below ``folder``.

    Read are Tobii Pro Lab's export (``.tsv``), EyeLink (``.asc``), BIDS eye tracking (``_physio.tsv.gz``), and folders
    of Pupil Cloud and Neon, whose scene videos are videos of the set. ``placement``: where the video was on the
    screen, and when it began, where the files do not say it. ``blur``: standard deviation of density maps as a
    fraction of the width. Raises :class:`~gasp.errors.InputError` when there is no recording of any video.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        placement: Placement | None = None,
        blur: float = BLUR,
    ) -> None:
        super().__init__(folder)
        self.name = name or self.folder.resolve().name.lower()
        self._placement, self._blur = placement or Placement(), blur
        self._stimuli = dict(self._find_videos())
        self._files: dict[str, Path] = {}
        self._strange: dict[str, None] = {}  # names of stimuli that are no video of the set
        self._viewings: dict[str, list[Viewing]] = {}
        for viewing in self._recorded():
            self._viewings.setdefault(viewing.video, []).append(viewing)
            self._files.setdefault(viewing.video, self._stimuli[viewing.video])
        if self._strange:
            names = ", ".join(list(self._strange)[:8])
            self._problem("stimuli without video", f"no video is there for {names}", len(self._strange))
        for video in sorted(self._stimuli.keys() - self._viewings.keys()):
            self._problem("videos without gaze", f"no recording shows {video}; it is skipped")
        if not self._viewings:
            known = ", ".join(sorted(self._stimuli)) or "no video in videos/"
            raise InputError(
                f"{self.folder}: no recording of {known} was found; Tobii's .tsv, EyeLink's .asc, BIDS' _physio.tsv.gz "
                "and folders of Pupil Cloud are read, and name the video that was shown (see docs/recordings.md)"
            )

    @property
    def ids(self) -> list[str]:
        """Names of the videos that somebody looked at, sorted."""
        return sorted(self._files)

    def observers(self, video: str) -> list[str]:
        """Names of a video's observers, in the order of their recordings."""
        return list(dict.fromkeys(viewing.observer for viewing in self._viewings[video]))

    def sigma(self, video: str) -> float:
        """``blur`` times the width."""
        return self._blur * self.video(video).width

    def _open(self, video: str) -> Video:
        return probe_video(video, self._files[video])

    def _read_fixations(self, video: Video) -> Fixations:
        viewings = self._viewings[video.name]
        points = [np.stack(viewing.points(video, self._placement)) for viewing in viewings]
        times = [np.stack(viewing.times(video, self._placement)) for viewing in viewings]
        (x, y), (onset, duration) = np.concatenate(points, 1), np.concatenate(times, 1)
        names = [viewing.observer for viewing in viewings for _ in viewing.x]
        table = {"x": x, "y": y, "onset_ms": 1000 * onset, "duration_ms": 1000 * duration}
        for finding in findings(video, table | {"row": np.arange(1, len(x) + 1)}):
            if finding.fatal:
                raise InputError(f"{viewings[0].source}: {finding.sentence}")
            self._problem(finding.what, finding.sentence, finding.count)
        # What began before the first picture and goes on is still there.
        return self._inside(
            video, x, y, observer_numbers(names) if names else 0, onset=onset, duration=duration
        )

    # --- files -------------------------------------------------------------------------------------------

    def _find_videos(self) -> Iterator[tuple[str, Path]]:
        for place in _ORIGINALS:
            if (self.folder / place).is_dir():
                for path in sorted((self.folder / place).iterdir()):
                    if path.suffix.lower() in SUFFIXES and path.is_file() and is_plain_name(path.stem):
                        yield path.stem, path
        for folder in _pupil_folders(self.folder):
            yield folder.resolve().name, scene_video(folder)

    def _video_of(self, stimulus: str) -> str | None:
        """The id of the video that a recording calls ``stimulus``, which may be a path; of "" the only one."""
        if not stimulus:
            return next(iter(self._stimuli)) if len(self._stimuli) == 1 else None
        name = stimulus.replace("\\", "/").rsplit("/", 1)[-1].strip()
        stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in SUFFIXES else name
        folded = {video.casefold(): video for video in self._stimuli}
        found = folded.get(name.casefold()) or folded.get(stem.casefold())
        if found is None:
            self._strange[name] = None
        return found

    def _recorded(self) -> Iterator[Viewing]:
        pupil = _pupil_folders(self.folder)
        for folder in pupil:
            yield read_pupil(folder, folder.resolve().name)
        for path in _files(self.folder):
            if path.parent in pupil:
                continue
            if path.name.lower().endswith(".asc"):
                yield from read_eyelink(path, self._video_of, self._placement.eye)
            elif path.name.lower().endswith(".tsv") and is_tobii(_header(path)):
                yield from read_tobii(path, self._video_of)
        for path in self._bids_files():
            yield from bids.read_bids(path, self.folder, self._video_of)

    def _bids_files(self) -> list[Path]:
        """One recording of each run: of the eye asked for, where both are there."""
        found: dict[str, Path] = {}
        for path in _files(self.folder):
            if (
                path.name.startswith("sub-")
                and path.name.endswith(bids.SUFFIX)
                and bids.is_eyetrack(path, self.folder)
            ):
                run = str(path.with_name(bids.without_recording(path)))
                if run not in found or bids.recorded_eye(path, self.folder) == self._placement.eye:
                    found[run] = path
        return list(found.values())


def has_recordings(folder: Path) -> bool:
    """Whether a folder holds files of eye trackers (and is no table of fixations)."""
    if is_pupil(folder):
        return True
    if (folder / "fixations.csv").is_file() or (folder / "fixations.parquet").is_file():
        return False
    return bool(_pupil_folders(folder)) or any(
        path.name.lower().endswith((".asc", bids.SUFFIX))
        or (path.name.lower().endswith(".tsv") and is_tobii(_header(path)))
        for path in _files(folder)
    )


def _files(folder: Path) -> list[Path]:
    """Regular files of the folder and three levels below, sorted; videos are not looked through."""
    found = []
    for level in ("*", "*/*", "*/*/*", "*/*/*/*"):
        found += [
            path
            for path in folder.glob(level)
            if path.is_file() and path.suffix in (".asc", ".tsv", ".gz", ".ASC")
        ]
    return sorted(found)


def _pupil_folders(folder: Path) -> list[Path]:
    below = [path for path in (folder, *folder.glob("*"), *folder.glob("*/*")) if path.is_dir()]
    return sorted(path for path in below if is_pupil(path))


def _header(path: Path) -> str:
    """The first line of a table."""
    return read_text(path, most=_START).lstrip().split("\n", 1)[0]
