"""UNISAL: published values, names, domains, frames one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gasp.errors import InputError, UsageError
from gasp.networks import create_model
from gasp.networks.unisal import DOMAINS, UNISAL, enlarge_and_smooth
from helpers.parity import Case, case_names

SEVERAL_CALLS = "stream_dhf1k"
FULL = "full_dhf1k"


def unisal(case: Case) -> UNISAL:
    model = case.load_into(create_model("unisal", **case.options))
    assert isinstance(model, UNISAL)
    return model


@pytest.mark.parametrize("name", [*case_names("unisal", "small_*"), "static_forced_ucfsports"])
@torch.inference_mode()
def test_unisal_gives_published_values(name: str) -> None:
    case = Case("unisal", name)
    output = unisal(case)(*case.inputs())
    case.check(log_maps=output.log_maps)
    assert (output.hidden is not None) == ("hidden" in case.expected)
    if output.hidden is not None:
        case.check(hidden=output.hidden)


@pytest.mark.slow
@torch.inference_mode()
def test_unisal_gives_published_values_at_full_size() -> None:
    case = Case("unisal", FULL)
    output = unisal(case)(*case.inputs())
    case.check(
        log_maps=output.log_maps[..., ::16, ::16],
        last_log_map=output.log_maps[0, -1, 0, ::4, ::4],
        hidden=output.hidden[:, ::4],
    )


@torch.inference_mode()
def test_unisal_in_several_calls_equals_one_call() -> None:
    case = Case("unisal", SEVERAL_CALLS)
    model = unisal(case)
    (video,) = case.inputs()
    cut = case.options["cut"]

    first = model(video[:, :cut])
    state = first.hidden.clone()
    second = model(video[:, cut:], first.hidden)

    case.check(first_log_maps=first.log_maps, hidden=first.hidden, second_log_maps=second.log_maps)
    assert torch.equal(first.hidden, state)
    whole = model(video)
    torch.testing.assert_close(torch.cat([first.log_maps, second.log_maps], 1), whole.log_maps)
    torch.testing.assert_close(second.hidden, whole.hidden)


@torch.inference_mode()
def test_unisal_frame_by_frame_equals_the_window() -> None:
    case = Case("unisal", "small_dhf1k")
    model = unisal(case)
    (video,) = case.inputs()
    whole = model(video)

    hidden = None
    for i, frame in enumerate(video.unbind(1)):
        features = model.encode(frame)
        hidden = model.step(model.gate_inputs(features.coarse), hidden)
        log_map = model.decode(features, hidden, (64, 96))
        torch.testing.assert_close(log_map, whole.log_maps[:, i], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(hidden, whole.hidden, atol=1e-3, rtol=1e-4)


@torch.inference_mode()
def test_a_call_overrides_the_options() -> None:
    torch.manual_seed(0)
    model = create_model("unisal", target_size=(10, 12))
    video = torch.randn(2, 2, 3, 32, 64)
    default = model(video)
    assert default.log_maps.shape == (2, 2, 1, 10, 12)
    assert model(video, target_size=(7, 9)).log_maps.shape == (2, 2, 1, 7, 9)
    assert model(video, static=True).hidden is None
    other = model(video, source="SALICON").log_maps
    assert not torch.allclose(other, default.log_maps)
    torch.testing.assert_close(other.exp().sum((-1, -2)), torch.ones(2, 2, 1))


@torch.inference_mode()
def test_a_single_frame_is_a_still_image_unless_it_has_a_state() -> None:
    model = create_model("unisal")
    frame = torch.randn(1, 1, 3, 32, 32)
    assert model(frame).hidden is None
    started = model(frame, static=False)
    assert started.hidden is not None
    assert model(frame, started.hidden).hidden is not None


@pytest.mark.parametrize(("factor", "size"), [(8, 41), (4, 7), (3, 5)])
def test_smoothing_the_small_map_equals_smoothing_the_enlarged_one(factor: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, 5, 4, generator=generator)
    kernel = torch.randn(1, 1, size, size, generator=generator)

    large = F.interpolate(x, scale_factor=factor, mode="nearest")
    padded = F.pad(large, (size // 2,) * 4, mode="replicate")

    torch.testing.assert_close(
        enlarge_and_smooth(x, kernel, factor), F.conv2d(padded, kernel), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "dhf1k"}, ", ".join(DOMAINS)),
        ({"target_size": (0, 4)}, "target_size"),
        ({"target_size": (4,)}, "target_size"),
    ],
)
def test_unisal_refuses_impossible_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_model("unisal", **options)
    with pytest.raises(UsageError, match=message):
        create_model("unisal")(torch.zeros(1, 2, 3, 32, 32), **options)


@pytest.mark.parametrize(
    ("video", "hidden"),
    [
        (torch.zeros(1, 3, 2, 32, 32), None),
        (torch.zeros(1, 2, 3, 32, 48), None),
        (torch.zeros(1, 0, 3, 32, 32), None),
        (torch.zeros(1, 2, 3, 32, 32), torch.zeros(1, 256, 2, 2)),
    ],
)
def test_unisal_refuses_other_shapes(video: Tensor, hidden: Tensor | None) -> None:
    with pytest.raises(InputError):
        create_model("unisal")(video, hidden)


def test_still_images_have_no_state() -> None:
    with pytest.raises(UsageError, match="static"):
        create_model("unisal", static=True)(torch.zeros(1, 1, 3, 32, 32), torch.zeros(1, 256, 1, 1))
