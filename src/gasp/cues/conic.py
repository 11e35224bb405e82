"""The conic gaze field: a cone of points around a direction of gaze, drawn by depth.

Published with GASP (Abawi et al., IJCAI 2021) for Gaze360. Every pixel takes the depth of the cone's point nearest to
it in the picture; the depths are smoothed and scaled to 0..255, the nearest to the camera being the brightest.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

STEPS = 100
"""Points along the axis, and around it."""

SMOOTHING = 6.0
"""Standard deviation of the Gaussian in pixels; it is cut at 4 of them."""


def cone_points(
    apex: tuple[float, float],
    direction: NDArray[np.float32],
    *,
    length: float = 10.0,
    radius: float = 60.0,
) -> NDArray[np.int64]:
    """Points (3, 10000) on a cone, truncated to integers: x to the right, y down, depth away from the camera.

    The axis runs from ``apex`` (x, y in pixels, depth 0) along ``direction`` (a unit vector in these axes) for
    ``length`` pixels; the radius grows from 1 to ``radius`` pixels. Point 100 i + j lies at angle i and place j.
    """
    axis = (np.float32(length) * direction).astype(np.float64)
    along = axis / np.linalg.norm(axis)
    helper = np.array([1.0, 1.0, 0.0])
    if np.linalg.norm(np.cross(along, helper)) < 1e-9:
        helper = np.array([0.0, 1.0, 0.0])
    first = np.cross(along, helper)
    first /= np.linalg.norm(first)
    second = np.cross(along, first)
    place = np.linspace(0, np.linalg.norm(axis), STEPS)
    radii = np.linspace(1, radius, STEPS)
    angle = np.linspace(0, 2 * np.pi, STEPS)[:, None]
    origin = np.array([*apex, 0.0])[:, None, None]
    points = (
        origin
        + place * along[:, None, None]
        + radii * np.sin(angle) * first[:, None, None]
        + radii * np.cos(angle) * second[:, None, None]
    )
    return points.reshape(3, -1).astype(np.int64)


def visible_points(points: NDArray[np.int64], *, tree_order: bool) -> NDArray[np.int64]:
    """One of the points (3, N) for every distinct (x, y), ordered by x, then y.

    About half of the points share their place. ``tree_order``: the first in the order of scipy's k-d tree shows, as in
    the published pictures (points of one place never part in the tree, and of equals it finds the first); otherwise the
    point nearest to the camera.
    """
    order = cKDTree(points[:2].T).indices if tree_order else np.argsort(points[2], kind="stable")
    x, y = points[0, order], points[1, order]
    low, span = y.min(), y.max() - y.min() + 1
    _, first = np.unique((x - x.min()) * span + (y - low), return_index=True)
    return points[:, order[first]]


def nearest_depth(points: NDArray[np.int64], height: int, width: int) -> NDArray[np.float32]:
    """Depth of the nearest of ``points`` (3, N) for every pixel of a ``height`` x ``width`` grid.

    ``points``: one per place, ordered by x, then y (:func:`visible_points`). As published, the grid's columns lie at
    0..width and its rows at 0..height, both ends included.

    Exact, by two passes (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012): for each row
    the nearest point of every column of points, then the lower envelope of their distances along the row.
    """
    columns = np.linspace(0, width, width)
    rows = np.linspace(0, height, height)
    xs, nearest = _nearest_in_columns(points, rows)
    beside = (points[1][nearest] - rows[:, None]) ** 2.0
    winner = _lower_envelope(xs.astype(np.float64), beside, columns)
    winner += len(xs) * np.arange(height)[:, None]
    return np.take(points[2].astype(np.float32)[nearest], winner)


def _nearest_in_columns(
    points: NDArray[np.int64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct x of points, (K,), and the index of the point of each that is nearest to each row, (rows, K)."""
    xs, start = np.unique(points[0], return_index=True)
    end = np.append(start[1:], points.shape[1])
    nearest = np.empty((len(rows), len(xs)), np.int64)
    for k, (a, b) in enumerate(zip(start, end, strict=True)):
        y = points[1, a:b]
        nearest[:, k] = a + np.searchsorted((y[1:] + y[:-1]) / 2, rows)
    return xs, nearest


def _lower_envelope(
    xs: NDArray[np.float64], beside: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.int64]:
    """For every row and column the k with the least (columns[column] - xs[k])^2 + beside[row, k]: (rows, columns).

    The winner never moves to the left on the way to the right, so between two columns with known winners only those
    from the one to the other can win: the columns are halved until all are known.
    """
    # The column's own square is the same for all k: beside + xs^2 - 2 column xs decides.
    own = beside + xs**2
    stride = 1 << max(1, (len(columns) - 1).bit_length())
    # Places beyond the last column count as the last column.
    winners = (own[:, None] - 2 * columns[[0, -1], None] * xs).argmin(2)
    while stride > 1:
        stride //= 2
        between = columns[np.minimum(np.arange(winners.shape[1] - 1) * 2 * stride + stride, len(columns) - 1)]
        wider = np.empty((len(winners), winners.shape[1] * 2 - 1), np.int64)
        wider[:, ::2], wider[:, 1::2] = winners, winners[:, :-1]
        row, cell = np.nonzero(winners[:, 1:] != winners[:, :-1])
        low, high = winners[row, cell], winners[row, cell + 1]
        wider[row, 2 * cell + 1] = _least(xs, own, between[cell], row, low, high)
        winners = wider
    return winners[:, : len(columns)]


def _least(
    xs: NDArray[np.float64],
    own: NDArray[np.float64],
    x: NDArray[np.float64],
    row: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> NDArray[np.int64]:
    """For every i the k in low[i]..high[i] with the least own[row[i], k] - 2 x[i] xs[k], of equals the first."""
    start = row * len(xs)
    higher = np.take(own, start + high) - np.take(own, start + low) < 2 * x * (xs[high] - xs[low])
    answer = np.where(higher, high, low)
    # Mostly there are only these two; others are written out one after the other.
    many = np.flatnonzero(high - low > 1)
    if not len(many):
        return answer
    low, counts = low[many], high[many] - low[many] + 1
    begin = np.cumsum(counts) - counts
    k = np.arange(begin[-1] + counts[-1]) + np.repeat(low - begin, counts)
    cost = np.take(own, k + np.repeat(start[many], counts)) - np.repeat(2 * x[many], counts) * xs[k]
    best = np.flatnonzero(cost == np.repeat(np.minimum.reduceat(cost, begin), counts))[::-1]
    # Of equals the first is written last.
    answer[many[np.searchsorted(begin, best, side="right") - 1]] = k[best]
    return answer


def smooth(field: NDArray[np.float32], *, truncate: bool) -> NDArray[np.float32]:
    """The field smoothed down its columns, then along its rows; beyond the border it is mirrored.

    ``truncate``: each pass drops the decimals, as the pinned scipy of the published pipeline does for integers. Many
    results are whole numbers but for rounding, so that only scipy's own order of adding gives the published steps.
    """
    if truncate:
        for axis in (0, 1):
            field = np.trunc(
                gaussian_filter1d(field, SMOOTHING, axis=axis, mode="reflect", output=np.float64)
            )
        return field.astype(np.float32)
    size = (2 * round(4 * SMOOTHING) + 1,) * 2
    return np.asarray(cv2.GaussianBlur(field, size, SMOOTHING, borderType=cv2.BORDER_REFLECT), np.float32)


def to_grey(field: NDArray[np.float32]) -> NDArray[np.uint8]:
    """255 for the least value (nearest to the camera) to 0 for the largest; 255 where all are the same."""
    low, high = field.min(), field.max()
    if not high > low:
        return np.full(field.shape, 255, np.uint8)
    return 255 - (255 * (field - low) / (high - low)).astype(np.uint8)


def published_field(
    height: int,
    width: int,
    apex: tuple[float, float],
    direction: NDArray[np.float32],
    *,
    truncate: bool = True,
) -> NDArray[np.float32]:
    """The smoothed depths (height, width) of the published conic field."""
    points = visible_points(cone_points(apex, direction), tree_order=True)
    return smooth(nearest_depth(points, height, width), truncate=truncate)
