"""The GASP family: published values, names and shapes, streaming, options."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gasp.errors import InputError, UsageError
from gasp.networks import create_model
from gasp.networks.blocks.attentive_lstm import AttentiveLSTM, SequenceAttentiveLSTM
from gasp.networks.blocks.dam import DAMLayer
from gasp.networks.blocks.encoder import LAYOUTS, ModalityEncoder
from gasp.networks.blocks.gmu import GMUConv2d, RGMUConv2d
from gasp.networks.blocks.squeeze_excitation import SELayer
from gasp.networks.gasp import GASP, GASPOutput, PreparedFrame, gate_scores
from gasp.networks.variants import VARIANTS
from gasp.weights import load_checkpoint
from helpers.parity import Case, case_names

# Spec: tensors and trainable parameters for 5 modalities, 10 frames, temporal normalisation where possible.
SIZES = {
    "GASPEncConv": (20, 536065),
    "GASPEncAddConv": (20, 490273),
    "GASPSEEncConv": (22, 536275),
    "GASPEncGMUConv": (22, 766753),
    "GASPEncALSTMConv": (39, 2797121),
    "GASPEncALSTMGMUConv": (43, 3073793),
    "GASPEncGMUALSTMConv": (43, 859521),
    "GASPDAMEncGMUConv": (28, 771316),
    "GASPDAMEncALSTMGMUConv": (49, 3078356),
    "GASPDAMEncGMUALSTMConv": (49, 864084),
    "SequenceGASPEncALSTMConv": (108, 4756821),
    "SequenceGASPEncALSTMGMUConv": (112, 5033493),
    "SequenceGASPEncGMUALSTMConv": (112, 2819221),
    "SequenceGASPEncRGMUConv": (90, 2729633),
    "SequenceGASPDAMEncALSTMGMUConv": (118, 5038056),
    "SequenceGASPDAMEncGMUALSTMConv": (118, 2823784),
    "SequenceGASPDAMEncRGMUConv": (96, 2734196),
}
SEQUENCES = [name for name, variant in VARIANTS.items() if variant.sequence]
STATIC = [name for name in VARIANTS if name not in SEQUENCES]
COMPACT = {"modalities": 3, "encoder_widths": (4, 8, 8, 4), "latent_channels": 4, "dam_channels": 8}


def has_norm(name: str) -> bool:
    return name in SEQUENCES and "att_lstm" in VARIANTS[name].fusion


def compact(name: str, **options: object) -> GASP:
    torch.manual_seed(3)
    if name in SEQUENCES:
        options = {"sequence_len": 4, "sequence_norm": has_norm(name), **options}
    model = create_model(name, **COMPACT, **options)
    assert isinstance(model, GASP)
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return model


def pictures(model: GASP, count: int = 2, size: tuple[int, int] = (12, 10)) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    channels = model.modalities * model.in_channels
    shape = (count, 4, channels, *size) if model.variant.sequence else (count, channels, *size)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize("name", case_names("gasp", "*GASP*"))
def test_network_gives_published_values(name: str) -> None:
    case = Case("gasp", name)
    model = create_model(case.network, **case.options)
    state = case.state_dict()
    assert list(model.state_dict()) == list(state)
    model.load_state_dict(state)
    (modules,) = case.inputs()
    untouched = modules.clone()

    with torch.inference_mode():
        output = model(modules)

    assert torch.equal(modules, untouched)
    actual = {"logits": output.logits}
    if output.dam_logits is not None:
        actual["dam_logits"] = output.dam_logits
    if output.gates is not None:
        actual["hidden_mean"] = output.gates.hidden.flatten(2).mean(2)
        actual["gate_mean"] = output.gates.gate.flatten(2).mean(2)
    assert actual.keys() == case.expected.keys()
    for key, value in actual.items():
        assert value.shape[:2] == case.expected[key].shape[:2]
    case.check(**actual)


def test_block_gives_published_values_attentive_lstm() -> None:
    check_block("AttentiveLSTM", AttentiveLSTM(8), "hidden")


@pytest.mark.parametrize("name", case_names("gasp", "SequenceAttentiveLSTM_*"))
def test_block_gives_published_values_sequence_attentive_lstm(name: str) -> None:
    check_block(name, SequenceAttentiveLSTM(8, 4, sequence_norm=name.endswith("_norm")), "hidden")


@pytest.mark.parametrize("layout", ["Conv", "Deep"])
def test_block_gives_published_values_encoder(layout: str) -> None:
    check_block(f"ModalityEncoder_{layout.lower()}", ModalityEncoder(3, LAYOUTS[layout]), "features")


def test_block_gives_published_values_se() -> None:
    check_block("SELayer", SELayer(15), "y")


@pytest.mark.parametrize(("name", "unit"), [("GMUConv2d", GMUConv2d), ("RGMUConv2d", RGMUConv2d)])
def test_block_gives_published_values_gmu(name: str, unit: type[GMUConv2d]) -> None:
    case, block, x = load_block(name, unit(6, 4, 3))
    fused, gates = block(x)
    case.check(fused=fused, hidden=gates.hidden, gates=gates.gate)


def test_block_gives_published_values_dam() -> None:
    case, block, x = load_block("DAMLayer", DAMLayer(15))
    assert isinstance(block, DAMLayer)
    case.check(scaled=block(x), dam_logits=block.logits(x))


def load_block(name: str, block: nn.Module) -> tuple[Case, nn.Module, Tensor]:
    case = Case("gasp", name)
    state = case.state_dict()
    assert list(block.state_dict()) == list(state)
    block.load_state_dict(state)
    return case, block.eval(), case.inputs()[0]


def check_block(name: str, block: nn.Module, output: str) -> None:
    case, block, x = load_block(name, block)
    case.check(**{output: block(x)})


@pytest.mark.parametrize("name", VARIANTS)
def test_sizes_are_the_published_ones(name: str) -> None:
    options = {"sequence_len": 10, "sequence_norm": has_norm(name)} if name in SEQUENCES else {}
    with torch.device("meta"):
        model = create_model(name, modalities=5, **options)
    assert (len(model.state_dict()), sum(p.numel() for p in model.parameters())) == SIZES[name]


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("frames_at_once", [False, True])
def test_frame_by_frame_equals_whole_window(name: str, frames_at_once: bool) -> None:
    model = compact(name)
    window = pictures(model)
    with torch.inference_mode():
        whole = model(window)
        if frames_at_once:
            features = model.encode_frame(window.flatten(0, 1)).unflatten(0, (2, 4))
        else:
            features = torch.stack([model.encode_frame(frame) for frame in window.unbind(1)], 1)
        streamed = model.fuse(features)
    assert_same(streamed, whole)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("taps", [False, True])
def test_prepared_frames_shared_by_windows_equal_whole_windows(name: str, taps: bool) -> None:
    model = compact(name)
    window = pictures(model)
    if name in STATIC:
        with torch.inference_mode():
            assert_same(model.fuse_prepared([model.prepare(model.encode_frame(window))]), model(window))
        return
    longer = torch.cat([window, window.flip(1)[:, 1:3]], 1)
    with torch.inference_mode():
        frames = [model.prepare(model.encode_frame(f), taps=taps) for f in longer.unbind(1)]
        for first in range(3):
            assert_same(model.fuse_prepared(frames[first : first + 4]), model(longer[:, first : first + 4]))
        joined = [PreparedFrame.join(pair) for pair in itertools.pairwise(frames[:5])]
        both = model.fuse_prepared(joined).logits.chunk(2)
        for first in range(2):
            torch.testing.assert_close(
                both[first], model(longer[:, first : first + 4]).logits, atol=1e-6, rtol=1e-5
            )


@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("time_axis", [False, True])
def test_static_networks_split_into_encoding_and_fusion(name: str, time_axis: bool) -> None:
    model = compact(name)
    frames = pictures(model)
    with torch.inference_mode():
        features = model.encode_frame(frames)
        assert_same(model.fuse(features.unsqueeze(1) if time_axis else features), model(frames))


def assert_same(streamed: GASPOutput, whole: GASPOutput) -> None:
    torch.testing.assert_close(streamed.logits, whole.logits, atol=1e-6, rtol=1e-5)
    assert streamed.dam_logits is None
    assert (streamed.gates is None) == (whole.gates is None)
    if streamed.gates is not None and whole.gates is not None:
        torch.testing.assert_close(streamed.gates.hidden, whole.gates.hidden, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(streamed.gates.gate, whole.gates.gate, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_samples_do_not_influence_each_other(name: str) -> None:
    model = compact(name)
    modules = pictures(model)
    with torch.inference_mode():
        both = model(modules).logits
        second = model(modules[1:]).logits
    torch.testing.assert_close(both[1:], second, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_gate_scores_are_one_mean_per_modality(name: str) -> None:
    model = compact(name)
    with torch.inference_mode():
        output = model(pictures(model))
    scores = gate_scores(output, model.modalities)
    if not {"gmu", "rgmu"} & set(VARIANTS[name].fusion):
        assert scores is None
        return
    assert scores is not None
    assert scores.shape == (2, 3)
    first_modality = output.gates.gate.reshape(2, 3, 4, *output.logits.shape[-2:])[:, 0]
    torch.testing.assert_close(scores[:, 0], first_modality.mean((1, 2, 3)))


@pytest.mark.parametrize("name", VARIANTS)
def test_bfloat16_stays_near_float32(name: str) -> None:
    model = compact(name)
    modules = pictures(model)
    with torch.inference_mode():
        exact = model(modules).logits
        rough = model.bfloat16()(modules.bfloat16()).logits
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_learns(name: str) -> None:
    model = compact(name).train()
    output = model(pictures(model))
    loss = output.logits.square().sum()
    if output.dam_logits is not None:
        loss = loss + output.dam_logits.square().sum()
    loss.backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


def test_saliency_loss_reaches_the_attention_scores() -> None:
    model = compact("GASPDAMEncGMUConv").train()
    model(pictures(model)).logits.sum().backward()
    assert model.dam.fc1.weight.grad is not None
    assert model.dam.conv[0].weight.grad is None


@pytest.mark.parametrize(
    "name", ["GASPDAMEncALSTMGMUConv", "SequenceGASPDAMEncGMUALSTMConv", "SequenceGASPDAMEncRGMUConv"]
)
def test_exports_for_any_batch(name: str) -> None:
    model = compact(name)
    modules = pictures(model, count=3)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (modules[:2],), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(modules).logits, model(modules).logits)


def test_loads_a_published_file(tmp_path: Path) -> None:
    case = Case("gasp", "SequenceGASPDAMEncGMUALSTMConv_conv_norm")
    torch.save(case.state_dict(), tmp_path / "last_model.pt")
    model = load_checkpoint(create_model(case.network, **case.options), tmp_path / "last_model.pt")
    with torch.inference_mode():
        case.check(logits=model(*case.inputs()).logits)


def test_relu_between_encoder_layers_changes_the_result_and_not_the_names() -> None:
    plain, bent = compact("GASPEncGMUConv"), compact("GASPEncGMUConv", activation="relu")
    assert list(plain.state_dict()) == list(bent.state_dict())
    bent.load_state_dict(plain.state_dict())
    x = torch.full((1, 3, 4, 4), -1.0)
    assert not torch.allclose(plain.enc(x), bent.enc(x))
    expected = x
    for i, layer in enumerate(plain.enc.enc):
        expected = layer(expected)
        if i < 4:
            expected = expected.clamp(min=0)
    torch.testing.assert_close(bent.enc(x), expected)


def test_widths_shape_the_chain() -> None:
    model = create_model("GASPEncConv", encoder_widths=(8, 16, 16, 16, 8), latent_channels=8)
    layers = [type(layer).__name__ for layer in model.enc.enc]
    assert layers == ["Conv2d", "Conv2d", "MaxPool2d", "Conv2d", "ConvTranspose2d", "ConvTranspose2d"]
    assert model(torch.zeros(1, 12, 20, 16)).logits.shape == (1, 1, 10, 8)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("GASPEncConv", {"modalitys": 5}, "did you mean 'modalities'"),
        ("GASPEncConv", {"encoder": "MobileNet"}, "'Conv', 'Deep' or None"),
        ("GASPEncConv", {"sequence_len": 10}, "must be 1"),
        ("GASPEncConv", {"sequence_norm": True}, "no sequence_norm"),
        ("GASPEncConv", {"modalities": 0}, "at least 1"),
        ("GASPEncConv", {"encoder_widths": (8, 16)}, "latent_channels is 32"),
        ("GASPEncConv", {"encoder_widths": (8,)}, "at least two"),
        ("GASPEncConv", {"encoder_widths": (8, 32), "encoder": None}, "leave one out"),
        ("GASPEncConv", {"activation": "gelu"}, "'none' or 'relu'"),
        ("SequenceGASPEncRGMUConv", {"sequence_norm": True}, "no sequence_norm"),
        ("SequenceGASPEncALSTMConv", {"sequence_len": 1}, "at least 2"),
        ("SequenceGASPDAMEncRGMUConv", {"encoder": None}, "needs an encoder"),
    ],
)
def test_wrong_options_are_explained(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_model(name, **options)


def test_training_options_of_published_configurations_are_accepted() -> None:
    create_model("SequenceGASPEncRGMUConv", batch_size=1, trg_img_height=60, loss_weights=(0.5, 2, 1))


@pytest.mark.parametrize("shape", [(1, 12, 8, 8), (1, 4, 11, 8, 8)])
def test_wrong_pictures_are_explained(shape: tuple[int, ...]) -> None:
    model = create_model("SequenceGASPEncRGMUConv", sequence_len=4)
    with pytest.raises(InputError, match="K = 12"):
        model(torch.zeros(shape))


def test_normalised_window_of_another_length_is_explained() -> None:
    model = compact("SequenceGASPEncALSTMConv")
    with pytest.raises(InputError, match="over 4 frames and cannot take 3"):
        model(pictures(model)[:, :3])


@pytest.mark.parametrize(("name", "time"), [("SequenceGASPEncRGMUConv", ()), ("GASPEncGMUConv", (2,))])
def test_features_that_are_no_window_are_explained(name: str, time: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="a window of frames"):
        compact(name).fuse(torch.zeros(1, *time, 12, 4, 4))
