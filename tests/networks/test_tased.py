"""TASED-Net: published values, names, and unpooling where windows overlap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gasp.errors import InputError
from gasp.networks import create_model
from gasp.networks.blocks.pooling import max_pool3d
from gasp.networks.tased import TASEDNet, max_unpool
from helpers.parity import Case


@torch.inference_mode()
def test_tased_gives_published_values() -> None:
    case = Case("tased", "small")
    model = case.load_into(create_model("tased"))
    assert isinstance(model, TASEDNet)
    (video,) = case.inputs()
    case.check(map=model(video).map, encoder=model.encode(video).base4[:, ::16])


@pytest.mark.slow
@torch.inference_mode()
def test_tased_gives_published_values_at_full_size() -> None:
    case = Case("tased", "full")
    model = case.load_into(create_model("tased"))
    assert isinstance(model, TASEDNet)
    (video,) = case.inputs()

    actual = model(video).map[:, ::2, ::2].numpy()

    case.check(encoder=model.encode(video).base4[:, ::64])
    expected = case.expected["map"]
    close = np.isclose(actual, expected, **case.about["tolerance"])
    assert np.mean(~close) <= case.about["outlier_fraction"]
    assert np.abs(actual - expected).max() <= case.about["outlier_atol"]


def test_the_last_of_overlapping_windows_is_unpooled() -> None:
    case = Case("tased", "unpool_overlap")
    features, values = case.inputs()
    _, indices = F.max_pool2d(features.flatten(1, 2), 3, 2, 1, return_indices=True)
    case.check(unpooled=max_unpool(values, indices.view_as(values), features.shape[-2:]))


def test_gradients_reach_only_values_that_stay() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    indices = torch.tensor([[4, 4, 0]])
    picture = max_unpool(values, indices, (2, 3))
    assert picture.tolist() == [[3, 0, 0], [0, 2, 0]]
    picture.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((3, 3, 3), (1, 1, 1), (1, 1, 1)),
        ((3, 3, 3), (2, 2, 2), (1, 1, 1)),
        ((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ],
)
def test_pooling_axis_by_axis_equals_pooling(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], padding: tuple[int, int, int]
) -> None:
    x = torch.randn(2, 3, 6, 9, 8)
    expected = F.max_pool3d(x, kernel, stride, padding)
    assert torch.equal(max_pool3d(x, kernel, stride, padding), expected)
    channels_last = x.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(max_pool3d(channels_last, kernel, stride, padding), expected)


@pytest.mark.parametrize("shape", [(1, 3, 16, 32, 32), (1, 3, 32, 32, 48), (3, 32, 32, 32)])
def test_tased_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        create_model("tased")(torch.zeros(shape))
