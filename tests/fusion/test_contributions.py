"""What the cues contribute: it adds up, belongs to the frame, and finds the cue that decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gasp.fusion.contributions import Contributions, shapley_weights
from gasp.fusion.gasp import Fused, FusionNetwork, GaspFusion
from gasp.fusion.inputs import normalise_maps, stack_maps
from gasp.fusion.packaged import make_fusion
from gasp.metrics.density import as_density, centre_prior, sums_within
from gasp.networks import create_model
from gasp.weights.open import open_weights
from gasp.weights.preprocessing import preprocessing_2021
from helpers.contributing_scenes import share_found

MODALITIES = ("captured", "glance", "faces", "speaking")
FORM = preprocessing_2021(height=12, width=16)
Maps = list[list[NDArray[np.uint8]]]

APART = [
    *("SequenceGASPEncGMUALSTMConv", "SequenceGASPEncALSTMConv", "SequenceGASPEncALSTMGMUConv"),
    "SequenceGASPEncRGMUConv",
]
TOGETHER = ["SequenceGASPDAMEncGMUALSTMConv", "SequenceGASPDAMEncRGMUConv", "GASPEncGMUConv", "GASPSEEncConv"]


def make(name: str, corrects: str | None = "glance", seed: int = 3, **changes: Any) -> FusionNetwork:
    """A small network with weights by fan-in, so that every input matters."""
    options: dict[str, Any] = {"sequence_len": 3} if name.startswith("Sequence") else {}
    torch.manual_seed(seed)
    network = create_model(
        name,
        modalities=4,
        latent_channels=4,
        encoder_widths=(4, 4),
        activation="relu",
        dam_channels=4,
        **options,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            scale = float(np.prod(parameter.shape[1:])) ** -0.5 if parameter.ndim == 4 else 0.3
            parameter.normal_(0, scale)
        network.saliency_out.weight.mul_(8)
    return replace(FusionNetwork(network, MODALITIES, FORM, distribution=True, corrects=corrects), **changes)


@pytest.fixture(scope="module")
def maps() -> Maps:
    rng = np.random.default_rng(0)
    return [
        [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), *rng.integers(0, 256, (3, 9, 13), dtype=np.uint8)]
        for _ in range(10)
    ]


def run(
    fusion: FusionNetwork,
    maps: Maps,
    size: int = 4,
    looks: int = 3,
    first: int = 0,
    cuts: Sequence[int] = (0, 5),
) -> list[Fused]:
    steps = GaspFusion(fusion, looks=looks, cues=MODALITIES)
    numbers = range(first, first + len(maps))
    return [
        fused
        for at in range(0, len(maps), size)
        for fused in steps.step(
            maps[at : at + size],
            [n in cuts for n in numbers[at : at + size]],
            numbers[at : at + size],
        )
    ]


def contributions(fused: Sequence[Fused]) -> Iterator[tuple[NDArray[np.float64], Contributions]]:
    """Densities and what makes them."""
    for one in fused:
        assert one.contributions is not None
        yield as_density(one.saliency), one.contributions


def black(maps: Maps, kept: Sequence[int]) -> Maps:
    return [[drawn if i in kept else np.zeros_like(drawn) for i, drawn in enumerate(frame)] for frame in maps]


# -- the arithmetic ---------------------------------------------------------------------------------------

games = st.integers(1, 4).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.floats(-10, 10), min_size=2**n, max_size=2**n))
)


@settings(max_examples=60, deadline=None)
@given(games, st.data())
def test_shapley_values_of_any_game(game: tuple[int, list[float]], data: st.DataObject) -> None:
    n, values = game
    worth = np.array(values)
    found = shapley_weights(n) @ worth
    assert found.sum() == pytest.approx(worth[-1] - worth[0], abs=1e-9)
    orders = list(permutations(range(n)))
    expected = np.zeros(n)
    for order in orders:
        there = 0
        for player in order:
            expected[player] += (worth[there | 1 << player] - worth[there]) / len(orders)
            there |= 1 << player
    np.testing.assert_allclose(found, expected, atol=1e-9)
    player = data.draw(st.integers(0, n - 1))
    without = [place & ~(1 << player) for place in range(2**n)]
    assert (shapley_weights(n) @ worth[without])[player] == pytest.approx(0, abs=1e-9)
    other = data.draw(st.integers(0, n - 1))
    swapped = [_swap(place, player, other) for place in range(2**n)]
    alike = shapley_weights(n) @ (worth + worth[swapped])
    assert alike[player] == pytest.approx(alike[other], abs=1e-9)


def _swap(place: int, one: int, other: int) -> int:
    first, second = place >> one & 1, place >> other & 1
    return place & ~(1 << one | 1 << other) | first << other | second << one


# -- the network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*APART, *TOGETHER])
def test_a_coalition_is_the_whole_network_with_black_maps(name: str, maps: Maps) -> None:
    fusion = make(name)
    steps = GaspFusion(fusion, looks=1)
    coalitions = steps._coalitions
    assert coalitions is not None
    assert coalitions.method == ("shapley" if name in APART else "leave one out")
    chosen = torch.tensor([[True, False, True, True], [False, True, False, True], [False] * 4, [True] * 4])
    with torch.inference_mode():
        window = [_inputs(maps[i]) for i in (0, 0, 1)]
        kept = [coalitions.keep(one, fusion.network.encode_each(one))[0] for one in window[1:]]
        found = coalitions.logits([kept[0], *kept])(chosen)
        for row, choice in enumerate(chosen.tolist()):
            kept_maps = [i for i, there in enumerate(choice) if there]
            plain = torch.cat([_inputs(*black([maps[i]], kept_maps)) for i in (0, 0, 1)])
            whole = fusion.network(plain[None] if fusion.network.variant.sequence else plain[-1:])
            torch.testing.assert_close(found[row], whole.logits[0, 0], atol=1e-5, rtol=0)
    assert float(found.std(0).max()) > 1e-2


def _inputs(frame: list[NDArray[np.uint8]]) -> torch.Tensor:
    return normalise_maps(torch.from_numpy(stack_maps(frame, FORM))[None], FORM)


@pytest.mark.parametrize("corrects", ["glance", None])
@pytest.mark.parametrize("distribution", [True, False])
def test_they_are_the_shapley_values_of_maps_made_the_long_way(
    corrects: str | None, distribution: bool, maps: Maps
) -> None:
    fusion = make(APART[0], corrects, distribution=distribution)
    values = np.stack([
        [as_density(one.saliency) for one in run(fusion, black(maps[:4], [i for i in range(4) if s >> i & 1]), looks=0)]
        for s in range(16)
    ])  # fmt: skip
    values[0] = as_density(centre_prior(*values.shape[-2:]))
    expected = np.tensordot(shapley_weights(4), values, 1).swapaxes(0, 1)
    for row, (_, found) in zip(expected, contributions(run(fusion, maps[:4], looks=1)), strict=True):
        np.testing.assert_allclose(found.maps, row, atol=1e-6)
        np.testing.assert_allclose(found.baseline, values[0, 0], atol=1e-7)


@pytest.mark.parametrize("corrects", ["glance", None])
@pytest.mark.parametrize("name", APART)
def test_they_add_up_on_every_frame_to_the_reported_map(name: str, corrects: str | None, maps: Maps) -> None:
    for density, found in contributions(run(make(name, corrects), maps, looks=7)):
        assert (found.maps.dtype, found.baseline.dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(found.maps.sum(0) + found.baseline, density, atol=1e-6)
        assert all(0 < share < 1 for share in found.moved().values())
        box = (10.5, 20.0, 70.0, 61.0)
        share = float(sums_within(density, box, 90, 160))
        points = found.share(box, 90, 160)
        assert sum(points.values()) / 100 == pytest.approx(
            share - found.baseline_share(box, 90, 160), abs=1e-4
        )


@pytest.mark.parametrize("name", TOGETHER)
def test_leaving_one_out(name: str, maps: Maps) -> None:
    fusion = make(name)
    whole = run(fusion, maps[:4], looks=1)
    for place in range(4):
        without = run(fusion, black(maps[:4], [i for i in range(4) if i != place]), looks=0)
        for one, other in zip(whole, without, strict=True):
            assert one.contributions is not None
            assert one.contributions.method == "leave one out"
            expected = as_density(one.saliency) - as_density(other.saliency)
            np.testing.assert_allclose(one.contributions.maps[place], expected, atol=1e-6)


@pytest.mark.parametrize("name", [APART[0], TOGETHER[0]])
def test_what_says_nothing_contributes_nothing(name: str, maps: Maps) -> None:
    fusion = make(name)
    quiet = black(maps, [0, 1, 2])
    for frame in quiet:
        frame[2] = np.full_like(frame[2], 77)
    for density, found in contributions(run(fusion, quiet)):
        assert not found.maps[2:].any()
        assert found.maps[0].any()
        if found.method == "shapley":
            np.testing.assert_allclose(found.maps.sum(0) + found.baseline, density, atol=1e-6)
    for density, found in contributions(run(fusion, black(maps, []))):
        assert not found.maps.any()
        np.testing.assert_allclose(found.baseline, density, atol=1e-7)
    for density, found in contributions(run(fusion, black(maps, [1]))):
        if found.method == "shapley":  # one alone makes the whole difference
            np.testing.assert_allclose(found.maps[1] + found.baseline, density, atol=1e-6)
    assert run(fusion, maps[:1], looks=0)[0].contributions is None


@pytest.mark.parametrize("name", [APART[0], TOGETHER[0]])
def test_a_modality_that_begins_or_ends_between_looks(name: str, maps: Maps) -> None:
    fusion = make(name)
    speaks = [frame if 2 <= i < 4 else [*frame[:3], np.zeros_like(frame[3])] for i, frame in enumerate(maps)]
    found = list(contributions(run(fusion, speaks, looks=100, cuts=(0,))))
    # The window holds three frames.
    assert [bool(one.maps[3].any()) for _, one in found] == [2 <= i < 6 for i in range(10)]
    if name in APART:
        for density, one in found:
            np.testing.assert_allclose(one.maps.sum(0) + one.baseline, density, atol=1e-6)


@pytest.mark.parametrize("name", [APART[0], TOGETHER[0]])
def test_neither_batches_nor_where_a_run_began_matter(name: str, maps: Maps) -> None:
    fusion = make(name)
    one = list(contributions(run(fusion, maps, 1)))
    for size in (3, 10):
        for (_, alone), (_, together) in zip(one, contributions(run(fusion, maps, size)), strict=True):
            np.testing.assert_allclose(together.maps, alone.maps, atol=1e-5)
    # The window reaches two frames back, and looks are three frames apart.
    for begin in range(1, 5):
        later = contributions(run(fusion, maps[begin:], 1, first=begin))
        for (_, alone), (_, other) in list(zip(one[begin:], later, strict=True))[4:]:
            assert other.maps.tobytes() == alone.maps.tobytes()


# -- what it is for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("decides", ["speaking", "motion"])
def test_the_cue_and_the_person_that_decide_lead(decides: str) -> None:
    fusion = make_fusion(open_weights("fusion"))
    assert share_found(fusion, decides, 24) >= 0.95
