"""Whether recorded gaze can be what its table says: units, range, spread, coverage.

Tables with the wrong unit are read without any fault, and give no fixation or fixations in one corner. These checks say
so, naming column and rows, before anything is computed from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.video_set import Video

Columns = dict[str, NDArray[Any]]

FEWEST = 5
"""Rows of a video from which something can be said about them all."""

_LONG_MS = 10_000.0  # nobody fixates longer
_SHORT_MS = 3.0  # a median below it, and varying, is in seconds; samples of a tracker last equally long
_MUCH, _MOST = 0.2, 0.8
_LEAST_COVERED = 0.5
_LEAST_SPREAD = 0.005  # of a side


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` for the counts, a ``sentence``, how many rows; ``fatal`` where the rows cannot be used."""

    what: str
    sentence: str
    count: int
    fatal: bool = False


def findings(video: Video, table: Columns) -> Iterator[Finding]:
    """What is doubtful about a video's rows: ``onset_ms``, ``duration_ms``, ``x``, ``y`` and ``row`` (numbers, from 1).

    Lost gaze (NaN) does not count.
    """
    found = np.isfinite(table["x"]) & np.isfinite(table["y"]) & np.isfinite(table["onset_ms"])
    table = {name: values[found] for name, values in table.items()}
    if len(table["x"]):
        yield from _durations(video, table)
    if len(table["x"]) >= FEWEST:
        yield from _times(video, table)
        yield from _places(video, table)


def _durations(video: Video, table: Columns) -> Iterator[Finding]:
    duration = table["duration_ms"]
    long = duration > _LONG_MS
    if long.any():
        yield Finding(
            "implausibly long fixations",
            f"{video.name}: duration_ms is above {_LONG_MS:g} in {_rows(table, long)}; nobody fixates for 10 s",
            int(long.sum()),
        )
    median = float(np.nanmedian(duration)) if np.isfinite(duration).any() else np.nan
    if (
        len(duration) >= FEWEST
        and median < _SHORT_MS
        and np.nanmax(duration) - np.nanmin(duration) > 0.1 * median
    ):
        yield Finding(
            "durations in seconds",
            f"{video.name}: half of duration_ms is below {median:.3g}, which looks like seconds; it is to be in "
            "milliseconds",
            len(duration),
            fatal=True,
        )


def _times(video: Video, table: Columns) -> Iterator[Finding]:
    if not video.frames:
        return
    onset = table["onset_ms"] / 1000
    end = video.first_frame + video.frames / video.fps
    last = float(np.nanmax(onset))
    if last < 0.02 * end and 0.1 * end < 1000 * last < 1.5 * end and np.unique(onset).size > 1:
        yield Finding(
            "times in seconds",
            f"{video.name}: onset_ms ends at {1000 * last:.4g} while the video lasts {end:.1f} s, which looks like "
            "seconds; it is to be in milliseconds",
            len(onset),
            fatal=True,
        )
        return
    late = onset >= end
    if late.any():
        most = bool(late.mean() > 0.5)
        hint = "; onset_ms is to be in milliseconds on the video's clock" if most else ""
        yield Finding(
            "fixations after the end",
            f"{video.name}: onset_ms is beyond the video's {end:.1f} s in {_rows(table, late)}{hint}",
            int(late.sum()),
            fatal=most,
        )
    early = onset + np.nan_to_num(table["duration_ms"]) / 1000 <= 0
    if early.any():
        yield Finding(
            "fixations before the start",
            f"{video.name}: onset_ms is before the video's start in {_rows(table, early)}",
            int(early.sum()),
        )
    covered = float(np.nanmax(onset + np.nan_to_num(table["duration_ms"]) / 1000)) / end
    if covered < _LEAST_COVERED:
        yield Finding(
            "videos with gaze on a part only",
            f"{video.name}: the last fixation (onset_ms and duration_ms) ends at {100 * covered:.0f} % of the video",
            1,
        )


def _places(video: Video, table: Columns) -> Iterator[Finding]:
    sides = {"x": video.width, "y": video.height}
    if all(table[name].min() >= -0.5 and table[name].max() <= 1.5 for name in sides):
        yield Finding(
            "coordinates in fractions",
            f"{video.name}: x and y lie between 0 and 1, which looks like fractions; they are to be in pixels of the "
            f"video ({video.width} x {video.height})",
            len(table["x"]),
            fatal=True,
        )
        return
    for name, side in sides.items():
        values = table[name]
        outside = (values < 0) | (values >= side)
        if outside.mean() > _MUCH:
            yield Finding(
                "coordinates of another picture",
                f"{video.name}: {name} goes from {values.min():.0f} to {values.max():.0f}, but the video has {side} "
                f"pixels there; {_rows(table, outside)} lie outside. If these are pixels of the screen, see "
                "docs/recordings.md",
                int(outside.sum()),
                fatal=bool(outside.mean() > _MOST),
            )
        elif len(values) >= 2 * FEWEST and np.ptp(values) < _LEAST_SPREAD * side:
            yield Finding(
                "coordinates that hardly vary",
                f"{video.name}: {name} is between {values.min():.1f} and {values.max():.1f} in all {len(values)} rows",
                len(values),
            )


def _rows(table: Columns, which: NDArray[np.bool_]) -> str:
    """How many rows, and the first of them."""
    rows = table["row"][which]
    return f"{len(rows)} row{'s' * (len(rows) != 1)} (the first is row {rows[0]})"
