"""Pupil Cloud and Neon: the folder of a recording with its fixations, times of pictures, and the scene video.

``fixations.csv``: ``start timestamp [ns]``, ``end timestamp [ns]`` (or ``duration [ms]``), ``fixation x [px]`` and
``fixation y [px]`` in pixels of the scene camera. ``world_timestamps.csv``: ``timestamp [ns]`` of every picture of the
scene video. ``info.json`` names the wearer. The video is the one ``.mp4`` of the folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gasp.datasets.columns import read_csv, read_json
from gasp.datasets.recordings.viewing import Floats, Viewing
from gasp.errors import InputError

_FIXATIONS, _TIMES = "fixations.csv", "world_timestamps.csv"


def is_pupil(folder: Path) -> bool:
    """Whether a folder is such a recording."""
    return (folder / _FIXATIONS).is_file() and (folder / _TIMES).is_file()


def scene_video(folder: Path) -> Path:
    """The video that the wearer's camera took."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".mp4")
    if len(found) != 1:
        raise InputError(f"{folder} holds {len(found)} .mp4 files; exactly the scene video was expected")
    return found[0]


def read_pupil(folder: Path, video: str) -> Viewing:
    """The wearer's fixations on the scene video, which has the id ``video``."""
    shown = nanoseconds(folder / _TIMES, "timestamp [ns]")
    if len(shown) < 2 or (np.diff(shown) <= 0).any():
        raise InputError(f"{folder / _TIMES}: 'timestamp [ns]' must hold an ascending time per picture")
    path = folder / _FIXATIONS
    rows = read_csv(path, ("start timestamp [ns]", "fixation x [px]", "fixation y [px]"))
    begin = nanoseconds(path, "start timestamp [ns]")
    if rows and "end timestamp [ns]" in rows[0]:
        end = nanoseconds(path, "end timestamp [ns]")
    else:
        end = begin + np.array([_number(row.get("duration [ms]", "")) * 1e6 for row in rows])
    x, y = (np.array([_number(row[f"fixation {axis} [px]"]) for row in rows]) for axis in "xy")
    first = shown[0]
    info = read_json(folder / "info.json") if (folder / "info.json").is_file() else {}
    observer = str(info.get("wearer_name") or folder.name)
    return Viewing(
        video, observer, (begin - first) / 1e9, (end - begin) / 1e9, x, y, path,
        frame_times=(shown - first) / 1e9, in_video=True,
    )  # fmt: skip


def nanoseconds(path: Path, name: str) -> Floats:
    """A column of times since 1970 in nanoseconds, as float64 that are exact to a quarter of a microsecond."""
    try:
        return np.array([int(row[name]) for row in read_csv(path, (name,))], np.float64)
    except (ValueError, OverflowError):
        raise InputError(f"{path}: {name!r} holds values that are not whole nanoseconds") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
