"""Metrics between two maps: similarity, correlation and divergence."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp.metrics.maps import (
    EPS,
    Argument,
    Maps,
    Rows,
    Scores,
    dot,
    evaluate,
    from_zero,
    moments,
    on_cpu_alone,
    total,
)


def similarity(saliency: Maps, density: Maps, *, rescale: bool = True) -> Scores:
    """Similarity (SIM): how much of two distributions overlaps.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values.
        density: fixation densities, shape (..., H, W).
        rescale: scale both maps to 0..1 before they are scaled to sum 1, as the MIT benchmark's code does.
            Without it maps must not be negative; the two agree when the minimum of both maps is 0.

    Returns:
        Between 0 (nowhere both) and 1 (equal). NaN for a constant map (without ``rescale``: a map of zeros).
        Symmetric. Differentiable. See :mod:`gasp.metrics` for shapes, types and errors.

    Source: Judd et al., MIT technical report 2012-001.

    >>> float(similarity(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 3.0]])))
    1.0
    """
    return evaluate(
        _similarity_rescaled if rescale else _similarity,
        Argument("saliency", saliency, non_negative=not rescale),
        Argument("density", density, non_negative=not rescale),
    )


def cc(saliency: Maps, density: Maps) -> Scores:
    """Pearson's correlation coefficient of two maps.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values.
        density: fixation densities, shape (..., H, W).

    Returns:
        Between -1 and 1. NaN when either map is constant. Symmetric. Differentiable. See :mod:`gasp.metrics`
        for shapes, types and errors.

    >>> float(cc(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[5.0, 3.0, 1.0]])))
    -1.0
    """
    return evaluate(
        _cc,
        Argument("saliency", saliency, squares=True),
        Argument("density", density, squares=True),
    )


def kl_divergence(saliency: Maps, density: Maps) -> Scores:
    """Kullback-Leibler divergence of the prediction from the fixation density.

    Args:
        saliency: predicted maps, shape (..., H, W), zero or more; scaled to sum 1.
        density: fixation densities, shape (..., H, W), zero or more; scaled to sum 1.

    Returns:
        Nats, 0 or more; lower is better. Where the prediction is 0 and the density is not, a regulariser of
        2.2204e-16 keeps the value finite (at most about 36). NaN when either map is zero everywhere. Not
        symmetric. Differentiable. See :mod:`gasp.metrics` for shapes, types and errors.

    Source: Bylinskii et al., TPAMI 41 (2019), with the regulariser of the MIT benchmark.

    >>> float(kl_divergence(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 1.0]])))
    0.693...
    """
    return evaluate(
        _kl_divergence,
        Argument("saliency", saliency, non_negative=True),
        Argument("density", density, non_negative=True),
    )


def _similarity(saliency: Rows, density: Rows) -> Tensor:
    return _overlap(*_usual(saliency.values, saliency.total), *_usual(density.values, density.total))


def _similarity_rescaled(saliency: Rows, density: Rows) -> Tensor:
    if on_cpu_alone(saliency.values, density.values) and saliency.values.dtype == density.values.dtype:
        found = _overlap_map_by_map(saliency.values.numpy(), density.values.numpy())
        if found is not None:
            return found
    return _overlap(*_shifted(saliency), *_shifted(density))


def _overlap_map_by_map(saliency: NDArray[Any], density: NDArray[Any]) -> Tensor | None:
    """What :func:`_overlap` of :func:`_shifted` maps is, in one piece of memory; None where sums are unusual.

    Fresh memory for every step costs more than the arithmetic.
    """
    first, second = np.empty((2, *saliency.shape[1:]), saliency.dtype)
    ones = np.ones(saliency.shape[-1], saliency.dtype)  # a product with them is the quickest sum
    overlaps = np.empty(len(saliency))
    for place, (one, other) in enumerate(zip(saliency, density, strict=True)):
        first_sum = _sum(np.subtract(one, one.min(), out=first), ones)
        second_sum = _sum(np.subtract(other, other.min(), out=second), ones)
        if not (_is_usual(first_sum) and _is_usual(second_sum)):
            return None
        second *= saliency.dtype.type(first_sum / second_sum)
        overlaps[place] = _sum(np.minimum(first, second, out=second), ones) / first_sum
    return torch.from_numpy(overlaps.clip(max=1))


def _sum(values: NDArray[Any], ones: NDArray[Any]) -> float:
    """Sum in float64 of one map, as :func:`gasp.metrics.maps.total`."""
    return float(np.vecdot(values, ones).sum(dtype=np.float64))


def _shifted(rows: Rows) -> tuple[Tensor, Tensor]:
    """Maps less their smallest value, and their sums: to be scaled to sum 1, they need not be scaled to 0..1."""
    low = rows.values.flatten(1).amin(-1)[:, None, None]
    values = rows.values - low
    sums = total(values)
    if not _is_usual(sums).all():
        values = from_zero(rows)
        sums = total(values)
    return values, sums


def _is_usual(sums: Any) -> Any:
    """Whether quotients of values with these sums, and the regulariser, stay in the range of float32."""
    return (sums > 1e-10) & (sums < 1e10)


def _usual(values: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Maps with their sums, which are 1 in float64 if they were unusual; NaN for a map of zeros."""
    if _is_usual(sums).all():
        return values, sums
    return values.double() / sums[:, None, None], torch.ones_like(sums)


def _overlap(first: Tensor, first_sum: Tensor, second: Tensor, second_sum: Tensor) -> Tensor:
    # Of maps scaled to sum 1; only one is scaled to the sum of the other, and the result to 1.
    ratio = (first_sum / second_sum).to(second.dtype)[:, None, None]
    return (total(torch.minimum(first, second * ratio)) / first_sum).clamp(max=1)


def _cc(saliency: Rows, density: Rows) -> Tensor:
    first, first_mean, first_variance = moments(saliency)
    second, second_mean, second_variance = moments(density)
    covariance = dot(first, second) / saliency.pixels - first_mean * second_mean
    return (covariance / (first_variance.sqrt() * second_variance.sqrt())).clamp(-1, 1)


def _kl_divergence(saliency: Rows, density: Rows) -> Tensor:
    predicted, predicted_sum = _usual(saliency.values, saliency.total)
    truth, truth_sum = _usual(density.values, density.total)
    # The quotient of maps scaled to sum 1, without scaling them first.
    regulariser = (EPS * predicted_sum).to(predicted.dtype)[:, None, None]
    quotient = truth / (predicted + regulariser)
    quotient = quotient.mul_((predicted_sum / truth_sum).to(quotient.dtype)[:, None, None]).add_(EPS)
    # With the regulariser the sum can be below 0 by rounding.
    return (dot(truth, _log(quotient)) / truth_sum).clamp(min=0)


def _log(values: Tensor) -> Tensor:
    """Natural logarithm, which may take the place of the values."""
    if values.device.type == "cpu" and not values.requires_grad:  # NumPy is several times faster here
        array = values.numpy()
        return torch.from_numpy(np.log(array, out=array))
    return values.log()
