"""EfficientNet-Lite0 against the published implementation's values."""

from __future__ import annotations

import pytest
import torch

from gasp.networks import create_model
from gasp.networks.blocks.efficientnet_lite import WIDTHS, EfficientNetLite0, SameConv2d, renamed
from gasp.networks.glance import Glance
from helpers import synthetic
from helpers.parity import Case


@torch.inference_mode()
def test_features_are_the_published_ones() -> None:
    case = Case("lite0", "network_small")
    network = EfficientNetLite0().eval()
    network.load_state_dict(renamed(case.state_dict()))
    (picture,) = case.about["inputs"]
    height, width, _ = picture["shape"]
    image = torch.from_numpy(synthetic.image("picture", height, width, picture["seed"]))
    features = network(image.permute(2, 0, 1)[None].float() / 255)
    assert tuple(level.shape[1] for level in features) == WIDTHS
    thinned = zip((4, 8, 16, 32), features, ((3, 4), (4, 2), (8, 1), (16, 1)), strict=True)
    case.check(**{f"stride{s}": level[:, ::c, ::p, ::p] for s, level, (c, p) in thinned})


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(6, 7), (7, 6), (8, 8), (9, 9)])
def test_same_padding_puts_the_odd_zero_last(kernel: int, size: tuple[int, int]) -> None:
    layer = SameConv2d(1, 1, kernel, 2, bias=False)
    torch.nn.init.ones_(layer.weight)
    out = layer(torch.ones(1, 1, *size))
    assert out.shape[-2:] == (-(-size[0] // 2), -(-size[1] // 2))
    # The first row and column see as many zeros as stand before: floor of half of all.
    before = [max((-(-n // 2) - 1) * 2 + kernel - n, 0) // 2 for n in size]
    assert out[0, 0, 0, 0] == (kernel - before[0]) * (kernel - before[1])


def test_statistics_stay_in_training() -> None:
    network = create_model("glance", backbone="lite0").train()
    assert isinstance(network, Glance)
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    network(torch.rand(2, 3, 64, 64))
    after = network.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert network.fine[1].training
