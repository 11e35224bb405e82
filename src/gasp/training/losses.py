"""Losses on saliency maps that the recipes of the packaged weights use."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
