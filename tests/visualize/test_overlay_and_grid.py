from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.faces.face import Box, Face
from gasp.fusion.contributions import Contributions
from gasp.pipeline.prediction import Focus, Prediction
from gasp.visualize.colours import css, heat_colours, ink_on, modality_colour, person_colour
from gasp.visualize.grid import draw_grid, grid_layout
from gasp.visualize.overlay import Legend, OverlayStyle, blend_heat, draw_overlay, shrink_prediction
from gasp.visualize.shapes import fit_text, text_width

NOTHING = OverlayStyle(faces=False, focus=False, legend="none")


def prediction(height: int = 180, width: int = 320, **changes: object) -> Prediction:
    saliency = np.zeros((12, 16), np.float32)
    saliency[3, 4] = 1
    rng = np.random.default_rng(0)
    plain = Prediction(
        index=0,
        time=0.0,
        saliency=saliency,
        gates={"captured": 0.2, "faces": 0.9},
        cues={"captured": np.full((6, 8, 3), 9, np.uint8), "faces": np.full((6, 8), 255, np.uint8)},
        faces=[Face(1, Box(60, 40, 100, 90), 0.9), Face(2, Box(200, 40, 240, 90), 0.8, observed=False)],
        focus=Focus(90.0, 52.0, 1.0),
        image=rng.integers(60, 120, (height, width, 3), np.uint8),
    )
    return replace(plain, **changes)


def test_overlay_is_a_new_picture_of_the_same_size() -> None:
    made = prediction()
    before = made.image.copy()
    drawn = draw_overlay(made)
    assert (drawn.shape, drawn.dtype) == (made.image.shape, np.uint8)
    assert np.array_equal(made.image, before)


def test_heat_warms_the_salient_place_and_leaves_the_rest() -> None:
    image = np.full((180, 320, 3), 90, np.uint8)
    drawn = blend_heat(image, prediction().saliency).astype(int)
    y, x = round(3.5 / 12 * 180), round(4.5 / 16 * 320)
    assert drawn[y, x, 0] > 150
    assert drawn[y, x, 0] > drawn[y, x, 2] + 40
    assert np.abs(drawn[100:, 160:] - 90).max() <= 1


def test_heat_of_an_empty_map_changes_nothing() -> None:
    image = prediction().image
    assert np.array_equal(blend_heat(image, np.zeros((12, 16), np.float32)), image)


def test_opacity_grows_with_saliency_and_ends_at_alpha() -> None:
    image = np.zeros((40, 400, 3), np.uint8)
    ramp = np.tile(np.linspace(0, 1, 400, dtype=np.float32), (40, 1))
    light = blend_heat(np.full_like(image, 255), ramp).astype(int)
    dark = blend_heat(image, ramp).astype(int)
    transparency = (light - dark)[20, :, 1]
    assert (np.diff(transparency) <= 1).all()
    assert transparency[0] == 255
    assert transparency[-1] == pytest.approx(255 * (1 - 0.56), abs=3)


def test_faces_are_drawn_in_their_colours() -> None:
    made = prediction()
    drawn = draw_overlay(made, replace(NOTHING, faces=True))
    near_edge = drawn[60:70, 56:64].reshape(-1, 3).astype(int)
    assert np.abs(near_edge - person_colour(1)).sum(1).min() < 60
    assert np.array_equal(drawn[120:], blend_heat(made.image, made.saliency)[120:])


def test_focus_ring_is_white_at_the_focus() -> None:
    drawn = draw_overlay(prediction(), replace(NOTHING, focus=True))
    assert drawn[52, 90].min() > 240


def contributions() -> Contributions:
    maps = np.zeros((2, 12, 16), np.float32)
    maps[0, 3, 4], maps[0, 9, 9] = 0.5, -0.5
    return Contributions(("captured", "faces"), maps, np.full((12, 16), 1 / 192, np.float32), "shapley")


@pytest.mark.parametrize(
    ("legend", "there"), [("gates", {"contributions": None}), ("why", {"contributions": contributions()})]
)
def test_a_legend_only_where_there_is_something_to_show(legend: Legend, there: dict[str, object]) -> None:
    style = replace(NOTHING, legend=legend)
    shown = draw_overlay(prediction(height=360, width=640, **there), style)
    without = draw_overlay(prediction(height=360, width=640, gates=None, contributions=None), style)
    assert not np.array_equal(shown[250:, :200], without[250:, :200])
    assert np.array_equal(shown[:, 300:], without[:, 300:])


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    box=st.tuples(*[st.floats(-1e6, 1e6) for _ in range(4)]),
    focus=st.tuples(st.floats(-100, 200), st.floats(-100, 200)),
)
def test_any_box_on_any_picture(
    height: int, width: int, box: tuple[float, float, float, float], focus: tuple[float, float]
) -> None:
    faces = [Face(123456, Box(*box), 1.0)]
    made = prediction(height, width, faces=faces, focus=Focus(*focus, 1.0))
    assert draw_overlay(made).shape == (height, width, 3)
    assert draw_grid(made).shape[2] == 3


def test_shrinking_moves_boxes_and_focus_along() -> None:
    small = shrink_prediction(prediction(), 160)
    assert small.image.shape == (90, 160, 3)
    assert small.faces[0].box == Box(30, 20, 50, 45)
    assert small.focus == Focus(45.0, 26.0, 1.0)
    assert shrink_prediction(prediction(), 1000).image.shape == (180, 320, 3)


@settings(deadline=None)
@given(width=st.integers(1, 8000), height=st.integers(1, 8000), cells=st.integers(1, 12))
def test_grid_fits_a_screen(width: int, height: int, cells: int) -> None:
    layout = grid_layout(width, height, cells)
    assert layout.columns * layout.rows >= cells
    assert layout.width % 2 == layout.height % 2 == 0
    assert layout.width <= 1922
    assert layout.height <= 1082


def test_grid_does_not_show_the_frame_twice() -> None:
    made = prediction()
    drawn = draw_grid(made)
    layout = grid_layout(320, 180, 3)
    assert drawn.shape == (layout.height, layout.width, 3)


def test_grid_is_of_one_size_whatever_is_found() -> None:
    assert draw_grid(prediction()).shape == draw_grid(prediction(faces=[], gates=None)).shape


def test_colours() -> None:
    assert len({person_colour(i) for i in range(1, 9)}) == 8
    assert person_colour(9) == person_colour(1)
    assert len({modality_colour(i) for i in range(8)}) == 8
    assert css((255, 0, 16)) == "#ff0010"
    assert ink_on((250, 250, 250))[0] < 30
    assert ink_on((10, 10, 10)) == (255, 255, 255)
    lightness = heat_colours().astype(int).sum(1)
    assert lightness[0] < 30 < 400 < lightness[-1]


def test_long_texts_are_shortened() -> None:
    assert fit_text("source", 500, 16) == "source"
    short = fit_text("a very long name of a modality", 80, 16)
    assert short.endswith("…")
    assert text_width(short, 16) <= 80
    assert fit_text("abc", 1, 16) == ""
