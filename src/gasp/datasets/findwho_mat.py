"""Find-Who-to-Look-at (Liu et al. 2017) as its authors publish it: ``video_database.mat`` and ``raw_videos/<k>.mp4``.

The struct ``video_database`` has ``fixdata_fields`` (names of columns), ``fixdata`` (rows; times in milliseconds) and
``videos_info`` (framerate_fps, size as width and height, frames; one entry per video). VideoIndex counts from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.findwho import middle_of, sigma_of, weight_of
from gasp.datasets.fixations import Fixations
from gasp.datasets.matlab import entry, read_mat
from gasp.datasets.video_set import Kernel, Video, VideoSet, probe_video
from gasp.errors import InputError

_FIELDS = ("SubjectIndex", "VideoIndex", "Timestamp", "GazeDuration", "FixationPointX", "FixationPointY")


class FindWhoMatSet(VideoSet):
    """The published FindWho folder. ``ids`` are three-digit video numbers (``001``), as in the split files.

    ``container_clock``: recordings follow the container's clock, on which the first picture may come late; False
    takes them from the first picture on, as the authors' scripts and the 2021 generator do. ``kernel``: see
    :class:`~gasp.datasets.findwho.FindWhoSet`, of which the same recordings are the same here.
    """

    name = "findwho"

    def __init__(
        self, folder: str | Path, *, container_clock: bool = True, kernel: Kernel = "authors"
    ) -> None:
        super().__init__(folder)
        self._kernel: Kernel = kernel
        self._container_clock = container_clock
        self._file = self.folder / "video_database.mat"
        database = read_mat(self._file, "video_database")
        where = f"{self._file}: video_database"
        self._table = self._columns(database, where)
        self._rates = _rates(entry(database, "videos_info", where), f"{where}.videos_info")
        raw = self.folder / "raw_videos"
        names = [f"{number:03d}" for number in range(1, len(self._rates) + 1)]
        self._files = self._with_files((name, _video_file(raw, int(name))) for name in names)
        stray = np.setdiff1d(self._table["VideoIndex"], np.arange(1, len(names) + 1))
        self._count("fixations without video", int(np.isin(self._table["VideoIndex"], stray).sum()))

    @property
    def ids(self) -> list[str]:
        """``001``, ``002``, ..."""
        return list(self._files)

    def sigma(self, video: str) -> float:
        """66 pixels full width at half maximum at 1280 wide (28 standard deviation), or that of 2021."""
        return sigma_of(self.video(video), self._kernel)

    def _columns(self, database: Any, where: str) -> dict[str, NDArray[np.float64]]:
        names = [
            str(name).replace(" ", "") for name in np.atleast_1d(entry(database, "fixdata_fields", where))
        ]
        missing = [name for name in _FIELDS if name not in names]
        if missing:
            raise InputError(f"{where}.fixdata_fields lacks {', '.join(missing)}; it has {', '.join(names)}")
        try:
            rows = np.atleast_2d(np.asarray(entry(database, "fixdata", where), np.float64))
        except (TypeError, ValueError):
            raise InputError(f"{where}.fixdata holds values that are not numbers") from None
        if rows.ndim != 2 or rows.shape[1] < len(names):
            raise InputError(f"{where}.fixdata is {rows.shape}, but has {len(names)} named columns")
        return {name: rows[:, names.index(name)] for name in _FIELDS}

    def _open(self, video: str) -> Video:
        return probe_video(video, self._files[video])

    def _read_fixations(self, video: Video) -> Fixations:
        number = int(video.name)
        self._check_rate(video, self._rates[number - 1], str(self._file))
        mine = self._table["VideoIndex"] == number
        table = {name: column[mine] for name, column in self._table.items()}
        start = 0.0 if self._container_clock else video.first_frame
        return self._inside(
            video,
            middle_of(table["FixationPointX"], self._kernel),
            middle_of(table["FixationPointY"], self._kernel),
            np.nan_to_num(table["SubjectIndex"]),
            onset=start + table["Timestamp"] / 1000,
            duration=table["GazeDuration"] / 1000,
            weight=weight_of(table["GazeDuration"] / 1000, self._kernel),
        )


def _video_file(folder: Path, number: int) -> Path:
    plain, padded = folder / f"{number}.mp4", folder / f"{number:03d}.mp4"
    return padded if padded.is_file() and not plain.is_file() else plain


def _rates(info: Any, where: str) -> list[float]:
    """Frame rate of each video, from a struct of arrays or an array of structs."""
    entries = info if isinstance(info, list | np.ndarray) else None
    try:
        if entries is not None:
            return [float(entry(one, "framerate_fps", where)) for one in entries]
        return [float(rate) for rate in np.atleast_1d(entry(info, "framerate_fps", where))]
    except (TypeError, ValueError):
        raise InputError(f"{where}.framerate_fps holds values that are not numbers") from None
