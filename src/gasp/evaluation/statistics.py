"""Means over videos with bootstrap intervals, and paired differences between systems.

The unit that is drawn is the video (or picture), never the frame: frames of a video are not independent. All systems
and metrics share the same draws, so that differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over ``count`` videos and its percentile bootstrap interval; NaN where no video has a value."""

    mean: float
    low: float
    high: float
    count: int


def resamples(videos: int, draws: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """How often each video occurs in each bootstrap sample: (draws, videos), every row sums to ``videos``."""
    if videos < 1:
        return np.zeros((draws, 0))
    rng = np.random.default_rng(seed)
    return rng.multinomial(videos, np.full(videos, 1 / videos), size=draws).astype(np.float64)


def interval(values: NDArray[np.float64], samples: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Mean of ``values`` (videos,) and its interval; NaN values are left out of every mean and counted out."""
    known = np.isfinite(values)
    if not known.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    # Deviations from one of them, so that the mean and the bootstrap of a constant are that constant exactly.
    one = float(values[known][0])
    counts = samples @ known.astype(np.float64)
    deviations = np.where(known, values - one, 0.0)
    sums = samples @ deviations
    means = one + sums[counts > 0] / counts[counts > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    mean = one + float(deviations.sum()) / int(known.sum())
    return Interval(mean, float(low), float(high), int(known.sum()))


def paired_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], samples: NDArray[np.float64]
) -> Interval:
    """Mean of ``first - second`` over the videos where both have a value, with its interval."""
    return interval(first - second, samples)


def nan_mean(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    """Mean that leaves NaN out, and is NaN (without a warning) where nothing else is there."""
    known = np.isfinite(values)
    counts = known.sum(axis)
    sums = np.where(known, values, 0.0).sum(axis)
    return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)
