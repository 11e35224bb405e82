"""Maps for the tests of the metrics, and slow definitions to compare with."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

SHAPE = (5, 7)


@st.composite
def saliency_maps(draw, shape=SHAPE):
    """Finite maps that are not constant, with and without ties, of any scale."""
    # Whole numbers and powers of two, so that affine changes in the tests are exact.
    values = draw(arrays(np.int64, shape, elements=st.integers(0, draw(st.sampled_from([1, 3, 1000])))))
    if values.min() == values.max():
        values[0, 0] += 1
    return values * 2.0 ** draw(st.integers(-3, 3))


@st.composite
def fixation_maps(draw, shape=SHAPE):
    """Booleans with at least one fixated and one free pixel."""
    fixations = draw(arrays(np.bool_, shape))
    fixations[0, 0], fixations[-1, -1] = True, False
    return fixations


def area_by_pairs(positives, negatives):
    """How often a positive is above a negative, ties counting half, pair by pair."""
    wins = [(p > n) + 0.5 * (p == n) for p in positives.tolist() for n in negatives.tolist()]
    return sum(wins) / len(wins)
