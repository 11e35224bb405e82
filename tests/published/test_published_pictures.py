"""Pictures beside the maps are those of the published pipeline."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.cues.esr9 import ESR9Quirks, aggregate, draw_patches
from gasp.cues.gaze360 import Gaze360Quirks, draw_gazes
from gasp.cues.quirks import choose_quirks
from gasp.cues.videogaze import VideoGazeQuirks, draw_heatmaps
from gasp.errors import UsageError
from gasp.faces.face import Box
from gasp.published.pictures import (
    draw_boxes,
    draw_fixation_density,
    draw_fixation_points,
    draw_gaze_points,
    lay_over,
)
from helpers import synthetic
from helpers.faces_in_video import check_picture, frames_of, from_css, observation
from helpers.parity import Case, case_names

PAGE = Path(__file__).parents[2] / "docs" / "published-cues.md"


def test_functions_of_the_docs_are_there() -> None:
    named = re.findall(r"`(gasp[\w.]+)`: ((?:`\w+`(?:, )?)+)", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 15
    for module, functions in named:
        for name in re.findall(r"\w+", functions):
            assert callable(getattr(import_module(module), name)), f"{module}.{name}"


def array(case: Case) -> NDArray[np.float32]:
    about = case.about["inputs"][1]
    made = synthetic.array(about["name"], tuple(about["shape"]), about["kind"], about["seed"])
    return made * np.float32(case.options["scale"])


@pytest.mark.parametrize(
    "name", [*case_names("rendering", "gaze360_map_*"), *case_names("rendering", "esr9_map_*")]
)
def test_boxes_are_drawn_as_published(name: str) -> None:
    case = Case("rendering", name)
    (frame,) = frames_of(case)
    check_picture(
        case, "source", draw_boxes(frame, [from_css(box) for box in case.about["boxes"]])[..., ::-1]
    )


@pytest.mark.parametrize("name", case_names("rendering", "gaze360_map_*"))
def test_gazes_lie_over_the_frame_as_published(name: str) -> None:
    case = Case("rendering", name)
    (frame,) = frames_of(case)
    seen = observation(frame, [from_css(box) for box in case.about["boxes"]])
    gazes = [(face, np.array(g, np.float32)) for face, g in zip(seen.faces, case.about["gaze"], strict=True)]
    quirks: Any = choose_quirks(Gaze360Quirks, "published", {})
    check_picture(case, "overlay", draw_gazes(seen, gazes, quirks, overlay=True)[..., ::-1])


@pytest.mark.parametrize("name", case_names("rendering", "videogaze_map_*"))
def test_heatmaps_lie_over_the_frame_as_published(name: str) -> None:
    case = Case("rendering", name)
    (frame,), heatmaps = frames_of(case), list(array(case))
    quirks: Any = choose_quirks(VideoGazeQuirks, "published", {})
    drawn = draw_heatmaps(heatmaps, case.options["side"], (1, 1), quirks)
    check_picture(case, "overlay", lay_over(drawn, draw_gaze_points(frame, heatmaps))[..., ::-1])


@pytest.mark.parametrize("name", case_names("rendering", "esr9_map_*"))
def test_expressions_lie_over_the_frame_as_published(name: str) -> None:
    case = Case("rendering", name)
    (frame,), boxes = frames_of(case), [from_css(box) for box in case.about["boxes"]]
    patches = [
        (box, aggregate(cam, np.array(classes), "sum"))
        for box, cam, classes in zip(boxes, array(case), case.about["classes"], strict=True)
    ]
    quirks: Any = choose_quirks(ESR9Quirks, "published", {})
    drawn = draw_patches(observation(frame, boxes), patches, quirks)
    check_picture(case, "overlay", lay_over(drawn, frame)[..., ::-1])


def test_fixations_are_drawn_as_published() -> None:
    case = Case("rendering", "fixation_density")
    (frame,), fixations = frames_of(case), np.array(case.about["fixations"], float)
    drawn = draw_fixation_density(
        frame,
        fixations,
        tuple(case.options["sigma"]),
        colours=case.options["color_map"],
        weight=case.options["alpha"],
    )
    check_picture(case, "picture", drawn[..., ::-1])
    check_picture(case, "points", draw_fixation_points(frame, fixations, radius=3)[..., ::-1])


def test_frames_stay_as_they_are_where_there_is_nothing_to_draw() -> None:
    frame = synthetic.image("frame", 20, 30)
    nothing = np.full((2, 3), np.nan)
    np.testing.assert_array_equal(draw_boxes(frame, [Box(float("nan"), 0, 5, 5)]), frame)
    np.testing.assert_array_equal(draw_gaze_points(frame, []), frame)
    np.testing.assert_array_equal(draw_fixation_points(frame, nothing), frame)
    assert not draw_fixation_density(frame, nothing, 5.0, colours="bone", weight=1).any()
    with pytest.raises(UsageError, match="bone"):
        draw_fixation_density(frame, nothing, 5.0, colours="bones")


def test_points_outside_the_frame_do_no_harm() -> None:
    frame = np.zeros((20, 30, 3), np.uint8)
    far = np.array([[-500.0, 8, 1], [1e6, -1e6, 1], [15, 10, 1]])
    assert draw_fixation_points(frame, far).sum() == 5 * 3 * 255
    assert draw_boxes(frame, [Box(-90, -90, 900, 900), Box(-5, -5, 10, 10)]).any()
