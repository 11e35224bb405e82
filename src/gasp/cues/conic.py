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

ROUNDING = 1e-9
"""Pixels that are nearer to being halfway between two points than this are halfway."""


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


def nearest_depth(
    points: NDArray[np.int64], height: int, width: int, *, tree_order: bool
) -> NDArray[np.float32]:
    """Depth of the nearest of ``points`` (3, N) for every pixel of a ``height`` x ``width`` grid.

    As published, the grid's columns lie at 0..width and its rows at 0..height, both ends included.

    About half of the points share their place. ``tree_order``: of points in one place, and of places that are equally
    near, the one shows that scipy's k-d tree finds, as in the published pictures; otherwise of points in one place the
    nearest to the camera, and any of places equally near.

    Exact, by two passes (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012): for each row
    the nearest point of every column of points, then the lower envelope of their distances along the row.
    """
    columns = np.linspace(0, width, width)
    rows = np.linspace(0, height, height)
    tree = cKDTree(points[:2].T) if tree_order else None
    # Points of one place never part in the tree, and of equals it finds the first.
    shown = visible_points(points, np.argsort(points[2], kind="stable") if tree is None else tree.indices)
    xs, nearest = _nearest_in_columns(shown, rows)
    beside = (shown[1][nearest] - rows[:, None]) ** 2.0
    winner, tied = _lower_envelope(xs.astype(np.float64), beside, columns)
    depth = np.take(shown[2].astype(np.float32)[nearest], winner + len(xs) * np.arange(height)[:, None])
    if tree is not None:
        # Halfway between two points of a column everywhere in the row, or between two columns.
        halves = np.flatnonzero(np.abs(2 * rows - np.rint(2 * rows)) < ROUNDING)
        row, column = np.divmod(np.append(tied, np.add.outer(halves * width, np.arange(width))), width)
        depth[row, column] = points[2][tree.query(np.stack([columns[column], rows[row]], 1))[1]]
    return depth


def visible_points(points: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """One of the points (3, N) for every distinct (x, y), the first in ``order``; themselves ordered by x, then y."""
    x, y = points[0, order], points[1, order]
    low, span = y.min(), y.max() - y.min() + 1
    _, first = np.unique((x - x.min()) * span + (y - low), return_index=True)
    return points[:, order[first]]


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
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """For every row and column the k with the least (columns[column] - xs[k])^2 + beside[row, k]: (rows, columns).

    And where in the flattened array two are equal.

    The winner never moves to the left on the way to the right. Between two winners, one that comes in between is less
    than both where these are equal: so winners are found from both ends inwards, all rows at once, until nobody is
    left in between, and each holds from the place where it is equal to the one before.
    """
    # The column's own square is the same for all k: beside + xs^2 - 2 column xs decides.
    own = beside + xs**2
    rows, count = own.shape
    # A little outside, so that what is equal in the outermost columns is seen.
    ends = [(own - 2 * at * xs).argmin(1) for at in (columns[0] - 1e-6, columns[-1] + 1e-6)]
    winners = np.zeros((rows, len(columns)), np.int32)
    winners[:, 0] = ends[0]
    tied: list[NDArray[np.int64]] = []
    row = np.flatnonzero(ends[0] < ends[1])
    low, high = ends[0][row], ends[1][row]
    while len(row):
        start = row * count
        at_low = np.take(own, start + low)
        equal = (np.take(own, start + high) - at_low) / (2 * (xs[high] - xs[low]))
        split, between = _least_between(xs, own, equal, start, low, high, at_low - 2 * equal * xs[low])
        done = np.ones(len(row), bool)
        done[split] = False
        column = np.searchsorted(columns, equal[done] + ROUNDING, side="right")
        place = row[done] * len(columns) + column
        seen = column < len(columns)
        np.maximum.at(winners.ravel(), place[seen], high[done][seen].astype(np.int32))
        tied.append(place[(column > 0) & (equal[done] - columns[column - 1] < ROUNDING)] - 1)
        low, high = np.append(low[split], between), np.append(between, high[split])
        row = np.tile(row[split], 2)
    return np.maximum.accumulate(winners, 1), np.concatenate([np.zeros(0, np.int64), *tied])


def _least_between(
    xs: NDArray[np.float64],
    own: NDArray[np.float64],
    x: NDArray[np.float64],
    start: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    limit: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The i for which own[k] - 2 x[i] xs[k] is below limit[i] for a k between low[i] and high[i], and the k with the
    least, of equals the first. ``start``: where the row of each i begins in ``own``.
    """
    wide = np.flatnonzero(high - low > 1)
    if not len(wide):
        return wide, wide
    counts = (high - low)[wide] - 1
    begin = np.cumsum(counts) - counts
    # All candidates, one after the other.
    i = np.repeat(np.arange(len(wide)), counts)
    k = np.arange(len(i)) + np.take(low[wide] + 1 - begin, i)
    cost = np.take(own, k + np.take(start[wide], i)) - np.take(2 * x[wide], i) * np.take(xs, k)
    least = np.minimum.reduceat(cost, begin)
    best = np.flatnonzero(cost == np.take(least, i))[::-1]
    answer = np.empty(len(wide), np.int64)
    answer[i[best]] = k[best]  # of equals the first is written last
    split = np.flatnonzero(least < limit[wide])
    return wide[split], answer[split]


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
    depth = nearest_depth(cone_points(apex, direction), height, width, tree_order=True)
    return smooth(depth, truncate=truncate)
