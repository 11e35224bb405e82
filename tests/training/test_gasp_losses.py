"""The published losses, and what the corrected form does otherwise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.config.experiments import LossSettings
from gasp.training.losses import EPS, bce_of, cc_of, dam_loss, kl_of, nss_of, saliency_losses
from helpers.parity import Case

PUBLISHED = LossSettings()
CORRECTED = LossSettings(form="corrected")


def made(seed: int, count: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 1, 12, 14, generator=generator)
    density = torch.rand(count, 1, 12, 14, generator=generator)
    fixations = (torch.rand(count, 1, 12, 14, generator=generator) > 0.95).float()
    return logits, density, fixations


def test_published_losses_have_the_published_values() -> None:
    case = Case("gasp", "losses")
    logits, density, fix, dam_logits = case.inputs()
    fixations = torch.where(fix > case.options["fixation_threshold"], fix, 0)
    found = saliency_losses(logits, density, fixations, PUBLISHED)
    directed = PUBLISHED.dam * dam_loss(dam_logits, density)
    flat, target, points = logits.flatten(1), density.flatten(1), fixations.flatten(1)
    case.check(
        **found.terms,
        loss=found.loss,
        dam_bce_loss=directed,
        training_loss=found.loss + directed,
        cc_per_sample=-cc_of(flat.sigmoid(), target),
        nss_per_sample=-nss_of(flat.sigmoid(), points > 0),
        bce_per_sample=bce_of(flat, target / 255),
    )


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_losses_of_a_batch_are_those_of_its_samples(seed: int) -> None:
    batch = made(seed)
    alone = [saliency_losses(*(part[i : i + 1] for part in batch), PUBLISHED).loss for i in range(3)]
    torch.testing.assert_close(saliency_losses(*batch, PUBLISHED).loss, torch.stack(alone).sum())
    alone = [saliency_losses(*(part[i : i + 1] for part in batch), CORRECTED).loss for i in range(3)]
    torch.testing.assert_close(saliency_losses(*batch, CORRECTED).loss, torch.stack(alone).mean())


def test_plain_quantities_are_free_of_weights_and_signs() -> None:
    batch = made(1)
    heavy = LossSettings(bce=7, cc=9, nss=11)
    plain, weighted = saliency_losses(*batch, PUBLISHED).plain, saliency_losses(*batch, heavy).plain
    assert plain == weighted
    assert -1 <= float(plain["cc"]) <= 1


def test_a_constant_prediction_is_no_number_as_published_and_zero_when_corrected() -> None:
    _, density, fixations = made(2)
    logits = torch.zeros_like(density).requires_grad_()
    assert torch.isnan(saliency_losses(logits, density, fixations, PUBLISHED).loss)
    found = saliency_losses(logits, density, fixations, CORRECTED)
    assert float(found.plain["nss"]) == 0
    assert float(found.plain["cc"]) == 0
    found.loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_nothing_fixated_counts_for_nothing() -> None:
    logits, density, _ = made(3)
    found = saliency_losses(logits, density, torch.zeros_like(density), PUBLISHED)
    assert float(found.plain["nss"]) == 0
    assert torch.isfinite(found.loss)


def test_the_target_is_divided_once_too_often_unless_told_otherwise() -> None:
    logits, density, _ = made(4)
    nothing = torch.zeros_like(density)
    divided = saliency_losses(logits, density * 255, nothing, PUBLISHED).plain["bce_loss"]
    mended = LossSettings(divide_target=False)
    torch.testing.assert_close(
        saliency_losses(logits, density, nothing, mended).plain["bce_loss"], divided, rtol=1e-5, atol=1e-3
    )


def test_a_term_without_weight_cannot_spoil_the_sum() -> None:
    _, density, fixations = made(5)
    constant = torch.zeros_like(density)
    assert torch.isfinite(saliency_losses(constant, density, fixations, LossSettings(cc=0, nss=0)).loss)


def test_kl_is_zero_for_the_truth_and_positive_for_others() -> None:
    _, density, _ = made(6)
    truth = density.flatten(1) / density.flatten(1).sum(1, keepdim=True)
    assert kl_of(truth.clamp_min(EPS).log(), density.flatten(1)).abs().max() < 1e-4
    assert (kl_of(torch.zeros_like(truth), density.flatten(1)) > 0.01).all()
    found = saliency_losses(*made(6), LossSettings(kl=1))
    assert "kl" in found.terms


@pytest.mark.parametrize("form", ["published", "corrected"])
def test_losses_are_float32_whatever_comes(form: str) -> None:
    logits, density, fixations = made(7)
    config = LossSettings(form=form)
    found = saliency_losses(logits.bfloat16(), density, fixations, config)
    assert found.loss.dtype == torch.float32
    torch.testing.assert_close(
        found.loss, saliency_losses(logits, density, fixations, config).loss, rtol=0.05, atol=1
    )
