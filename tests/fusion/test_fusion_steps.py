"""Frame by frame, in any grouping, the fusion gives what the whole window gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from gasp.errors import WeightsError
from gasp.fusion.gasp import Fused, FusionNetwork, GaspFusion, scale_maps
from gasp.fusion.inputs import normalise_maps, resize_map, stack_maps
from gasp.fusion.packaged import make_fusion
from gasp.networks import create_model
from gasp.weights.open import open_weights
from gasp.weights.own import save_weights
from gasp.weights.preprocessing import Preprocessing, preprocessing_2021

MODALITIES = ("captured", "faces", "motion")
PREPROCESSING = preprocessing_2021(height=12, width=16)
CONTEXT = 4
Maps = list[list[NDArray[np.uint8]]]


def make(name: str, **options: Any) -> FusionNetwork:
    torch.manual_seed(3)
    if name.startswith("Sequence"):
        options["sequence_len"] = CONTEXT
    network = create_model(
        name,
        modalities=3,
        latent_channels=4,
        encoder_widths=(4, 4),
        activation="relu",
        dam_channels=4,
        **options,
    )
    return FusionNetwork(network, MODALITIES, PREPROCESSING, distribution=True)


@pytest.fixture(scope="module")
def maps() -> Maps:
    rng = np.random.default_rng(0)
    return [
        [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), *rng.integers(0, 256, (2, 9, 13), dtype=np.uint8)]
        for _ in range(11)
    ]


def run(fusion: FusionNetwork, maps: Maps, cuts: list[bool], size: int) -> list[Fused]:
    steps = GaspFusion(fusion)
    return [
        fused
        for first in range(0, len(maps), size)
        for fused in steps.step(maps[first : first + size], cuts[first : first + size])
    ]


NAMES = [
    *("SequenceGASPDAMEncGMUALSTMConv", "SequenceGASPEncRGMUConv", "SequenceGASPDAMEncALSTMGMUConv"),
    "GASPDAMEncGMUConv",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_grouping_into_batches_does_not_matter(name: str, maps: Maps) -> None:
    fusion = make(name)
    cuts = [index in (0, 5) for index in range(len(maps))]
    one = run(fusion, maps, cuts, 1)
    for size in (3, 8):
        for alone, together in zip(one, run(fusion, maps, cuts, size), strict=True):
            # Maps of random weights are nearly flat, and scaling them to 0..1 enlarges what is rounded.
            np.testing.assert_allclose(together.saliency, alone.saliency, atol=1e-4)
            assert together.gates == pytest.approx(alone.gates, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_plain_forward_with_the_first_frame_repeated(name: str, maps: Maps) -> None:
    fusion = make(name)
    cuts = [index in (0, 6) for index in range(len(maps))]
    inputs = normalise_maps(
        torch.from_numpy(np.stack([stack_maps(frame, PREPROCESSING) for frame in maps])), PREPROCESSING
    )
    for index, fused in enumerate(run(fusion, maps, cuts, 4)):
        shot = 6 if index >= 6 else 0
        window = inputs[[max(shot, index - back) for back in reversed(range(CONTEXT))]]
        with torch.inference_mode():
            output = fusion.network(
                window[None] if fusion.network.variant.sequence else inputs[index : index + 1]
            )
        plain = output.logits[0, 0].flatten().softmax(0).view_as(output.logits[0, 0]).numpy()
        plain = (plain - plain.min()) / (plain.max() - plain.min())
        np.testing.assert_allclose(fused.saliency, plain, atol=1e-4)
        gates = output.gates.gate.reshape(3, -1).mean(1).tolist()
        assert list(fused.gates or {}) == list(MODALITIES)
        assert list((fused.gates or {}).values()) == pytest.approx(gates, abs=1e-5)


@pytest.mark.parametrize("taps", [False, True])
def test_taking_gates_apart_and_normalising_change_nothing(taps: bool, maps: Maps) -> None:
    fusion = make("SequenceGASPDAMEncALSTMGMUConv", sequence_norm=True)
    norm = fusion.network.att_lstm.sequence_norm
    assert isinstance(norm, torch.nn.BatchNorm3d)
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert values is not None
            values.uniform_(0.5, 1.5)
    inputs = normalise_maps(
        torch.from_numpy(np.stack([stack_maps(frame, PREPROCESSING) for frame in maps])), PREPROCESSING
    )
    steps = GaspFusion(fusion, taps=taps)
    fused = [*steps.step(maps[:5], [False] * 5), *steps.step(maps[5:], [False] * 6)]
    for index in range(CONTEXT - 1, len(maps)):
        with torch.inference_mode():
            logits = fusion.network(inputs[index + 1 - CONTEXT : index + 1][None]).logits
        plain = scale_maps(logits[:, 0], distribution=True)[0]
        np.testing.assert_allclose(fused[index].saliency, plain, atol=1e-4)


def test_the_published_rule_fills_windows_with_the_newest_frame(maps: Maps) -> None:
    fusion = make(NAMES[0])
    inputs = normalise_maps(
        torch.from_numpy(np.stack([stack_maps(frame, PREPROCESSING) for frame in maps])), PREPROCESSING
    )
    steps = GaspFusion(fusion, windows="newest repeated")
    for index, fused in enumerate(steps.step(maps[:7], [i in (0, 5) for i in range(7)])):
        window = [max(0, index + 1 - CONTEXT) + min(i, index) for i in range(CONTEXT)]
        with torch.inference_mode():
            logits = fusion.network(inputs[window][None]).logits
        np.testing.assert_allclose(fused.saliency, scale_maps(logits[:, 0], distribution=True)[0], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("taps", [False, True])
def test_a_frame_without_numbers_does_not_spoil_those_after_it(
    name: str, taps: bool, maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    fusion = make(name)
    encode = fusion.network.join_latents
    seen = 0

    def broken(frames: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        encoded = encode(frames).clone()
        for index in range(len(encoded)):
            if seen + index in (0, 4):
                encoded[index, 1] = torch.nan
        seen += len(encoded)
        return encoded

    monkeypatch.setattr(fusion.network, "join_latents", broken)
    steps = GaspFusion(fusion, taps=taps)
    fused = [row for first in (0, 3, 6) for row in steps.step(maps[first : first + 3], [False] * 3)]
    assert [row.replaced for row in fused] == [index in (0, 4) for index in range(9)]
    assert all(np.isfinite(row.saliency).all() for row in fused)
    assert not fused[0].saliency.any()
    assert fused[0].gates is None
    assert fused[0].saliency.shape == fused[1].saliency.shape
    monkeypatch.undo()
    clean = GaspFusion(fusion, taps=taps)
    expected = clean.step([*maps[1:4], maps[3], *maps[5:9]], [False] * 8)
    for row, other in zip(fused[1:], expected, strict=True):
        np.testing.assert_allclose(row.saliency, other.saliency, atol=1e-4)


def test_nothing_is_carried_over_a_cut(maps: Maps) -> None:
    fusion = make(NAMES[0])
    whole = run(fusion, maps, [index in (0, 5) for index in range(len(maps))], 3)
    rest = run(fusion, maps[5:], [index == 0 for index in range(len(maps) - 5)], 8)
    carried = run(fusion, maps, [index == 0 for index in range(len(maps))], 3)
    for one, other in zip(whole[5:], rest, strict=True):
        np.testing.assert_allclose(one.saliency, other.saliency, atol=1e-5)
    assert np.abs(whole[5].saliency - carried[5].saliency).max() > 1e-3


def test_predictions_have_their_form(maps: Maps) -> None:
    for fused in run(make(NAMES[0]), maps, [True] * len(maps), 4):
        assert fused.saliency.dtype == np.float32
        assert fused.saliency.shape == (6, 8)
        assert fused.saliency.min() == 0
        assert fused.saliency.max() == 1
        assert all(0 <= gate <= 1 for gate in (fused.gates or {}).values())
    assert GaspFusion(make(NAMES[0])).step([], []) == []


@pytest.mark.parametrize("name", NAMES)
def test_less_exact_numbers_give_maps_of_the_same_form(name: str, maps: Maps) -> None:
    exact, rough = make(name), make(name)
    for fusion in (exact, rough):
        with torch.no_grad():
            fusion.network.saliency_out.weight.mul_(3000)
    rough.network.bfloat16()
    for one, other in zip(
        run(exact, maps[:5], [False] * 5, 5), run(rough, maps[:5], [False] * 5, 5), strict=True
    ):
        assert other.saliency.dtype == np.float32
        assert other.saliency.shape == one.saliency.shape
        assert np.isfinite(other.saliency).all()
        assert other.gates == pytest.approx(one.gates, abs=0.02)


def test_a_network_without_gates_has_none(maps: Maps) -> None:
    assert run(make("GASPEncConv"), maps[:1], [True], 1)[0].gates is None


@pytest.mark.parametrize("distribution", [True, False])
def test_values_that_are_no_numbers_stay_to_be_seen(distribution: bool) -> None:
    logits = torch.zeros(3, 4, 5)
    logits[0, 1, 1] = torch.nan
    logits[1, 1, 1] = 1.0
    scaled = scale_maps(logits, distribution=distribution)
    assert scaled[0].isnan().all()
    assert scaled[1].max() == 1
    assert not scaled[2].any()


values = arrays.arrays(np.float32, (2, 3, 4), elements=st.floats(-60, 60, width=32))


@settings(max_examples=40, deadline=None)
@given(values, st.booleans())
@example(np.full((2, 3, 4), -16.32035, np.float32), False)
def test_scaled_maps_are_from_0_to_1_and_in_the_order_of_the_logits(
    logits: NDArray[np.float32], distribution: bool
) -> None:
    scaled = scale_maps(torch.from_numpy(logits), distribution=distribution).numpy()
    assert scaled.shape == logits.shape
    for row, out in zip(logits, scaled, strict=True):
        assert out.min() == 0
        assert out.max() in (0, 1)
        order = row.ravel().argsort()
        assert (np.diff(out.ravel()[order]) >= 0).all()
        if np.ptp(row) > 1e-3 and distribution:
            assert out.max() == 1
    flat = np.full_like(logits, logits.flat[0])
    assert not scale_maps(torch.from_numpy(flat), distribution=distribution).any()


# -- what goes in ---------------------------------------------------------------------------------------


def test_maps_are_stacked_in_order_and_grey_is_repeated() -> None:
    colours = np.zeros((12, 16, 3), np.uint8)
    colours[...] = (10, 20, 30)
    grey = np.full((5, 7), 40, np.uint8)
    stacked = stack_maps([colours, grey], PREPROCESSING)
    assert stacked.shape == (6, 12, 16)
    assert stacked.dtype == np.uint8
    assert [int(channel.mean()) for channel in stacked] == [10, 20, 30, 40, 40, 40]
    assert np.ptp(stacked.reshape(6, -1), 1).max() == 0


def test_resizing_keeps_places() -> None:
    left = np.zeros((50, 90), np.uint8)
    left[:, :45] = 200
    resized = resize_map(left, PREPROCESSING)
    assert resized.shape == (12, 16, 3)
    assert (resized[:, :7] == 200).all()
    assert (resized[:, 9:] == 0).all()


def test_normalising_is_per_colour_and_the_same_for_every_modality() -> None:
    form = Preprocessing(height=2, width=2, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    stacked = torch.full((5, 6, 2, 2), 51, dtype=torch.uint8)
    expected = torch.tensor([(0.2 - 0.1) / 0.5, 0, (0.2 - 0.3) / 0.125]).repeat(2)
    torch.testing.assert_close(
        normalise_maps(stacked, form), expected[:, None, None].expand(5, 6, 2, 2), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(normalise_maps(stacked[0], form), normalise_maps(stacked, form)[0])


# -- weights --------------------------------------------------------------------------------------------

SMALL = {
    "modalities": 2, "latent_channels": 2, "encoder_widths": [2, 2], "dam_channels": 2, "sequence_len": 3,
}  # fmt: skip
FORM = {"height": 8, "width": 8, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}


def write(path: Path, **header: str) -> Path:
    name = "SequenceGASPDAMEncGMUALSTMConv"
    return save_weights(create_model(name, **SMALL), path, network=name, options=SMALL, metadata=header)


def test_a_file_of_our_own_is_read_with_its_form(tmp_path: Path) -> None:
    names = json.dumps(["captured", "speaking"])
    path = write(
        tmp_path / "w.safetensors", modalities=names, preprocessing=json.dumps(FORM), output="distribution"
    )
    fusion = make_fusion(open_weights(path))
    assert fusion.modalities == ("captured", "speaking")
    assert fusion.distribution
    maps = [[np.zeros((5, 5), np.uint8)] * 2] * 2
    assert [fused.saliency.shape for fused in GaspFusion(fusion).step(maps, [True, False])] == [(4, 4)] * 2


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"modalities": '["captured", "faces"]'},
        {"modalities": "captured, faces", "preprocessing": json.dumps(FORM)},
        {"modalities": '["captured", "faces"]', "preprocessing": '{"size": 3}'},
        {"modalities": '["captured", "faces", "motion"]', "preprocessing": json.dumps(FORM)},
        {"modalities": "7", "preprocessing": json.dumps(FORM)},
    ],
)
def test_a_header_that_does_not_describe_the_input_is_refused(tmp_path: Path, header: dict[str, str]) -> None:
    path = write(tmp_path / "wrong.safetensors", **header)
    with pytest.raises(WeightsError, match=r"wrong\.safetensors"):
        make_fusion(open_weights(path))


def test_other_networks_and_damaged_files_are_refused(tmp_path: Path) -> None:
    options = {"widths": [4, 4, 4, 4, 4], "depths": [1, 1, 1, 1], "pyramid": 4, "fine": 4}
    names, form = json.dumps(["captured", "faces"]), json.dumps(FORM)
    other = save_weights(
        create_model("glance", **options), tmp_path / "glance.safetensors", network="glance", options=options,
        metadata={"modalities": names, "preprocessing": form},
    )  # fmt: skip
    with pytest.raises(WeightsError, match="not a GASP network for 2 modalities"):
        make_fusion(open_weights(other))
    good = write(tmp_path / "cut.safetensors", modalities=names, preprocessing=form)
    good.write_bytes(good.read_bytes()[:-40])
    with pytest.raises(WeightsError, match=r"cut\.safetensors"):
        make_fusion(open_weights(good))
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        make_fusion(open_weights(tmp_path / "nowhere.safetensors"))


def test_the_packaged_network_takes_the_default_cues() -> None:
    from gasp.config.settings import DEFAULT_CUES

    fusion = make_fusion(open_weights("fusion"))
    assert set(fusion.modalities) <= set(DEFAULT_CUES)
    assert fusion.network.modalities == len(fusion.modalities)
    assert not fusion.network.training
