from __future__ import annotations

import torch
from torch import Tensor

from gasp.training.losses import face_box_loss, face_centre_loss, map_loss, standardise


def truth() -> tuple[Tensor, Tensor]:
    density = torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(0)) ** 4
    return density, (density > density.flatten(1).median(1).values[:, None, None, None]).float()


def test_the_true_density_is_the_best_prediction() -> None:
    density, fixations = truth()
    # Without the NSS, which prefers sharper maps, the loss is 0 at the truth and above it elsewhere.
    perfect = map_loss(density.log(), density, fixations, nss_weight=0)
    worse = map_loss(density.log() + torch.randn(density.shape), density, fixations, nss_weight=0)
    assert abs(perfect) < 1e-5
    assert worse > 0.01


def test_maps_without_fixations_count_for_nothing() -> None:
    density, fixations = truth()
    logits = torch.randn(density.shape, requires_grad=True)
    alone = map_loss(logits[:1], density[:1], fixations[:1])
    emptied = torch.cat([density[:1], torch.zeros_like(density[:1])])
    assert torch.isclose(map_loss(logits, emptied, fixations), alone)
    nothing = map_loss(logits, density * 0, fixations * 0)
    nothing.backward()
    assert nothing == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_constant_map_gives_finite_gradients() -> None:
    density, fixations = truth()
    logits = torch.zeros(density.shape, requires_grad=True)
    map_loss(logits, density, fixations).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_standardised_maps_have_mean_0_and_deviation_1() -> None:
    maps = standardise(torch.randn(3, 50) * 7 + 2)
    assert torch.allclose(maps.mean(1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(maps.square().mean(1), torch.ones(3), atol=1e-4)


def test_face_losses_fall_with_better_answers_and_ignore_the_unknown() -> None:
    target = torch.zeros(1, 1, 5, 5)
    target[0, 0, 2, 2] = 1
    known = torch.ones_like(target)
    sure = torch.where(target == 1, 8.0, -8.0)
    assert face_centre_loss(sure, target, known) < 1e-4
    assert face_centre_loss(-sure, target, known) > 10
    false_alarm = sure.clone()
    false_alarm[0, 0, 0, 0] = 8
    unknown = known.clone()
    unknown[0, 0, 0, 0] = 0
    assert face_centre_loss(false_alarm, target, unknown) < 1e-4
    boxes = torch.ones(1, 4, 5, 5)
    assert face_box_loss(boxes, boxes * 3, target) == 8
    assert face_box_loss(boxes, boxes * 3, target * 0) == 0
