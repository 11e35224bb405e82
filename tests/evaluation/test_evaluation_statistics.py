from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gasp.evaluation.statistics import interval, nan_mean, paired_difference, resamples

VALUES = arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(-100, 100, width=32))


def test_each_sample_draws_as_many_videos_as_there_are() -> None:
    samples = resamples(7, 300, seed=1)
    assert samples.shape == (300, 7)
    np.testing.assert_array_equal(samples.sum(1), 7)
    np.testing.assert_array_equal(samples, resamples(7, 300, seed=1))
    assert (samples != resamples(7, 300, seed=2)).any()


@settings(deadline=None)
@given(st.floats(-1e3, 1e3), st.integers(1, 20))
def test_bootstrap_of_a_constant_is_the_constant(value: float, count: int) -> None:
    found = interval(np.full(count, value), resamples(count, 200))
    assert (found.low, found.high, found.count) == (found.mean, found.mean, count)
    assert found.mean == pytest.approx(value)


@settings(deadline=None)
@given(VALUES)
def test_the_interval_holds_between_the_extremes(values: np.ndarray) -> None:
    found = interval(values, resamples(len(values), 200))
    room = 1e-9 * (1 + np.abs(values).max())
    assert values.min() - room <= found.low <= found.high <= values.max() + room


@settings(deadline=None)
@given(VALUES, st.floats(-10, 10))
def test_differences_are_paired(values: np.ndarray, shift: float) -> None:
    samples = resamples(len(values), 200)
    same = paired_difference(values, values, samples)
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    shifted = paired_difference(values + shift, values, samples)
    np.testing.assert_allclose([shifted.mean, shifted.low, shifted.high], shift, atol=1e-6)


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = interval(values, resamples(400, 4000))
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([found.low, found.high], [found.mean - half, found.mean + half], atol=0.03)


def test_missing_values_are_left_out_and_counted() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf])
    found = interval(values, resamples(4, 500))
    assert (found.mean, found.count) == (2, 2)
    assert 1 <= found.low <= found.high <= 3
    nothing = interval(np.full(3, np.nan), resamples(3, 100))
    assert nothing.count == 0
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()


def test_mean_without_nan() -> None:
    values = np.array([[1, np.nan], [3, np.nan]])
    np.testing.assert_array_equal(nan_mean(values), [2, np.nan])
    assert np.isnan(nan_mean(np.zeros((0, 2)))).all()
