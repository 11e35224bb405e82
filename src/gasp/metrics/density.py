"""Maps as distributions over a picture: how attention is shared out, and what is expected before anything is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CENTRE_SIGMA = 0.25
"""Standard deviation of the centre prior as a fraction of each side."""


def centre_prior(height: int, width: int) -> NDArray[np.float32]:
    """A Gaussian in the middle, standard deviation :data:`CENTRE_SIGMA` of each side, peak 1."""
    y, x = ((np.arange(side) + 0.5) / side - 0.5 for side in (height, width))
    down, across = (np.exp(-(axis**2) / (2 * CENTRE_SIGMA**2)) for axis in (y, x))
    return np.outer(down, across).astype(np.float32)


def as_density(saliency: NDArray[np.float32]) -> NDArray[np.float64]:
    """The map scaled to sum 1; uniform where it is zero everywhere (a constant map before its scaling)."""
    total = float(saliency.sum(dtype=np.float64))
    if total <= 0:
        return np.full(saliency.shape, 1 / saliency.size)
    return saliency.astype(np.float64) / total


def sums_within(
    maps: NDArray[Any], box: tuple[float, float, float, float], height: int, width: int
) -> NDArray[np.float64]:
    """Sums of maps (..., h, w) over a box x1, y1, x2, y2 in pixels of a ``height`` x ``width`` picture: (...).

    Cells that the box covers in part count in part.
    """
    rows, columns = maps.shape[-2:]
    x1, y1, x2, y2 = box
    across = _coverage(x1 * columns / width, x2 * columns / width, columns)
    down = _coverage(y1 * rows / height, y2 * rows / height, rows)
    return np.asarray(down @ maps @ across, np.float64)


def _coverage(start: float, end: float, cells: int) -> NDArray[np.float64]:
    """How much of each of ``cells`` unit intervals lies between ``start`` and ``end``."""
    left = np.arange(cells)
    return np.clip(np.minimum(left + 1, end) - np.maximum(left, start), 0, 1)
