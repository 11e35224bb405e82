"""Fixations from samples of gaze, for files that hold no fixations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHORTEST = 0.1
"""Seconds that gaze has to stay."""

DISPERSION = 0.025
"""Extent of a fixation in x and y together, as a fraction of the screen's width: about a degree on a usual screen."""

_LONGEST_GAP = 0.075  # seconds without samples within a fixation


def detect_fixations(time: Floats, x: Floats, y: Floats, dispersion: float) -> NDArray[np.int64]:
    """First and last sample of every fixation, (n, 2): the dispersion-threshold method.

    A fixation is a run of samples of at least :data:`SHORTEST` seconds within ``dispersion`` pixels (extent of x plus
    extent of y), as long as it can be. Lost samples (NaN) do not count, and end it when they last longer than 75 ms.
    Source: Salvucci and Goldberg, ETRA 2000.
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & np.isfinite(time))
    at, across, down = time[known], x[known], y[known]
    ends = np.searchsorted(at, at + SHORTEST, "left")  # the first sample that makes it long enough
    found, start, count = [], 0, len(known)
    while start < count and ends[start] < count:
        stop = int(ends[start])
        if not _is_close(at, across, down, start, stop, dispersion):
            start += 1
            continue
        low, high = _extent(across, down, start, stop)
        while stop + 1 < count and at[stop + 1] - at[stop] <= _LONGEST_GAP:
            point = np.array([across[stop + 1], down[stop + 1]])
            wider = np.minimum(low, point), np.maximum(high, point)
            if (wider[1] - wider[0]).sum() > dispersion:
                break
            (low, high), stop = wider, stop + 1
        found.append((known[start], known[stop]))
        start = stop + 1
    return np.array(found, np.int64).reshape(-1, 2)


def _is_close(at: Floats, across: Floats, down: Floats, start: int, stop: int, dispersion: float) -> bool:
    low, high = _extent(across, down, start, stop)
    gap = float(np.diff(at[start : stop + 1]).max(initial=0))
    return bool((high - low).sum() <= dispersion) and gap <= _LONGEST_GAP


def _extent(across: Floats, down: Floats, start: int, stop: int) -> tuple[Floats, Floats]:
    part = np.stack([across[start : stop + 1], down[start : stop + 1]])
    return part.min(1), part.max(1)
