"""Videos with a table of fixations: the format for recordings of your own.

``fixations.csv`` (or ``fixations.parquet``, with pyarrow installed) has one row per fixation: ``video`` (file name,
with or without suffix), ``observer`` (number or name), ``onset_ms`` and ``duration_ms`` on the clock of the video's
container, ``x`` and ``y`` in pixels of the video from its upper left corner, and optionally ``weight``. Videos lie in
``videos/``.
Optionally ``videos.csv`` with ``video`` and ``fps`` (the rate that the gaze was recorded at, to notice a wrong file),
and ``path`` (relative to the folder) for videos elsewhere. How text tables are read:
:mod:`gasp.datasets.text_tables`; what is checked: :mod:`gasp.datasets.plausible`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gasp.datasets.columns import check_name, field, is_plain_name, observer_numbers, read_csv
from gasp.datasets.fixations import Fixations
from gasp.datasets.plausible import Columns, findings
from gasp.datasets.video_set import SUFFIXES, Video, VideoSet, probe_video
from gasp.errors import InputError

#: Standard deviation of density maps as a fraction of the width: about one degree of visual angle on a usual screen.
BLUR = 0.03

COLUMNS = ("video", "observer", "onset_ms", "duration_ms", "x", "y")


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
        self._as_written: dict[str, str] = {}  # video -> file, where the table names the file
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
        for finding in findings(video, table):
            if finding.fatal:
                raise InputError(f"{self.folder}: {finding.sentence}")
            self._problem(finding.what, finding.sentence, finding.count)
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
        if video in self._as_written:
            return self.folder / "videos" / self._as_written[video]
        candidates = [self.folder / "videos" / f"{video}{suffix}" for suffix in SUFFIXES]
        return next((path for path in candidates if path.is_file()), candidates[0])

    def _listed(self) -> dict[str, tuple[Path, float]]:
        """Path and rate of the videos named in videos.csv; empty without one."""
        path = self.folder / "videos.csv"
        if not path.is_file():
            return {}
        listed: dict[str, tuple[Path, float]] = {}
        for row in read_csv(path, ("video", "fps")):
            name = self._stem(check_name(row["video"], path))
            if name in listed:
                raise InputError(f"{path}: the video {name!r} occurs twice")
            place = self.folder / row["path"] if row.get("path") else self._find(name)
            listed[name] = (place, field(row, "fps", float, path))
        return listed

    def _read_table(self) -> Columns:
        csv, parquet = self.folder / "fixations.csv", self.folder / "fixations.parquet"
        if parquet.is_file() and csv.is_file():
            raise InputError(f"{self.folder} holds fixations.csv and fixations.parquet; keep one of them")
        path = parquet if parquet.is_file() else csv
        table = _read_parquet(path) if path is parquet else _read_text(path)
        return self._name_repeats(self._check(table, path), path)

    def _stem(self, written: str) -> str:
        """The id of a video that may be written with its suffix (``talk.mp4``); which file is meant is kept."""
        stem, suffix = Path(written).stem, Path(written).suffix.lower()
        if suffix not in SUFFIXES or self._has_file(written):
            return written
        if self._as_written.setdefault(stem, written) != written:
            raise InputError(
                f"{self.folder}: the tables name {self._as_written[stem]} and {written}; ids of videos are names "
                "without suffix, so rename one of the files"
            )
        return stem

    def _has_file(self, stem: str) -> bool:
        return any((self.folder / "videos" / f"{stem}{suffix}").is_file() for suffix in SUFFIXES)

    def _check(self, table: Columns, path: Path) -> Columns:
        """The rows whose fields are numbers and whose video has a usable name; observers become numbers."""
        numbers: list[str] = [n for n in ("onset_ms", "duration_ms", "x", "y", "weight") if n in table]
        columns: Columns = {name: np.array([_number(value) for value in table[name]]) for name in numbers}
        videos = np.array([str(value) for value in table["video"]], object)
        # A field that is empty or "nan" is lost gaze; one that is no number at all is a damaged row.
        good = np.array([is_plain_name(name) for name in videos], bool)
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
        observer = observer_numbers([str(value) for value in table["observer"]])
        stems = {name: self._stem(name) for name in dict.fromkeys(videos[good].tolist())}
        columns = {name: values[good] for name, values in columns.items()}
        columns["video"] = np.array([stems[name] for name in videos[good]], object)
        return columns | {"observer": observer[good], "row": np.flatnonzero(good) + 1}

    def _name_repeats(self, table: Columns, path: Path) -> Columns:
        """The table; rows that are there before are named: one observer cannot fixate twice at a time."""
        names = [name for name in table if name != "row"]
        seen: set[tuple[Any, ...]] = set()
        again = np.zeros(len(table["row"]), bool)
        for place, key in enumerate(zip(*(table[name].tolist() for name in names), strict=True)):
            again[place] = key in seen
            seen.add(key)
        if again.any():
            self._problem(
                "duplicate rows",
                f"{path.name} has {int(again.sum())} rows that are there before, the first is row "
                f"{table['row'][again][0]}; each counts",
                int(again.sum()),
            )
        return table


def _number(value: Any) -> float:
    """The number, NaN where a field is empty or says so, infinity where it is no number."""
    if value is None or value == "":
        return np.nan
    try:
        return np.inf if "_" in str(value) else float(value)
    except (TypeError, ValueError, OverflowError):
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
