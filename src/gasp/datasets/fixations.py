"""Recorded fixations, and the two kinds of map made from them.

Three types that cannot be confused: :class:`Fixations` are points as recorded, :class:`FixationMap` counts
them per pixel, :class:`DensityMap` is where people look as a distribution. NSS and the AUCs take the second,
CC, SIM and the divergence the third.

Coordinates: x grows to the right and y downwards, in pixels of the source picture. Pixel (row i, column j)
covers ``i <= y < i + 1`` and ``j <= x < j + 1``; its centre is at (j + 0.5, i + 0.5). A point (x, y)
therefore lies in column ``floor(x)`` and row ``floor(y)``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError

_LEAST_EXPONENT = -300.0  # e^-300 is 1e-130, whose square is still a normal number


@dataclass(frozen=True, eq=False)
class Fixations:
    """Fixations of one picture or video, one array entry each.

    ``x``, ``y``: pixels of the source picture (see the module for the convention), float64. ``observer``:
    number of the person, int64. ``duration``: seconds, NaN where unknown. ``onset``: seconds since the start
    of the recording on the video's clock, NaN where unknown (still images). ``order``: 0 for an observer's
    first fixation, -1 where unknown. ``weight``: how much it counts in a density map (1 unless the set's
    authors weight theirs, by duration or pupil size).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    observer: NDArray[np.int64]
    duration: NDArray[np.float64]
    onset: NDArray[np.float64]
    order: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def create(
        cls,
        x: Any,
        y: Any,
        observer: Any = 0,
        *,
        duration: Any = np.nan,
        onset: Any = np.nan,
        order: Any = -1,
        weight: Any = 1.0,
    ) -> Fixations:
        """Make fixations from array-likes; what is left out is filled with "unknown" (observer: 0).

        Raises :class:`~gasp.errors.InputError` when lengths differ or a point is not finite.
        """
        x = np.atleast_1d(np.asarray(x, np.float64))
        kinds: dict[str, type[np.generic]] = {"x": np.float64, "y": np.float64, "observer": np.int64}
        kinds |= {"duration": np.float64, "onset": np.float64, "order": np.int64}
        kinds["weight"] = np.float64
        values = {"x": x, "y": y, "observer": observer, "duration": duration, "onset": onset, "order": order}
        values["weight"] = weight
        columns: dict[str, Any] = {}
        for name, value in values.items():
            try:
                columns[name] = np.broadcast_to(np.asarray(value, kinds[name]), x.shape)
            except ValueError as error:
                raise InputError(
                    f"fixations: {name!r} does not fit x, which has {x.size} entries: {error}"
                ) from None
        if not (np.isfinite(columns["x"]).all() and np.isfinite(columns["y"]).all()):
            raise InputError("fixations: x or y is not a finite number; drop lost points first")
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.x)

    def select(self, which: Any) -> Fixations:
        """Those picked by a boolean mask or by indices."""
        return Fixations(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def inside(self, height: int, width: int) -> Fixations:
        """Those within a picture of this size."""
        return self.select((self.x >= 0) & (self.x < width) & (self.y >= 0) & (self.y < height))

    def active_at(self, time: float) -> Fixations:
        """Those going on at ``time`` (seconds): onset <= time < onset + duration."""
        return self.select((self.onset <= time) & (time < self.onset + self.duration))

    def of_observer(self, observer: int) -> Fixations:
        """Those of one person."""
        return self.select(self.observer == observer)

    def without_observer(self, observer: int) -> Fixations:
        """Those of everyone else: what a leave-one-out ceiling predicts from."""
        return self.select(self.observer != observer)

    def scaled(self, horizontal: float, vertical: float) -> Fixations:
        """The same fixations on a picture resized by these factors."""
        return replace(self, x=self.x * horizontal, y=self.y * vertical)


@dataclass(frozen=True, eq=False)
class FixationMap:
    """Number of fixations per pixel: ``counts``, int64, shape (H, W), zero or more."""

    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or not np.issubdtype(self.counts.dtype, np.integer):
            raise InputError(
                f"a fixation map holds whole numbers of shape (H, W), "
                f"not {self.counts.dtype} of shape {self.counts.shape}"
            )
        if self.counts.size and self.counts.min() < 0:
            raise InputError("a fixation map holds counts, but a value is negative")

    @property
    def total(self) -> int:
        """How many fixations there are."""
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class DensityMap:
    """Where people look: ``values``, float64, shape (H, W), zero or more, sum 1."""

    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not np.issubdtype(self.values.dtype, np.floating):
            raise InputError(
                f"a density map holds floats of shape (H, W), "
                f"not {self.values.dtype} of shape {self.values.shape}"
            )
        if not (self.values.min(initial=0) >= 0 and abs(self.values.sum(dtype=np.float64) - 1) < 1e-4):
            raise InputError("a density map must be zero or more everywhere and sum to 1")


def fixation_map(fixations: Fixations, height: int, width: int) -> FixationMap:
    """Count fixations per pixel of a picture of this size. Points outside the picture are not counted."""
    inside = fixations.inside(height, width)
    pixels = inside.y.astype(np.int64) * width + inside.x.astype(np.int64)
    return FixationMap(np.bincount(pixels, minlength=height * width).reshape(height, width))


def density_map(fixations: FixationMap, sigma: float) -> DensityMap:
    """Blur a fixation map with a Gaussian of standard deviation ``sigma`` (pixels) and scale it to sum 1.

    The Gaussian is exact (not cut off). Beyond the border there is nothing: mass that a fixation near the
    border spreads outside is lost, not mirrored back. Raises :class:`~gasp.errors.InputError` without any
    fixation.
    """
    if not sigma > 0:
        raise InputError(f"the standard deviation of a density map must be above 0 pixels, not {sigma}")
    rows, columns = (np.flatnonzero(fixations.counts.any(axis)) for axis in (1, 0))
    if not rows.size:
        raise InputError("there is no fixation to make a density map from")
    height, width = fixations.counts.shape
    # A Gaussian is separable, and only rows and columns with a fixation matter: two small matrix products.
    counts = fixations.counts[np.ix_(rows, columns)].astype(np.float64)
    blurred = _gaussian(height, rows, sigma) @ counts @ _gaussian(width, columns, sigma).T
    return DensityMap(blurred / blurred.sum())


def density_of_points(fixations: Fixations, height: int, width: int, sigma: float) -> DensityMap:
    """As :func:`density_map`, with every fixation at its very place instead of its pixel's centre, and weighted.

    Fixations outside the picture do not count. Raises :class:`~gasp.errors.InputError` without any fixation.
    """
    if not sigma > 0:
        raise InputError(f"the standard deviation of a density map must be above 0 pixels, not {sigma}")
    inside = fixations.inside(height, width)
    inside = inside.select(inside.weight > 0)
    if not len(inside):
        raise InputError("there is no fixation to make a density map from")
    down = _gaussian(height, inside.y - 0.5, sigma) * inside.weight
    blurred = down @ _gaussian(width, inside.x - 0.5, sigma).T
    return DensityMap(blurred / blurred.sum())


def _gaussian(size: int, centres: NDArray[Any], sigma: float) -> NDArray[np.float64]:
    """Gaussians along one axis, shape (size, len(centres))."""
    distance = np.arange(size)[:, None] - centres
    # Numbers near the end of the range make products a hundred times slower, and are nothing beside the rest.
    exponent = -0.5 * (distance / sigma) ** 2
    return np.where(exponent < _LEAST_EXPONENT, 0.0, np.exp(exponent))
