"""A network that corrects a map: absent it stands alone, zero it changes nothing, and its factors multiply."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gasp.cues.image_saliency import draw_saliency
from gasp.fusion.correction import correct, log_of_map
from gasp.fusion.gasp import scale_maps


@pytest.fixture
def probabilities() -> np.ndarray:
    rng = np.random.default_rng(0)
    p = np.exp(rng.normal(0, 2, (13, 23)))
    return p / p.sum()


def test_the_drawn_map_holds_the_probabilities(probabilities: np.ndarray) -> None:
    drawn = draw_saliency(np.log(probabilities).astype(np.float32))
    back = log_of_map(torch.from_numpy(drawn)).exp().numpy()
    expected = probabilities / probabilities.max()
    assert np.abs(np.sqrt(back) - np.sqrt(expected)).max() <= 0.5 / 255 + 1e-6


def test_logits_of_zero_change_nothing(probabilities: np.ndarray) -> None:
    drawn = draw_saliency(np.log(probabilities).astype(np.float32))
    corrected = sum(correct(drawn, torch.zeros(4, 6)))
    torch.testing.assert_close(corrected, log_of_map(torch.from_numpy(drawn)))
    colours = np.repeat(drawn[..., None], 3, 2)
    torch.testing.assert_close(sum(correct(colours, torch.zeros(4, 6))), corrected)


def test_a_logit_is_a_factor(probabilities: np.ndarray) -> None:
    drawn = draw_saliency(np.log(probabilities).astype(np.float32))
    tripled = sum(correct(drawn, torch.full((4, 6), float(np.log(3))))).exp()
    torch.testing.assert_close(tripled, 3 * log_of_map(torch.from_numpy(drawn)).exp())


def test_where_the_map_is_black_the_network_stands_alone() -> None:
    logits = torch.randn(13, 23, generator=torch.Generator().manual_seed(0))
    alone = scale_maps(logits[None], distribution=True)
    corrected = scale_maps(sum(correct(np.zeros((13, 23), np.uint8), logits))[None], distribution=True)
    torch.testing.assert_close(corrected, alone)
