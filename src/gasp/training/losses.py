"""Losses on saliency maps: those of GASP, as published or mended, and those of the recipes of the packaged weights.

Sources: Abawi et al., "GASP", IJCAI 2021, section 3.5, and the published training code; the others are named below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gasp.config.experiments import LossSettings

EPS = 1.1920929e-7
"""Machine epsilon of float32, as the published losses use it."""


class SaliencyLosses(NamedTuple):
    """Weighted losses of a batch, scalars.

    ``terms``: by the published names ``bce_loss``, ``cc``, ``nss`` (and ``kl``, where its weight is not 0), each with
    its weight, ``cc`` and ``nss`` negative. ``plain``: the same as plain quantities, the means over samples of BCE,
    CC, NSS and KL. ``loss``: the sum of the terms.
    """

    terms: dict[str, Tensor]
    plain: dict[str, Tensor]
    loss: Tensor


def saliency_losses(
    logits: Tensor, density: Tensor, fixations: Tensor, config: LossSettings
) -> SaliencyLosses:
    """BCE, CC and NSS of predictions, weighted as ``config`` says.

    ``logits``, ``density`` (0..1), ``fixations`` (above 0 is fixated): (N, 1, h, w). The form "published" sums over
    samples, as the published code does; "corrected" takes means.
    """
    logits, density, fixations = (t.flatten(1).float() for t in (logits, density, fixations))
    corrected = config.form == "corrected"
    prediction = logits.sigmoid()
    least = EPS if corrected else 0.0
    samples = {
        "bce_loss": bce_of(logits, density / 255 if _divides(config) else density),
        "cc": cc_of(prediction, density, least_deviation=least),
        "nss": nss_of(prediction, fixations > 0, least_deviation=least),
    }
    if config.kl:
        samples["kl"] = kl_of(logits, density)
    if corrected:
        samples["bce_loss"] = samples["bce_loss"] / logits.shape[1]
    signed = {"bce_loss": config.bce, "cc": -config.cc, "nss": -config.nss, "kl": config.kl}
    # A term that counts for nothing must not spoil the sum where it is not a number.
    terms = {
        name: signed[name] * (values.mean() if corrected else values.sum())
        for name, values in samples.items()
        if signed[name]
    }
    plain = {name: values.mean().detach() for name, values in samples.items()}
    return SaliencyLosses(terms, plain, _total(terms))


def _divides(config: LossSettings) -> bool:
    return config.form == "published" if config.divide_target is None else config.divide_target


def _total(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def bce_of(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy summed over pixels, (N), of (N, pixels)."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)


def cc_of(prediction: Tensor, density: Tensor, *, least_deviation: float = 0.0) -> Tensor:
    """Pearson's correlation of every sample, (N), of (N, pixels); 0 for a constant density.

    A constant prediction gives NaN, as published, unless its standard deviation is raised to ``least_deviation``.
    """
    p = prediction - prediction.mean(1, keepdim=True)
    g = density - density.mean(1, keepdim=True)
    variation = p.square().sum(1).clamp_min(least_deviation**2 * p.shape[1])
    return (p * g).sum(1) / (variation * (g.square().sum(1) + EPS)).sqrt()


def nss_of(prediction: Tensor, fixated: Tensor, *, least_deviation: float = 0.0) -> Tensor:
    """Normalised scanpath saliency of every sample, (N), of (N, pixels); 0 where nothing is fixated.

    A constant prediction gives NaN, as published, unless its standard deviation is raised to ``least_deviation``.
    """
    p = prediction - prediction.mean(1, keepdim=True)
    variance = p.square().mean(1, keepdim=True).clamp_min(least_deviation**2)
    return (p / variance.sqrt() * fixated).sum(1) / (fixated.sum(1) + EPS)


def kl_of(logits: Tensor, density: Tensor) -> Tensor:
    """KL divergence of every sample, (N), from the density to softmax(logits) over the pixels; 0 without density."""
    truth = density / density.sum(1, keepdim=True).clamp_min(EPS)
    return (truth * ((truth + 1e-12).log() - F.log_softmax(logits, 1))).sum(1)


def dam_loss(dam_logits: Tensor, density: Tensor) -> Tensor:
    """Mean binary cross-entropy of directed attention, without its weight; both of the same shape, density in 0..1."""
    return F.binary_cross_entropy_with_logits(dam_logits.float(), density.float())


# --- the recipes of the packaged weights -------------------------------------------------------------------


def map_loss(
    logits: Tensor,
    density: Tensor,
    fixations: Tensor,
    *,
    nss_weight: float = 0.1,
    weights: Tensor | None = None,
) -> Tensor:
    """KL divergence plus (1 - CC) minus a little NSS, averaged over maps.

    ``logits`` (N, 1, h, w): softmax over the cells is the predicted distribution. ``density`` (N, 1, h, w):
    non-negative, any positive sum. ``fixations`` (N, 1, h, w): number of fixations per cell. Maps without
    fixations count for nothing. ``weights`` (N): of the maps, all equal if None. The mixture is usual in the
    field (e.g. Droste et al., ECCV 2020).
    """
    logits, density, fixations = (t.flatten(1).float() for t in (logits, density, fixations))
    seen = (density.sum(1) > 0) & (fixations.sum(1) > 0)
    if not seen.any():
        return logits.sum() * 0
    logits, density, fixations = logits[seen], density[seen], fixations[seen]
    truth = density / density.sum(1, keepdim=True)
    log_prediction = F.log_softmax(logits, 1)
    prediction = log_prediction.exp()
    kl = (truth * (torch.log(truth + 1e-12) - log_prediction)).sum(1)
    standard = standardise(prediction)
    cc = (standard * standardise(truth)).mean(1)
    nss = (standard * fixations).sum(1) / fixations.sum(1)
    loss = kl + (1 - cc) - nss_weight * nss
    return (loss if weights is None else loss * weights[seen]).mean()


def standardise(maps: Tensor) -> Tensor:
    """Maps (N, cells) shifted and scaled to mean 0 and population standard deviation 1."""
    centred = maps - maps.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).clamp_min(1e-16).sqrt()


def face_centre_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Penalty-reduced focal loss on face centres (Law and Deng, "CornerNet", ECCV 2018, equation 1).

    ``target`` (N, 1, h, w): 1 at centres with a Gaussian skirt; ``valid`` (N, 1, h, w): 0 where nothing is
    known. Normalised by the number of centres.
    """
    logits = logits.float()
    centre = (target == 1).float() * valid
    log_yes, log_no = F.logsigmoid(logits), F.logsigmoid(-logits)
    p = logits.sigmoid()
    found = log_yes * (1 - p).square() * centre
    false = log_no * p.square() * (1 - target).pow(4) * (valid - centre)
    return -(found.sum() + false.sum()) / centre.sum().clamp_min(1)


def face_box_loss(boxes: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of offsets and log sizes, (N, 4, h, w), where ``mask`` (N, 1, h, w) is 1."""
    error = (boxes.float() - target).abs().sum(1, keepdim=True) * mask
    return error.sum() / mask.sum().clamp_min(1)
