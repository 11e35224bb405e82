"""Tobii Pro Lab: the data export as one table (.tsv) for all participants, or one for each.

Columns that are read: ``Recording timestamp``, ``Participant name``, ``Recording name``, ``Sensor``, ``Event``,
``Event value``, ``Presented Stimulus name`` (or ``Presented Media name``), ``Presented Media position X (DACSpx)`` and
Y, ``Presented Media width`` and height, ``Recording resolution width`` and height, ``Eye movement type``, ``Eye
movement type index``, ``Gaze event duration`` (or ``Eye movement event duration``), ``Fixation point X`` and Y (pixels
of the screen). Timestamps are in milliseconds in some versions and in microseconds in others: which is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np

from gasp.datasets.recordings.viewing import Rectangle, Viewing
from gasp.datasets.text_tables import fold, read_table
from gasp.errors import InputError

_NEEDED = (
    "recording timestamp",
    "eye movement type",
    "eye movement type index",
    "fixation point x",
    "fixation point y",
)
_STIMULUS = ("presented stimulus name", "presented media name")
_DURATION = ("gaze event duration", "eye movement event duration")
_START = "VideoStimulusStart"

Row = Mapping[str, str]


def is_tobii(header: str) -> bool:
    """Whether a table with this first line is such an export."""
    names = header.casefold()
    return "recording timestamp" in names and "eye movement type" in names


def read_tobii(path: Path, video_of: Callable[[str], str | None]) -> Iterator[Viewing]:
    """What each participant fixated on each video. ``video_of`` gives the id of a video for a stimulus' name."""
    table = read_table(path, _NEEDED, separators=("\t", ",", ";"))
    header = [_plain(name) for name in table.header]
    missing = [name for name in _NEEDED if name not in header]
    if missing or not any(name in header for name in _STIMULUS):
        lacking = ", ".join(missing or [_STIMULUS[0]])
        raise InputError(f"{path} lacks the column(s) {lacking}; choose them in Tobii Pro Lab's data export")
    rows: list[Row] = [dict(zip(header, values, strict=False)) for _, values in table.rows]
    rows = [row for row in rows if row.get("sensor", "") in ("", "Eye Tracker") or row.get("event")]
    per_second = _ticks(table.header, rows, path)
    for (observer, _), group in groupby(
        rows, lambda row: (row.get("participant name", ""), row.get("recording name"))
    ):
        yield from _viewings(list(group), observer, per_second, path, video_of)


def _viewings(
    rows: list[Row], observer: str, per_second: float, path: Path, video_of: Callable[[str], str | None]
) -> Iterator[Viewing]:
    for shown in _showings(rows):
        video = video_of(_stimulus(shown[0]))
        if video is None:
            continue
        start = _number(shown[0], "recording timestamp") / per_second
        fixations = np.array([*_fixations(shown, per_second)], np.float64).reshape(-1, 4)
        yield Viewing(
            video, observer or path.stem, fixations[:, 0] - start, fixations[:, 1], fixations[:, 2], fixations[:, 3],
            path, screen=_screen(shown), rectangle=_rectangle(shown),
        )  # fmt: skip


def _showings(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows of each time that a stimulus was shown, from its start event on where there is one."""
    shown: list[Row] = []
    for row in rows:
        stimulus = _stimulus(row)
        begins = row.get("event") == _START
        if not stimulus or (row.get("event") and not begins):
            continue
        if shown and (begins or _stimulus(shown[0]) != stimulus):
            yield shown
            shown = []
        shown.append(row)
    if shown:
        yield shown


def _fixations(rows: list[Row], per_second: float) -> Iterator[tuple[float, float, float, float]]:
    """Onset and duration in seconds, x and y of each fixation, which fills several rows."""
    kept = [row for row in rows if row.get("eye movement type") == "Fixation" and not row.get("event")]
    for _, group in groupby(kept, lambda row: row["eye movement type index"]):
        samples = list(group)
        begin, end = (_number(samples[k], "recording timestamp") / per_second for k in (0, -1))
        lasts = _first(samples[0], _DURATION) / 1000
        x, y = (_first(samples[0], (f"fixation point {axis}",)) for axis in "xy")
        yield begin, lasts if np.isfinite(lasts) else end - begin, x, y


def _ticks(header: list[str], rows: list[Row], path: Path) -> float:
    """Units of the timestamps per second: said by the header, or by how long fixations last in milliseconds."""
    name = next(name for name in header if _plain(name) == "recording timestamp").casefold()
    if "[" in name:
        return 1e3 if "[ms]" in name else 1e6
    fixating = [row for row in rows if row.get("eye movement type") == "Fixation" and not row.get("event")]
    ratios = []
    for _, group in groupby(
        fixating, lambda row: (row.get("participant name"), row["eye movement type index"])
    ):
        samples = list(group)
        lasts, first, last = (
            _first(samples[0], _DURATION),
            *(_number(samples[k], "recording timestamp") for k in (0, -1)),
        )
        if len(samples) > 2 and lasts > 0:
            ratios.append((last - first) / lasts)
    if ratios:
        return 1e3 if np.median(ratios) < 30 else 1e6
    whole = _first(rows[0], ("recording duration",)) if rows else np.nan
    if np.isfinite(whole):
        return 1e3 if _number(rows[-1], "recording timestamp") <= 2 * whole else 1e6
    raise InputError(
        f"{path}: whether the timestamps are in milliseconds or microseconds cannot be told; export the column "
        "'Gaze event duration' or 'Recording duration' too"
    )


def _stimulus(row: Row) -> str:
    """What is shown; the start event tells it as its value, too."""
    value = row.get("event value", "") if row.get("event") == _START else ""
    return next((row[name] for name in _STIMULUS if row.get(name)), value)


def _screen(rows: list[Row]) -> tuple[int, int] | None:
    size = [_known(rows, f"recording resolution {side}") for side in ("width", "height")]
    return (int(size[0]), int(size[1])) if np.isfinite(size).all() else None


def _rectangle(rows: list[Row]) -> Rectangle | None:
    names = ("position x (dacspx)", "position y (dacspx)", "width", "height")
    place = [_known(rows, f"presented media {name}") for name in names]
    return Rectangle(*place) if np.isfinite(place).all() and min(place[2:]) > 0 else None


def _known(rows: list[Row], name: str) -> float:
    """The first value that is given, NaN without."""
    return next((_number(row, name) for row in rows if row.get(name)), np.nan)


def _first(row: Row, names: tuple[str, ...]) -> float:
    return next((_number(row, name) for name in names if row.get(name)), np.nan)


def _number(row: Row, name: str) -> float:
    try:
        return float(row.get(name, "").replace(",", "."))
    except ValueError:
        return np.nan


def _plain(name: str) -> str:
    """A column's name without its unit in brackets, in lower case."""
    return fold(name.split("[")[0])
