from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.training.augment import random_colour, random_view, whole_view


def blob(height: int, width: int, x: float, y: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2)).astype(np.float32)


def centroid(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return float((image * columns).sum() / image.sum()), float((image * rows).sum() / image.sum())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_pictures_and_points_go_the_same_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    view = random_view(rng, 120, 160, 90, 150)
    x, y = view.points(np.array([80.0]), np.array([55.0]))
    seen = view.warp(blob(120, 160, 80.0, 55.0))
    if 20 < x[0] < 130 and 20 < y[0] < 70:
        assert centroid(seen) == pytest.approx((x[0], y[0]), abs=0.4)


def test_the_whole_view_scales_corner_to_corner() -> None:
    view = whole_view(120, 160, 60, 80)
    x, y = view.points(np.array([0.0, 160.0]), np.array([0.0, 120.0]))
    assert (list(x), list(y)) == ([0, 80], [0, 60])
    assert centroid(view.warp(blob(120, 160, 40.0, 90.0))) == pytest.approx((20.0, 45.0), abs=0.1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_position_tells_where_a_pixel_was(seed: int) -> None:
    view = random_view(np.random.default_rng(seed), 120, 160, 90, 150)
    place = view.position(120, 160)
    source_x, source_y = (place[0, 30, 40] + 1) * 80, (place[1, 30, 40] + 1) * 60
    x, y = view.points(np.array([source_x]), np.array([source_y]))
    assert (x[0], y[0]) == pytest.approx((40.5, 30.5), abs=1e-3)


def test_a_scaled_view_sees_the_same() -> None:
    view = random_view(np.random.default_rng(4), 120, 160, 96, 128)
    half = view.scaled(0.5)
    x, y = view.points(np.array([33.0]), np.array([44.0]))
    assert (half.height, half.width) == (48, 64)
    assert np.allclose(half.points(np.array([33.0]), np.array([44.0])), (x / 2, y / 2))


def test_beyond_the_border_is_the_fill() -> None:
    view = whole_view(10, 10, 20, 20)
    shifted = type(view)(view.matrix + np.array([[0, 0, 10], [0, 0, 0]]), 20, 20)
    assert (shifted.warp(np.full((10, 10, 3), 200, np.uint8), fill=114)[5, 2] == 114).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_colours_keep_form_and_type(seed: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    changed = random_colour(np.random.default_rng(seed), image)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (random_colour(np.random.default_rng(seed), image) == changed).all()
