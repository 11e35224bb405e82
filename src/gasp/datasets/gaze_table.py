"""Videos with a table of fixations: the format for recordings of your own.

``fixations.csv`` (or ``fixations.parquet``, with pyarrow installed) has one row per fixation: ``video`` (file name
without suffix), ``observer`` (number or name), ``onset_ms`` and ``duration_ms`` on the clock of the video's container,
``x`` and ``y`` in pixels of the video from its upper left corner, and optionally ``weight``. Videos lie in ``videos/``.
Optionally ``videos.csv`` with ``video`` and ``fps`` (the rate that the gaze was recorded at, to notice a wrong file),
and ``path`` (relative to the folder) for videos elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.columns import check_name, field, read_csv
from gasp.datasets.fixations import Fixations
from gasp.datasets.video_set import Video, VideoSet, probe_video
from gasp.errors import InputError

#: Standard deviation of density maps as a fraction of the width: about one degree of visual angle on a usual screen.
BLUR = 0.03

COLUMNS = ("video", "observer", "onset_ms", "duration_ms", "x", "y")

_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")

Columns = dict[str, NDArray[Any]]


class GazeTableSet(VideoSet):
    """Videos with fixations in ``folder``, in the layout of this module.

    ``name``: the set's folder in the 2021 layout (default: the folder's name). ``blur``: standard deviation of density
    maps as a fraction of the width. Malformed rows, and rows of videos that are not there, are counted and left out.
    """

    def __init__(self, folder: str | Path, *, name: str | None = None, blur: float = BLUR) -> None:
        super().__init__(folder)
        self.name = name or self.folder.resolve().name.lower()
        if not blur > 0:
            raise InputError(f"the blur must be above 0, not {blur}")
        self._blur = blur
        self._table = self._read_table()
        listed = self._listed()
        names = list(dict.fromkeys(self._table["video"].tolist()))
        with_gaze = [name for name in listed if name in names] if listed else names
        for name in (name for name in listed if name not in names):
            self._problem("videos without gaze", f"no fixation is recorded for {name}; it is skipped")
        self._rates = {video: rate for video, (_, rate) in listed.items()}
        self._files = self._with_files(
            (video, listed[video][0] if video in listed else self._find(video)) for video in with_gaze
        )
        usable = np.isin(self._table["video"], list(self._files))
        self._count("fixations without video", int((~usable).sum()))
        self._table = {column: values[usable] for column, values in self._table.items()}

    @property
    def ids(self) -> list[str]:
        """Names of the videos, in the order in which they are listed."""
        return list(self._files)

    def sigma(self, video: str) -> float:
        """``blur`` times the width."""
        return self._blur * self.video(video).width

    def _open(self, video: str) -> Video:
        return probe_video(video, self._files[video])

    def _read_fixations(self, video: Video) -> Fixations:
        if video.name in self._rates:
            self._check_rate(video, self._rates[video.name], str(self.folder / "videos.csv"))
        mine = self._table["video"] == video.name
        table = {name: column[mine] for name, column in self._table.items()}
        return self._inside(
            video,
            table["x"],
            table["y"],
            table["observer"],
            onset=table["onset_ms"] / 1000,
            duration=table["duration_ms"] / 1000,
            weight=table.get("weight", 1.0),
        )

    def _find(self, video: str) -> Path:
        candidates = [self.folder / "videos" / f"{video}{suffix}" for suffix in _SUFFIXES]
        return next((path for path in candidates if path.is_file()), candidates[0])

    def _listed(self) -> dict[str, tuple[Path, float]]:
        """Path and rate of the videos named in videos.csv; empty without one."""
        path = self.folder / "videos.csv"
        if not path.is_file():
            return {}
        listed = {}
        for row in read_csv(path, ("video", "fps")):
            name = check_name(row["video"], path)
            place = self.folder / row["path"] if row.get("path") else self._find(name)
            listed[name] = (place, field(row, "fps", float, path))
        return listed

    def _read_table(self) -> Columns:
        csv, parquet = self.folder / "fixations.csv", self.folder / "fixations.parquet"
        if parquet.is_file() and csv.is_file():
            raise InputError(f"{self.folder} holds fixations.csv and fixations.parquet; keep one of them")
        path = parquet if parquet.is_file() else csv
        table = _read_parquet(path) if path is parquet else _read_text(path)
        return self._check(table, path)

    def _check(self, table: Columns, path: Path) -> Columns:
        """The rows whose fields are numbers and whose video has a usable name; observers become numbers."""
        numbers = [name for name in ("onset_ms", "duration_ms", "x", "y", "weight") if name in table]
        columns = {name: np.array([_number(value) for value in table[name]]) for name in numbers}
        videos = np.array([str(value) for value in table["video"]], object)
        # A field that is empty or "nan" is lost gaze; one that is no number at all is a damaged row.
        good = np.array([name == Path(name).name and name not in ("", ".", "..") for name in videos], bool)
        for values in columns.values():
            good &= ~np.isinf(values)
        good &= ~(columns["duration_ms"] <= 0)
        if "weight" in columns:
            good &= ~(columns["weight"] < 0)
        bad = np.flatnonzero(~good)
        if len(bad):
            self._problem(
                "malformed rows",
                f"{path.name} has {len(bad)} malformed rows, the first is row {bad[0] + 1}; they are left out",
                len(bad),
            )
        if not good.any():
            raise InputError(f"{path} holds no usable row")
        names, observer = np.unique([str(value) for value in table["observer"]], return_inverse=True)
        if all(name.isdecimal() for name in names):
            observer = names.astype(np.int64)[observer]
        columns = {name: values[good] for name, values in columns.items()}
        return columns | {"video": videos[good], "observer": observer[good]}


def _number(value: Any) -> float:
    """The number, NaN where a field is empty or says so, infinity where it is no number."""
    if value is None or value == "":
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.inf


def _read_text(path: Path) -> Columns:
    rows = read_csv(path, COLUMNS, lenient=True)
    names = [*COLUMNS, *(["weight"] if rows and "weight" in rows[0] else [])]
    return {name: np.array([row[name] for row in rows], object) for name in names}


def _read_parquet(path: Path) -> Columns:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError(
            f"{path}: Parquet needs pyarrow (`pip install pyarrow`); or convert the table to fixations.csv"
        ) from None
    try:
        table = parquet.read_table(path)
    except Exception as error:  # pyarrow has many
        raise InputError(f"{path} cannot be read as Parquet: {error}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path} lacks the column(s) {', '.join(missing)}; it has {table.column_names}")
    names = [*COLUMNS, *(["weight"] if "weight" in table.column_names else [])]
    return {name: np.array(table.column(name).to_pylist(), object) for name in names}
