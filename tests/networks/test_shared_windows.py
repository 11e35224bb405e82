"""What overlapping windows share equals what each window computes on its own."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gasp.networks import create_model
from gasp.networks.blocks.windows import Base1OfWindows, Kept, StemOfWindows, seen_by
from gasp.networks.dave import DAVE
from gasp.networks.stavis import STAViS
from gasp.networks.tased import TASEDNet
from gasp.networks.vinet import ViNet

SHORT = {
    "sliding": [list(range(k, k + 16)) for k in range(3)],
    "first doubled": [[k, *range(k, k + 15)] for k in range(3)],
    "padded in front": [[0] * (15 - k) + list(range(k + 1)) for k in (0, 1, 8)],
    "padded behind": [list(range(k)) + [k] * (16 - k) for k in (1, 2, 9)],
    "jumping": [list(range(16)), list(range(15, -1, -1)), [5] * 16],
}
LONG = {
    "sliding": [list(range(k, k + 32)) for k in range(4)],
    "first doubled": [[k, *range(k, k + 31)] for k in range(4)],
    "backwards": [list(range(k + 31, k - 1, -1)) for k in range(3)],
    "padded behind": [list(range(k)) + [k] * (32 - k) for k in (1, 2, 9)],
}


def frames(count: int) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return dict(enumerate(torch.randn(count, 3, 32, 64, generator=generator)))


def clip(pictures: dict[int, Tensor], window: list[int]) -> Tensor:
    return torch.stack([pictures[k] for k in window], 1)[None]


@pytest.fixture(scope="module")
def dave() -> DAVE:
    torch.manual_seed(0)
    model = create_model("dave")
    assert isinstance(model, DAVE)
    norm = model.video_branch.bn1
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize("windows", SHORT.values(), ids=SHORT)
@torch.inference_mode()
def test_the_stem_is_that_of_each_window(windows: list[list[int]], dave: DAVE) -> None:
    model = dave
    pictures, stems = frames(20), StemOfWindows(model.video_branch)

    one_by_one = [stems([window], pictures) for window in windows]
    together = StemOfWindows(model.video_branch)(windows, pictures)

    for window, stem, again in zip(windows, one_by_one, together, strict=True):
        torch.testing.assert_close(stem, model.stem(clip(pictures, window)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(again, stem[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("windows", LONG.values(), ids=LONG)
@torch.inference_mode()
def test_the_first_stage_is_that_of_each_window(windows: list[list[int]]) -> None:
    torch.manual_seed(0)
    model = create_model("tased")
    assert isinstance(model, TASEDNet)
    pictures, shared = frames(40), Base1OfWindows(model)
    for window in windows:
        expected = model.base1(clip(pictures, window))
        torch.testing.assert_close(shared([window], pictures), expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_networks_on_what_is_shared_equal_networks_on_the_window(dave: DAVE) -> None:
    pictures = frames(32)
    vinet = create_model("vinet")
    stavis = create_model("stavis", audiovisual=False)
    assert isinstance(vinet, ViNet)
    assert isinstance(stavis, STAViS)
    audio = torch.randn(1, 3, 16, 64, 64)
    short, long = list(range(16)), list(range(32))

    stem = StemOfWindows(dave.video_branch)([short], pictures)
    heard = dave.from_stem(stem, dave.embed_audio(audio))
    torch.testing.assert_close(heard, dave(clip(pictures, short), audio), atol=1e-5, rtol=1e-5)
    seen = stavis.from_stem(StemOfWindows(stavis)([short], pictures), (32, 64))
    torch.testing.assert_close(seen, stavis(clip(pictures, short)), atol=1e-4, rtol=1e-5)
    base1 = Base1OfWindows(vinet.backbone)([long], pictures)
    torch.testing.assert_close(vinet.from_base1(base1), vinet(clip(pictures, long)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("doubled", "products"), [(False, 10), (True, 15)])
@torch.inference_mode()
def test_a_stem_that_moves_by_one_frame_costs_few_products(
    doubled: bool, products: int, dave: DAVE, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, stems = frames(24), StemOfWindows(dave.video_branch)
    costs = []
    conv2d = torch.nn.functional.conv2d

    def count(x: Tensor, weight: Tensor, *arguments: Any, **more: Any) -> Tensor:
        costs.append(len(x) * weight.shape[0] // 64 * weight.shape[1] // 3)
        return conv2d(x, weight, *arguments, **more)

    monkeypatch.setattr(torch.nn.functional, "conv2d", count)
    for k in range(8):
        costs.clear()
        stems([[k, *range(k, k + 15)] if doubled else list(range(k, k + 16))], pictures)
    assert sum(costs) == products


def test_a_window_that_moves_by_one_frame_brings_few_new_positions() -> None:
    computed: list[int] = []

    def compute(missing: list[Hashable]) -> dict[Hashable, Tensor]:
        computed.append(len(missing))
        return dict.fromkeys(missing, torch.zeros(1))

    kept = Kept(windows=1)
    for k in range(5):
        kept.get([seen_by(range(k, k + 16), 7)], compute)
    assert computed == [16, 7, 7, 7, 7]

    computed.clear()
    kept = Kept(windows=2)
    for k in range(6):
        kept.get([seen_by(range(k, k + 32), 7, stride=2)], compute)
    assert computed == [16, 16, 4, 4, 4, 4]


@given(st.integers(1, 20), st.sampled_from([3, 7]), st.sampled_from([1, 2]))
def test_positions_see_what_a_padded_convolution_sees(size: int, kernel: int, stride: int) -> None:
    window = torch.arange(1.0, size + 1)
    weight = torch.arange(1.0, kernel + 1)
    expected = torch.nn.functional.conv1d(
        window[None, None], weight[None, None], stride=stride, padding=kernel // 2
    )[0, 0]
    sums = [
        sum(weight[seen.first + i] * x for i, x in enumerate(seen.inputs))
        for seen in seen_by(window.tolist(), kernel, stride)
    ]
    torch.testing.assert_close(torch.stack(sums), expected)
