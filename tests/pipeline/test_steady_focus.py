"""The steady focus: never faster than it may, holding as long as it must, and nothing at all when off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp.pipeline.focus import SteadyFocus
from gasp.pipeline.pipeline import find_focus
from gasp.pipeline.prediction import Prediction

WIDTH, HEIGHT = 160, 90


def predict(time: float, *peaks: tuple[int, int, float]) -> Prediction:
    saliency = np.zeros((9, 16), np.float32)
    for row, column, value in peaks:
        saliency[row, column] = value
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return Prediction(0, time, saliency, None, {}, [], find_focus(saliency, HEIGHT, WIDTH), image)


peaks = st.tuples(st.integers(0, 8), st.integers(0, 15), st.just(1.0))
# Gaps of zero, and clocks that go back, are among them.
courses = st.lists(st.tuples(st.floats(-0.2, 0.5), peaks), min_size=1, max_size=40)


def predictions(course: list[tuple[float, tuple[int, int, float]]]) -> list[Prediction]:
    times = np.cumsum([gap for gap, _ in course])
    return [predict(float(time), peak) for time, (_, peak) in zip(times, course, strict=True)]


@given(courses, st.floats(0.01, 5), st.floats(0, 0.5), st.floats(0, 1))
def test_it_is_never_faster_than_it_may(
    course: list[tuple[float, tuple[int, int, float]]], speed: float, hysteresis: float, hold: float
) -> None:
    steady = SteadyFocus(speed=speed, hysteresis=hysteresis, hold=hold)
    before, latest = None, -math.inf
    for prediction in predictions(course):
        focus = steady.step(prediction)
        assert 0 <= focus.x <= WIDTH
        assert 0 <= focus.y <= HEIGHT
        if before is not None:
            moved = math.hypot(focus.x - before.x, focus.y - before.y) / WIDTH
            assert moved <= speed * max(0.0, prediction.time - latest) + 1e-9
        before, latest = focus, max(latest, prediction.time)


@given(courses, st.floats(0.01, 2), st.floats(0, 0.5))
def test_a_target_stays_at_least_as_long_as_it_must(
    course: list[tuple[float, tuple[int, int, float]]], hold: float, hysteresis: float
) -> None:
    steady = SteadyFocus(hold=hold, hysteresis=hysteresis)
    target, since = None, -math.inf
    for prediction in predictions(course):
        steady.step(prediction)
        if steady.target != target:
            assert target is None or prediction.time - since >= hold
            target, since = steady.target, prediction.time


@given(courses)
def test_off_it_is_the_raw_focus(course: list[tuple[float, tuple[int, int, float]]]) -> None:
    steady = SteadyFocus()
    for prediction in predictions(course):
        assert steady.step(prediction) == prediction.focus


def test_a_new_place_must_beat_the_old_by_the_margin() -> None:
    steady = SteadyFocus(hysteresis=0.2)
    old = steady.step(predict(0.0, (2, 2, 1.0)))
    assert steady.step(predict(0.1, (2, 2, 0.85), (6, 12, 1.0)))[:2] == old[:2]
    beaten = steady.step(predict(0.2, (2, 2, 0.7), (6, 12, 1.0)))
    assert beaten == find_focus(predict(0, (6, 12, 1.0)).saliency, HEIGHT, WIDTH)


def test_it_arrives() -> None:
    steady = SteadyFocus(speed=0.5)
    steady.step(predict(0.0, (4, 0, 1.0)))
    far = predict(0.0, (4, 15, 1.0))
    places = [steady.step(predict(0.1 * n, (4, 15, 1.0))).x for n in range(1, 25)]
    # From the middle of one cell to that of another: 15 / 16 of the width, at half a width per second.
    assert places[9] == pytest.approx(5 + 0.5 * WIDTH)
    assert places[17] < far.focus.x == pytest.approx(places[18]) == pytest.approx(places[-1])


def test_a_map_without_anything_moves_nothing() -> None:
    steady = SteadyFocus(hold=0.1)
    first = steady.step(predict(0.0, (4, 10, 1.0)))
    assert steady.step(predict(1.0))[:2] == first[:2]


@pytest.mark.parametrize("wrong", [{"hysteresis": 1.0}, {"hold": -1.0}, {"speed": 0.0}, {"hold": math.nan}])
def test_wrong_numbers_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SteadyFocus(**wrong)
