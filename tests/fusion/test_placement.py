"""Where and when in a face people look in video: moved down, averaged, stills left alone, sums kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp.config.pipelines import PipelineSettings
from gasp.config.presets import preset
from gasp.fusion.contributions import Contributions
from gasp.fusion.placement import Placement, PlacementRule, drop_of, move_down

RULE = PlacementRule(drop=0.15, large=0.3, range=0.15, memory=0.2)


def spot(row: int, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    drawn = np.zeros(shape, np.float32)
    drawn[row, 30] = 1
    return drawn


def test_faces_of_middling_size_draw_looks_lower_and_close_ups_do_not() -> None:
    assert drop_of([0.1], RULE) == pytest.approx(0.015)
    assert drop_of([0.15], RULE) == pytest.approx(0.0225)
    assert drop_of([0.225], RULE) == pytest.approx(0.15 * 0.225 / 2)
    assert drop_of([0.35], RULE) == 0
    assert drop_of([], RULE) == 0


@given(share=st.floats(0, 0.2), row=st.integers(0, 30))
def test_a_map_moves_by_a_share_of_its_height(share: float, row: int) -> None:
    moved = move_down(spot(row)[None], share)[0]
    rows = np.arange(40) @ moved[:, 30]
    if row:
        assert rows == pytest.approx(row + 40 * share, abs=1e-3)
        assert moved.sum() == pytest.approx(1, abs=1e-5)
    else:  # what lies above the picture is as its first row
        assert moved[0, 30] == pytest.approx(1)


def test_maps_are_averaged_over_a_fifth_of_a_second_and_not_over_a_cut() -> None:
    placement = Placement(RULE, 0.04)
    assert placement.past == 4
    for row in (5, 5, 5, 25):
        placed, _ = placement.place(spot(row), None, [], cut=False)
    assert placed[5, 30] == pytest.approx(1)
    assert placed[25, 30] == pytest.approx(1 / 3)
    placed, _ = placement.place(spot(35), None, [], cut=True)
    assert np.array_equal(placed, spot(35))


@given(seed=st.integers(0, 1000), height=st.floats(0.02, 0.4))
def test_contributions_still_add_up(seed: int, height: float) -> None:
    rng = np.random.default_rng(seed)
    placement = Placement(RULE, 0.04)
    for _ in range(3):
        saliency = rng.random((20, 30)).astype(np.float32)
        density = saliency / saliency.sum()
        baseline = np.full((20, 30), 1 / 600, np.float32)
        share = rng.dirichlet([1, 1, 1]).astype(np.float32)[:, None, None]
        given_ = Contributions(("a", "b", "c"), share * (density - baseline), baseline, "shapley")
        placed, found = placement.place(saliency, given_, [height], cut=False)
        assert found is not None
        assert placed.min() == 0
        assert placed.max() == 1
        total = found.baseline + found.maps.sum(0)
        np.testing.assert_allclose(total, placed / placed.sum(), atol=1e-6)


def test_the_packaged_fusion_is_placed_and_published_ones_are_not() -> None:
    assert preset("default").places
    assert not preset("gasp-2021").places
    assert not PipelineSettings.read({"cues": ["glance"], "placement": "none"}, "x").places
