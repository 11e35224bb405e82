from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from gasp.datasets import DensityMap, FixationMap, Fixations, density_map, fixation_map
from gasp.errors import InputError


def test_a_point_lies_in_the_pixel_that_covers_it():
    fixations = Fixations.create([0.0, 2.99, 3.0, 3.5], [0.0, 0.99, 1.0, 1.2])
    expected = np.zeros((3, 5), int)
    expected[0, 0] = expected[0, 2] = 1
    expected[1, 3] = 2
    np.testing.assert_array_equal(fixation_map(fixations, 3, 5).counts, expected)


def test_points_outside_the_picture_are_not_counted():
    fixations = Fixations.create([-0.1, 5.0, 2.0, 2.0], [1.0, 1.0, 3.0, -1e-9])
    assert fixation_map(fixations, 3, 5).total == 0


def test_scaling_keeps_the_relative_place():
    fixations = Fixations.create([2.5], [1.5], observer=[7]).scaled(2, 4)
    assert (fixations.x[0], fixations.y[0], fixations.observer[0]) == (5.0, 6.0, 7)


def test_active_fixations_begin_at_the_onset_and_end_before_their_end():
    fixations = Fixations.create([1, 2], [1, 2], onset=[1.0, 1.5], duration=[0.5, 1.0])
    assert [list(fixations.active_at(t).x) for t in (0.99, 1.0, 1.5, 2.5)] == [[], [1], [2], []]


def test_unknown_times_are_never_active():
    assert len(Fixations.create([1], [1]).active_at(0.0)) == 0


def test_leaving_one_observer_out_splits_the_fixations():
    fixations = Fixations.create([1, 2, 3], [1, 2, 3], observer=[0, 1, 0])
    assert list(fixations.of_observer(0).x) == [1, 3]
    assert list(fixations.without_observer(0).x) == [2]


def test_lengths_that_differ_and_lost_points_are_refused():
    with pytest.raises(InputError, match="'y'"):
        Fixations.create([1, 2, 3], [1, 2])
    with pytest.raises(InputError, match="not a finite"):
        Fixations.create([np.nan], [1])


@given(arrays(np.int64, (12, 17), elements=st.integers(0, 3)).filter(np.any), st.floats(0.5, 3))
def test_density_is_the_gaussian_blur_with_nothing_beyond_the_border(counts, sigma):
    density = density_map(FixationMap(counts), sigma).values
    blurred = gaussian_filter(counts.astype(float), sigma, mode="constant", truncate=12)
    np.testing.assert_allclose(density, blurred / blurred.sum(), atol=1e-12)
    assert density.min() >= 0
    assert density.sum() == pytest.approx(1)


def test_no_fixation_gives_no_density():
    with pytest.raises(InputError, match="no fixation"):
        density_map(FixationMap(np.zeros((4, 4), int)), 1)
    with pytest.raises(InputError, match="standard deviation"):
        density_map(FixationMap(np.ones((4, 4), int)), 0)


def test_the_two_kinds_of_map_refuse_each_others_values():
    with pytest.raises(InputError, match="whole numbers"):
        FixationMap(np.ones((2, 2)))
    with pytest.raises(InputError, match="floats"):
        DensityMap(np.ones((2, 2), int))
    with pytest.raises(InputError, match="sum to 1"):
        DensityMap(np.ones((2, 2)))
    with pytest.raises(InputError, match="sum to 1"):
        DensityMap(np.full((2, 2), np.nan))
