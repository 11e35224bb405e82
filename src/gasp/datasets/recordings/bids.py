"""BIDS 1.11 eye tracking: ``sub-<label>_..._physio.tsv.gz`` with its ``.json``.

The tables have no header; the sidecar's ``Columns`` name ``timestamp``, ``x_coordinate``, ``y_coordinate``; its
``PhysioType`` is ``eyetrack``; coordinates are in pixels of the screen; sidecars of folders above count, too
(inheritance principle). ``..._physioevents.tsv.gz`` has fixations (``onset``, ``duration``, ``trial_type``); without it
they are found from the samples. ``..._events.tsv`` says with ``stim_file`` which video was shown when (``onset``, in
seconds from the first sample); without it the task's label is the video. ``StimulusPresentation.ScreenResolution`` is
the screen's size.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gasp.datasets.columns import read_csv, read_json
from gasp.datasets.recordings.detection import DISPERSION, detect_fixations
from gasp.datasets.recordings.viewing import Floats, Viewing, merge_samples
from gasp.errors import InputError

SUFFIX = "_physio.tsv.gz"

_MOST_BYTES = 2**31  # of one table, unpacked: ten hours at 2000 samples per second
_PIXELS = ("pixel", "pixels", "px")
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "µs": 1e6, "μs": 1e6, "ns": 1e9}

VideoOf = Callable[[str], str | None]


def is_eyetrack(path: Path, root: Path) -> bool:
    """Whether a physiological recording is of the eyes."""
    return metadata(path, root).get("PhysioType") == "eyetrack"


def recorded_eye(path: Path, root: Path) -> str:
    """left, right, cyclopean, or nothing where the sidecar does not say it."""
    return str(metadata(path, root).get("RecordedEye", ""))


def without_recording(path: Path) -> str:
    """The name without the part that tells the recordings of two eyes apart."""
    return re.sub(r"_recording-[^_]+", "", path.name)


def read_bids(path: Path, root: Path, video_of: VideoOf) -> Iterator[Viewing]:
    """What the subject of ``sub-..._physio.tsv.gz`` fixated on each video."""
    about = metadata(path, root)
    columns = _table(path, about)
    for axis in "xy":
        _check_pixels(path, about, f"{axis}_coordinate")
    x, y = columns["x_coordinate"], columns["y_coordinate"]
    time, per_second = _times(path, about, columns)
    screen = _screen(path, root)
    begin, lasts, across, down = _fixations(path, root, time, x, y, per_second, screen)
    subject = next(part for part in path.name.split("_") if part.startswith("sub-"))
    first = float(time[0]) if len(time) else 0.0
    for video, start, stop in _shown(path, video_of):
        mine = (begin - first >= start) & (begin - first < stop)
        yield Viewing(
            video,
            subject,
            begin[mine] - first - start,
            lasts[mine],
            across[mine],
            down[mine],
            path,
            screen=screen,
        )


def metadata(path: Path, root: Path, suffix: str = "physio") -> dict[str, Any]:
    """What the sidecars say, those of folders above first."""
    own = _entities(path)
    folder = path.parent
    folders = [folder]
    while folder not in (root, folder.parent):
        folder = folder.parent
        folders.append(folder)
    found: dict[str, Any] = {}
    for place in reversed(folders):
        sidecars = [
            one for one in place.glob(f"*{suffix}.json") if _kind(one) == suffix and _entities(one) <= own
        ]
        for sidecar in sorted(sidecars, key=lambda one: (len(_entities(one)), one.name)):
            found |= read_json(sidecar)
    return found


def _fixations(
    path: Path,
    root: Path,
    time: Floats,
    x: Floats,
    y: Floats,
    per_second: float,
    screen: tuple[int, int] | None,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Onsets (on the clock of ``time``) and durations in seconds, x and y."""
    events = path.with_name(path.name.replace(SUFFIX, "_physioevents.tsv.gz"))
    if events.is_file():
        about = metadata(events, root, "physioevents")
        table = _read(events, _names(events, about, ("onset", "duration", "trial_type")))
        units = per_second if about.get("OnsetSource") == "timestamp" else 1.0
        rows = [(row["onset"], row["duration"]) for row in table if row["trial_type"] == "fixation"]
        begin, lasts = np.array([[_number(text) / units for text in row] for row in rows]).reshape(-1, 2).T
        if units == 1.0 and len(time):
            begin = begin + time[0]
        return begin, lasts, *merge_samples(time, x, y, begin, begin + lasts)
    width = screen[0] if screen else float(np.nanmax(x, initial=1.0))
    spans = detect_fixations(time, x, y, DISPERSION * width)
    begin, end = time[spans[:, 0]], time[spans[:, 1]]
    return begin, end - begin, *merge_samples(time, x, y, begin, end)


def _shown(path: Path, video_of: VideoOf) -> Iterator[tuple[str, float, float]]:
    """Videos, and from when to when they were shown, in seconds from the first sample."""
    table = path.with_name(without_recording(path).replace(SUFFIX, "_events.tsv"))
    if table.is_file():
        rows = [
            row
            for row in read_csv(table, ("onset", "duration"), lenient=True)
            if row.get("stim_file", "n/a") != "n/a"
        ]
        for row in rows:
            video, start, lasts = video_of(row["stim_file"]), _number(row["onset"]), _number(row["duration"])
            if video is not None and np.isfinite(start):
                yield video, start, start + lasts if lasts > 0 else np.inf
        if rows:
            return
    task = next((part[5:] for part in path.name.split("_") if part.startswith("task-")), "")
    video = video_of(task) or video_of("")
    if video is not None:
        yield video, 0.0, np.inf


def _table(path: Path, about: dict[str, Any]) -> dict[str, Floats]:
    names = _names(path, about, ("x_coordinate", "y_coordinate"))
    rows = _read(path, names)
    return {name: np.array([_number(row[name]) for row in rows], np.float64) for name in names}


def _times(path: Path, about: dict[str, Any], columns: dict[str, Floats]) -> tuple[Floats, float]:
    """Times of the samples in seconds, ascending, and the units of timestamps per second."""
    if "timestamp" in columns:
        column = about.get("timestamp")
        unit = str(column.get("Units", "s")) if isinstance(column, dict) else "s"
        if unit not in _PER_SECOND:
            raise InputError(f"{path}: timestamps in {unit!r} cannot be read; {', '.join(_PER_SECOND)} can")
        time = columns["timestamp"] / _PER_SECOND[unit]
        if not (np.isfinite(time).all() and (np.diff(time) >= 0).all()):
            raise InputError(f"{path}: the timestamps do not ascend")
        return time, _PER_SECOND[unit]
    rate = about.get("SamplingFrequency")
    if not isinstance(rate, int | float) or not 0 < rate <= 1e5:
        raise InputError(f"{path}: there is no column 'timestamp', and SamplingFrequency is {rate!r}")
    return np.arange(len(columns["x_coordinate"])) / rate, 1.0


def _check_pixels(path: Path, about: dict[str, Any], name: str) -> None:
    column = about.get(name)
    unit = str(column.get("Units", "pixel")) if isinstance(column, dict) else "pixel"
    if unit not in _PIXELS:
        raise InputError(f"{path}: {name} is in {unit!r}; only pixels of the screen can be mapped to a video")


def _screen(path: Path, root: Path) -> tuple[int, int] | None:
    shown = metadata(path.with_name(without_recording(path)), root, "events").get("StimulusPresentation")
    size = shown.get("ScreenResolution") if isinstance(shown, dict) else None
    if not (
        isinstance(size, list) and len(size) == 2 and all(isinstance(s, int) and 0 < s < 65536 for s in size)
    ):
        return None
    return size[0], size[1]


def _names(path: Path, about: dict[str, Any], needed: tuple[str, ...]) -> list[str]:
    names = about.get("Columns")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: its JSON file lacks 'Columns', the names of the columns")
    missing = [name for name in needed if name not in names]
    if missing or len(set(names)) < len(names):
        raise InputError(f"{path}: 'Columns' {names} lacks {', '.join(missing) or 'unique names'}")
    return names


def _read(path: Path, names: list[str]) -> list[dict[str, str]]:
    """The rows of a packed table without header."""
    try:
        with gzip.open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise InputError(f"{path} unpacks to more than {_MOST_BYTES} bytes")
        lines = data.decode("utf-8").splitlines()
        rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a packed table: {error}") from None
    wrong = next((place for place, row in enumerate(rows, 1) if len(row) != len(names)), None)
    if wrong is not None:
        raise InputError(f"{path}, line {wrong}: {len(rows[wrong - 1])} fields instead of {len(names)}")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _entities(path: Path) -> set[str]:
    """The parts ``key-value`` of a name."""
    return {part for part in path.name.split(".")[0].split("_") if "-" in part}


def _kind(path: Path) -> str:
    return path.name.split(".")[0].split("_")[-1]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
