"""Metrics at the fixated pixels: normalised scanpath saliency and information gain."""

from __future__ import annotations

import torch
from torch import Tensor

from gasp.metrics.maps import (
    EPS,
    Argument,
    Maps,
    Rows,
    Scores,
    evaluate,
    from_zero,
    moments,
    points_of,
    total,
)


def nss(saliency: Maps, fixations: Maps) -> Scores:
    """Normalised scanpath saliency: mean of the standardised map at the fixated pixels.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values.
        fixations: fixation maps, shape (..., H, W); each pixel above 0 counts once. Not a blurred map.

    Returns:
        In standard deviations (of the population: divided by the number of pixels); 0 is chance. NaN without
        fixation or for a constant map. Differentiable. See :mod:`gasp.metrics` for shapes, types and errors.

    Source: Peters et al., Vision Research 45 (2005).

    >>> float(nss(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.tensor([[0, 0], [0, 1]])))
    1.732...
    """
    return evaluate(
        _nss,
        Argument("saliency", saliency, squares=True),
        Argument("fixations", fixations, is_fixations=True),
        at_once=8,
    )


def information_gain(saliency: Maps, fixations: Maps, baseline: Maps) -> Scores:
    """How many bits the prediction tells about a fixation beyond the baseline.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values; scaled to 0..1, then to sum 1.
        fixations: fixation maps, shape (..., H, W); each pixel above 0 counts once.
        baseline: density to compare with, such as a centre prior or the mean density of other pictures, shape
            (..., H, W), zero or more; scaled to sum 1.

    Returns:
        Bits per fixation; above 0 is better than the baseline. NaN without fixation, for a constant
        prediction and for a baseline of zeros. Differentiable. See :mod:`gasp.metrics` for shapes, types and
        errors.

    Source: Kümmerer et al., PNAS 112 (2015), with the regulariser of the MIT benchmark.

    >>> saliency, fixations = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0, 0], [0, 1]])
    >>> round(float(information_gain(saliency, fixations, torch.ones(2, 2))), 6)
    1.0
    """
    return evaluate(
        _information_gain,
        Argument("saliency", saliency),
        Argument("fixations", fixations, is_fixations=True),
        Argument("baseline", baseline, non_negative=True),
    )


def _nss(saliency: Rows, fixations: Tensor) -> Tensor:
    values, mean, variance = moments(saliency)
    points = points_of(fixations)
    return (points.mean(points.values_of(values).double()) - mean) / variance.sqrt()


def _information_gain(saliency: Rows, fixations: Tensor, baseline: Rows) -> Tensor:
    points = points_of(fixations)
    rows = points.rows()
    # Scaling to sum 1 follows, so that scaling the prediction to 0..1 amounts to shifting its minimum to 0.
    shifted = from_zero(saliency, saliency.values.dtype)
    predicted, expected = (
        points.values_of(values).double() / sums[rows]
        for values, sums in ((shifted, total(shifted)), (baseline.values, baseline.total))
    )
    # The smallest value is 0 whatever the map: its gradient is 0, not the difference of two huge numbers.
    predicted = predicted.masked_fill(predicted == 0, 0)
    return points.mean(torch.log2(EPS + predicted) - torch.log2(EPS + expected))
