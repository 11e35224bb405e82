"""The still cues against their formulas, and what holds for all cues."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.cues.cue import CUES, FrameCue, as_result, create_cues
from gasp.cues.drawing import draw_on_faces
from gasp.cues.faces import draw_faces
from gasp.cues.image_saliency import GlanceSaliency, draw_saliency
from gasp.errors import UsageError
from gasp.faces.face import Box
from helpers.observations import face, observe, texture, tone

PICTURE = (60, 80)
GRID = (15, 20)

sides = st.floats(0.5, 60)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), st.floats(-40, 100), st.floats(-40, 80), sides, sides
)
strengths = st.floats(0, 1)


def test_a_gaussian_has_its_strength_in_the_middle_and_the_documented_width() -> None:
    box = Box(20.5, 10.5, 60.5, 40.5)  # the middle of cell (25, 40)
    drawn = draw_on_faces([box], [0.8], PICTURE, PICTURE)
    for row, column in [(25, 40), (25, 54), (35, 40), (32, 30), (0, 0), (59, 79)]:
        away = ((column - 40) / (0.35 * 40)) ** 2 + ((row - 25) / (0.35 * 30)) ** 2
        assert drawn[row, column] == pytest.approx(255 * 0.8 * math.exp(-away / 2), abs=0.51)
    assert drawn.max() == drawn[25, 40] == 204


def test_the_map_covers_the_whole_picture_whatever_its_size() -> None:
    corner = draw_on_faces([Box(76, 56, 84, 64)], [1.0], PICTURE, GRID)
    assert np.unravel_index(corner.argmax(), GRID) == (14, 19)
    wide = draw_on_faces([Box(1900, 500, 1940, 540)], [1.0], (1080, 3840), (10, 60))
    assert np.unravel_index(wide.argmax(), wide.shape) in ((4, 29), (4, 30))


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 79.9), st.floats(0, 59.9), st.floats(0.01, 1.5))
def test_a_tiny_face_does_not_fall_between_the_cells(x: float, y: float, side: float) -> None:
    drawn = draw_on_faces([Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)], [1.0], PICTURE, GRID)
    assert drawn.max() >= int(255 * math.exp(-1))
    row, column = np.unravel_index(drawn.argmax(), GRID)
    assert abs((column + 0.5) * 4 - x) <= 2.01
    assert abs((row + 0.5) * 4 - y) <= 2.01


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(boxes, strengths), max_size=8))
def test_faces_never_darken_one_another(faces: list[tuple[Box, float]]) -> None:
    alone = [draw_on_faces([box], [strength], PICTURE, GRID) for box, strength in faces]
    together = draw_on_faces([b for b, _ in faces], [s for _, s in faces], PICTURE, GRID)
    assert together.shape == GRID
    assert together.dtype == np.uint8
    assert together.max() <= math.ceil(255 * max([0.0, *(s for _, s in faces)]))
    np.testing.assert_array_equal(together, np.max([np.zeros(GRID, np.uint8), *alone], axis=0))


def test_faces_at_the_border_empty_boxes_and_no_strength() -> None:
    border = draw_on_faces([Box(-10, -10, 10, 10)], [1.0], PICTURE, PICTURE)
    assert border.argmax() == 0
    for box, strength in [(Box(5, 5, 5, 30), 1.0), (Box(30, 5, 5, 30), 1.0), (Box(5, 5, 30, 30), 0.0)]:
        assert not draw_on_faces([box], [strength], PICTURE, GRID).any()
    assert not draw_on_faces([], [], PICTURE, GRID).any()


@pytest.mark.parametrize(
    ("side", "score", "strength"),
    [
        (0.15, 0.8, 0.8),  # covers 0.15 squared of the picture: as large as counts
        (0.6, 0.8, 0.8),
        (0.075, 0.8, 0.6),
        (0.0001, 1.0, 0.5),
        (0.3, 1.7, 1.0),
    ],
)
def test_presence_is_as_strong_as_a_face_is_certain_and_large(
    side: float, score: float, strength: float
) -> None:
    side *= 200
    middle = 100.5
    box = (middle - side / 2, middle - side / 2, middle + side / 2, middle + side / 2)
    drawn = draw_faces([face(box, score=score)], (200, 200), (200, 200))
    assert drawn[100, 100] == drawn.max() == pytest.approx(255 * strength, abs=1)


def test_glance_is_the_root_of_the_relative_probability() -> None:
    p = np.array([[0.4, 0.11, 0.025], [0.004, 1e-9, 0.4]])
    drawn = draw_saliency(np.log(p).astype(np.float32))
    np.testing.assert_allclose(drawn, 255 * np.sqrt(p / 0.4), atol=0.51)
    np.testing.assert_array_equal(draw_saliency(np.log(p).astype(np.float32) - 40), drawn)


def test_glance_says_what_it_needs() -> None:
    with pytest.raises(UsageError, match="glance"):
        GlanceSaliency().step(observe(texture(8, 8)))


@pytest.mark.parametrize("name", CUES)
def test_every_cue_draws_a_proper_map_again_and_again(name: str) -> None:
    def run() -> list[np.ndarray]:
        [cue] = create_cues([name])
        assert cue.name == name
        assert isinstance(cue, FrameCue)
        maps = []
        for index in range(6):
            image = np.roll(texture(*PICTURE), 3 * index, 1)
            log_saliency = np.random.default_rng(index).standard_normal(GRID).astype(np.float32)
            faces = [face((5 + i, 5, 25 + i, 30), i + 1) for i in range(3)]
            maps.append(
                as_result(
                    cue.step(
                        observe(
                            image, faces, cell=4, log_saliency=log_saliency, sound=tone(0.04), cut=index == 0
                        )
                    )
                ).map
            )
        return maps

    first, second = run(), run()
    for one, other in zip(first, second, strict=True):
        assert one.dtype == np.uint8
        assert one.shape == (*PICTURE, 3) if name == "captured" else one.shape == GRID
        np.testing.assert_array_equal(one, other)


def test_unknown_and_repeated_cues_are_refused() -> None:
    with pytest.raises(UsageError, match="'gaze'; did you mean 'glance'"):
        create_cues(["gaze"])
    with pytest.raises(UsageError, match="more than once"):
        create_cues(["faces", "faces"])
