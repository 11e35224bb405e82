"""DIEM (Mital et al. 2011): a folder per video, a text file of gaze per observer.

``<id>/video/<id>.mp4``, ``<id>/audio/<id>.wav``, ``<id>/event_data/*<id>.txt``: tab-separated, no header, columns
frame, left_x, left_y, left_dil, left_event, right_x, right_y, right_dil, right_event. Frames count from 1 at 30 per
second; event -1 is an error, 0 a blink, 1 a fixation, 2 a saccade. An observer's name is the file's name without
``_<id>.txt``, the number is the place in the sorted list of names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.fixations import Fixations
from gasp.datasets.video_set import Video, VideoSet, probe_video
from gasp.errors import InputError

RATE = 30.0
SIGMA = 60.0
SHIFT = -100.0

_COLUMNS = 9
_FIXATION = 1
_EYES = {"left": 1, "right": 5}


class DiemSet(VideoSet):
    """The DIEM videos in ``folder``.

    ``eye``: whose gaze counts. ``shift``: pixels added to y, as published. Fixations are weighted by pupil dilation in
    density maps.
    """

    name = "diem"

    def __init__(
        self, folder: str | Path, *, eye: Literal["left", "right"] = "left", shift: float = SHIFT
    ) -> None:
        super().__init__(folder)
        if eye not in _EYES:
            raise InputError(f"the eye must be left or right, not {eye!r}")
        self._eye, self._shift = _EYES[eye], shift
        names = sorted(path.name for path in self.folder.iterdir() if (path / "event_data").is_dir())
        if not names:
            raise InputError(f"{self.folder} holds no <id>/event_data folder")
        with_gaze = []
        for name in names:
            if any((self.folder / name / "event_data").glob(f"*{_literal(name)}.txt")):
                with_gaze.append(name)
            else:
                self._problem("videos without gaze", f"{name}/event_data holds no *{name}.txt; it is skipped")
        self._files = self._with_files(
            (name, self.folder / name / "video" / f"{name}.mp4") for name in with_gaze
        )

    @property
    def ids(self) -> list[str]:
        """``<title>_<w>x<h>``, sorted."""
        return list(self._files)

    def observers(self, video: str) -> list[str]:
        """Names of a video's observers; the place in the list is the observer's number."""
        return [path.name.removesuffix(f"{video}.txt").rstrip("_") for path in self._texts(video)]

    def sigma(self, video: str) -> float:
        """60 pixels."""
        return SIGMA

    def _texts(self, video: str) -> list[Path]:
        return sorted((self.folder / video / "event_data").glob(f"*{_literal(video)}.txt"))

    def _open(self, video: str) -> Video:
        return probe_video(video, self._files[video])

    def _read_fixations(self, video: Video) -> Fixations:
        tables = [self._read_text(path) for path in self._texts(video.name)]
        rows = np.concatenate(tables)
        observer = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        self._check_rate(video, RATE, "DIEM")
        fixating = rows[:, self._eye + 3] == _FIXATION
        counted = rows[:, 0] >= 1
        self._count("malformed rows", int((fixating & ~counted).sum()))
        rows, observer = rows[fixating & counted], observer[fixating & counted]
        return self._inside(
            video,
            rows[:, self._eye],
            rows[:, self._eye + 1] + self._shift,
            observer,
            onset=video.first_frame + (rows[:, 0] - 1) / RATE,
            duration=1 / RATE,
            weight=rows[:, self._eye + 2],
        )

    def _read_text(self, path: Path) -> NDArray[np.float64]:
        """The rows of one observer, (n, 9); malformed ones are left out and counted."""
        try:
            if not path.stat().st_size:
                self._problem("empty files", f"{path.name} is empty")
                return np.zeros((0, _COLUMNS))
            return np.loadtxt(path, delimiter="\t", ndmin=2, dtype=np.float64, usecols=range(_COLUMNS))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        except (ValueError, IndexError):
            pass  # row by row then
        rows, bad = [], []
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            try:
                values = [float(text) for text in line.split("\t")]
            except ValueError:
                values = []
            if len(values) >= _COLUMNS:
                rows.append(values[:_COLUMNS])
            elif line.strip():
                bad.append(number)
        if bad:
            self._problem(
                "malformed rows",
                f"{path.name} has {len(bad)} malformed rows, the first is line {bad[0]}; they are left out",
                len(bad),
            )
        return np.array(rows, np.float64).reshape(-1, _COLUMNS)


def _literal(name: str) -> str:
    """A name for use in a glob pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
