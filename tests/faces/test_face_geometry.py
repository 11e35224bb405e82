"""Boxes: overlap and clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.faces.detector import clip_detections
from gasp.faces.face import Box, Detection
from gasp.faces.geometry import clip_box, inside_matrix, iou, iou_matrix

SIZES = st.floats(0, 500)
PLACES = st.floats(-300, 900)
ANY = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(PLACES), draw(PLACES)
    return Box(x, y, x + draw(SIZES), y + draw(SIZES))


@settings(deadline=None)
@given(boxes(), boxes())
def test_overlap_is_symmetric_and_a_share(first: Box, second: Box) -> None:
    value = iou(first, second)
    assert 0 <= value <= 1
    assert value == iou(second, first)


@settings(deadline=None)
@given(boxes())
def test_a_box_overlaps_itself_fully_unless_it_is_empty(box: Box) -> None:
    assert iou(box, box) == pytest.approx(1.0 if box.area > 0 else 0.0)


@settings(deadline=None)
@given(boxes(), boxes(), st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_overlap_does_not_depend_on_place_or_scale(first: Box, second: Box, dx: int, dy: int) -> None:
    # Eighths of pixels, so that moving is exact.
    a, b = (Box(*(round(v * 8) / 8 for v in box)) for box in (first, second))
    moved = [Box(c.x1 + dx, c.y1 + dy, c.x2 + dx, c.y2 + dy) for c in (a, b)]
    scaled = [Box(*(4 * v for v in c)) for c in (a, b)]
    assert iou(*moved) == pytest.approx(iou(a, b))
    assert iou(*scaled) == pytest.approx(iou(a, b))


def test_overlap_of_known_boxes() -> None:
    box = Box(0, 0, 10, 10)
    assert iou(box, Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou(box, Box(10, 0, 20, 10)) == 0
    assert iou(box, Box(2, 2, 4, 4)) == pytest.approx(0.04)
    assert iou(box, Box(8, 8, 2, 2)) == 0, "an inverted box is empty"


def test_overlap_of_every_pair() -> None:
    matrix = iou_matrix(
        [Box(0, 0, 2, 2), Box(5, 5, 6, 6)], [Box(0, 0, 2, 2), Box(0, 0, 1, 2), Box(9, 9, 10, 10)]
    )
    np.testing.assert_allclose(matrix, [[1, 0.5, 0], [0, 0, 0]])
    assert iou_matrix([], [Box(0, 0, 1, 1)]).shape == (0, 1)
    assert iou_matrix([], []).shape == (0, 0)


@settings(deadline=None)
@given(boxes())
def test_clipping_keeps_what_lies_inside(box: Box) -> None:
    part = clip_box(box, 480, 640)
    assert part.area <= box.area
    assert part.area == pytest.approx(_shared(box, Box(0, 0, 640, 480)))
    assert clip_box(part, 480, 640) == part


def _shared(first: Box, second: Box) -> float:
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    return max(0.0, width) * max(0.0, height)


@settings(deadline=None)
@given(st.lists(st.tuples(ANY, ANY, ANY, ANY, ANY), max_size=6))
def test_clipped_detections_are_sound_whatever_comes(numbers: list[tuple[float, ...]]) -> None:
    found = clip_detections([Detection(Box(*n[:4]), n[4]) for n in numbers], 48, 64)
    for detection in found:
        x1, y1, x2, y2 = detection.box
        assert 0 <= x1 <= x2 - 2 <= 62
        assert 0 <= y1 <= y2 - 2 <= 46
    scores = [detection.score for detection in found]
    assert scores == sorted(scores, reverse=True)


def test_a_box_with_undefined_numbers_does_not_become_the_picture() -> None:
    bad = [Box(math.nan, math.nan, math.nan, math.nan), Box(-math.inf, 0, math.inf, 9)]
    assert clip_detections([Detection(box, 0.9) for box in bad], 48, 64) == []
    assert clip_detections([Detection(Box(1, 1, 9, 9), math.nan)], 48, 64) == []


def test_shares_inside() -> None:
    boxes = [Box(0, 0, 2, 2), Box(1, 0, 3, 2), Box(5, 5, 5, 6)]
    shares = inside_matrix(boxes, [Box(0, 0, 2, 4)])
    np.testing.assert_allclose(shares[:, 0], [1, 0.5, 0])
    assert inside_matrix([], boxes).shape == (0, 3)
