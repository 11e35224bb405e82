"""Areas under the ROC curve: AUC-Judd, AUC-Borji and shuffled AUC.

All three ask how often the map is higher at a fixated pixel than at another one, ties counting half; they
differ in the other pixels. The area is the Mann-Whitney statistic U / (positives * negatives), found exactly
and without sorting all pixels: see :func:`_ranks`.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gasp.errors import UsageError
from gasp.metrics.maps import Argument, Maps, Points, Rows, Scores, evaluate, from_zero, points_of, total

Generator: TypeAlias = torch.Generator | np.random.Generator | None

_MOST_BINS = 65536
_DENSE = 8  # from every eighth pixel on, counting in bins is quicker than gathering


def auc_judd(saliency: Maps, fixations: Maps, *, thresholds: Literal["all", "fixations"] = "all") -> Scores:
    """Area under the ROC curve with all pixels that are not fixated as negatives.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values; only their order matters.
        fixations: fixation maps, shape (..., H, W); each pixel above 0 counts once.
        thresholds: "all": every value is a threshold, which gives the exact area. "fixations": only values
            found at fixations, joined by straight lines, as in the MIT benchmark's code; about
            0.5 / fixations higher.

    Returns:
        Between 0 and 1; 0.5 is chance, also for a constant map. NaN without fixation, and when every pixel is
        fixated. Not differentiable. See :mod:`gasp.metrics` for shapes, types and errors.

    Source: Judd et al., ICCV 2009.

    >>> saliency, fixations = torch.tensor([[0.1, 0.2], [0.3, 0.2]]), torch.tensor([[0, 1], [0, 0]])
    >>> float(auc_judd(saliency, fixations))
    0.5
    """
    areas = {"all": _judd, "fixations": _judd_fixation_thresholds}
    if thresholds not in areas:
        raise UsageError(f'thresholds is "all" or "fixations", not {thresholds!r}')
    return evaluate(
        areas[thresholds], Argument("saliency", saliency), Argument("fixations", fixations, is_fixations=True)
    )


def auc_borji(
    saliency: Maps,
    fixations: Maps,
    *,
    generator: Generator = None,
    splits: int | None = None,
    step: float | None = None,
) -> Scores:
    """Area under the ROC curve with all pixels as negatives: the expectation of drawing random ones.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values; only their order matters.
        fixations: fixation maps, shape (..., H, W); each pixel above 0 counts once.
        generator: for the random draws when ``splits`` is given; otherwise nothing is random.
        splits: draw as many negatives as there are fixations this many times, as published tables did (100
            times), instead of the exact expectation.
        step: distance of thresholds on the map scaled to 0..1, as published tables used (0.1), instead of
            every value. The area is then that of the map rounded down to multiples of ``step``.

    Returns:
        Between 0 and 1; 0.5 is chance, also for a constant map. NaN without fixation. Not differentiable. See
        :mod:`gasp.metrics` for shapes, types and errors.

    Source: Borji et al., IEEE TIP 22 (2013).

    >>> saliency, fixations = torch.tensor([[0.1, 0.2], [0.3, 0.2]]), torch.tensor([[0, 1], [0, 0]])
    >>> float(auc_borji(saliency, fixations))
    0.5
    """
    _check_sampling(splits, step)
    return evaluate(
        partial(_borji, generator=generator, splits=splits, step=step),
        Argument("saliency", saliency),
        Argument("fixations", fixations, is_fixations=True),
    )


def auc_shuffled(
    saliency: Maps,
    fixations: Maps,
    other_fixations: Maps,
    *,
    generator: Generator = None,
    splits: int | None = None,
    step: float | None = None,
) -> Scores:
    """Area under the ROC curve with the pixels fixated in other pictures as negatives.

    A prediction of the centre alone gains nothing here, since people look at the centre of other pictures
    too.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values; only their order matters.
        fixations: fixation maps, shape (..., H, W); each pixel above 0 counts once.
        other_fixations: fixation maps of *other* pictures or videos, shape (..., H, W); each pixel above 0
            counts once. A pixel that is fixated in both counts on both sides.
        generator: for the random draws when ``splits`` is given; otherwise nothing is random.
        splits: draw as many of the negatives as there are fixations (without repetition, at most all) this
            many times, as published tables did (100 times), instead of using all of them.
        step: distance of thresholds on the map scaled to 0..1, as published tables used (0.1), instead of
            every value. The area is then that of the map rounded down to multiples of ``step``.

    Returns:
        Between 0 and 1; 0.5 is chance, also for a constant map. NaN without fixation or other fixation. Not
        differentiable. See :mod:`gasp.metrics` for shapes, types and errors.

    Source: Tatler et al., Vision Research 45 (2005); Zhang et al., Journal of Vision 8 (2008).

    >>> saliency, fixations = torch.tensor([[0.1, 0.2], [0.3, 0.2]]), torch.tensor([[0, 1], [0, 0]])
    >>> float(auc_shuffled(saliency, fixations, torch.tensor([[1, 0], [0, 1]])))
    0.75
    """
    _check_sampling(splits, step)
    return evaluate(
        partial(_shuffled, generator=generator, splits=splits, step=step),
        Argument("saliency", saliency),
        Argument("fixations", fixations, is_fixations=True),
        Argument("other_fixations", other_fixations, is_fixations=True, pooled=True),
        at_once=8,  # nothing but the check goes over all pixels
    )


def auc_shuffled_2021(
    saliency: Maps,
    fixations: Maps,
    centre_bias: Maps,
    *,
    generator: Generator = None,
    splits: int | None = None,
) -> Scores:
    """The "shuffled AUC" in the tables of 2021, for comparison with them only.

    Its negatives are no fixations: every pixel of a centre-bias picture that is not black is equally likely,
    however bright it is. Thresholds are 0.1 apart. By default the expectation of the random draws;
    ``splits=100`` draws like the published code.

    Args:
        saliency: predicted maps, shape (..., H, W), any finite values.
        fixations: fixation maps, shape (..., H, W); each pixel above 0 counts once.
        centre_bias: picture of the centre bias, shape (..., H, W), zero or more.
        generator: see :func:`auc_shuffled`.
        splits: see :func:`auc_shuffled`.

    Returns:
        As :func:`auc_shuffled`, with which it must not be compared.
    """
    _check_sampling(splits, None)
    return evaluate(
        partial(_shuffled_2021, generator=generator, splits=splits),
        Argument("saliency", saliency),
        Argument("fixations", fixations, is_fixations=True),
        Argument("centre_bias", centre_bias, non_negative=True),
        at_once=8,
    )


def _check_sampling(splits: int | None, step: float | None) -> None:
    if splits is not None and splits < 1:
        raise UsageError(f"splits must be 1 or more, not {splits}")
    if step is not None and not 0 < step <= 1:
        raise UsageError(f"step must be above 0 and at most 1, not {step}")


def _judd(saliency: Rows, fixations: Tensor) -> Tensor:
    points, count = _gather(saliency, fixations)
    # Among all pixels are the positives themselves; compared with each other they win half of all pairs.
    wins = _wins(*_ranks(saliency, points), count) - count.double() ** 2 / 2
    return wins / (count * (saliency.pixels - count))


def _judd_fixation_thresholds(saliency: Rows, fixations: Tensor) -> Tensor:
    pixels = saliency.pixels
    points, count = _gather(saliency, fixations)
    below, _ = _ranks(saliency, points)
    hits = count[:, None] - torch.searchsorted(points, points)
    false_alarms = pixels - below - hits
    # Thresholds rise along a row: the curve starts at (1, 1) and ends, as all padding, at (0, 0).
    padding = ~_is_point(points, count)
    hit_rate = (hits / count[:, None].double()).masked_fill(padding, 0)
    false_rate = (false_alarms / (pixels - count[:, None].double())).masked_fill(padding, 0)
    area = torch.trapezoid(_with_ends(hit_rate), -_with_ends(false_rate))
    return area.masked_fill((count == 0) | (count == pixels), torch.nan)


def _borji(
    saliency: Rows, fixations: Tensor, generator: Generator, splits: int | None, step: float | None
) -> Tensor:
    saliency = _stepped(saliency, step)
    points, count = _gather(saliency, fixations)
    if splits is None:
        return _wins(*_ranks(saliency, points), count) / (count * saliency.pixels)
    draws = _Draws(generator)
    rows = zip(_flat(saliency), count.tolist(), strict=True)
    return _area_against([row[draws.any_of(len(row), splits * n)] for row, n in rows], points, count)


def _shuffled_2021(
    saliency: Rows, fixations: Tensor, centre_bias: Rows, generator: Generator, splits: int | None
) -> Tensor:
    return _shuffled(saliency, fixations, centre_bias.values > 0, generator, splits, step=0.1)


def _shuffled(
    saliency: Rows,
    fixations: Tensor,
    others: Tensor,
    generator: Generator,
    splits: int | None,
    step: float | None,
) -> Tensor:
    saliency = _stepped(saliency, step)
    points, count = _gather(saliency, fixations)
    if splits is not None:
        draws = _Draws(generator)
        drawn_from = zip(_flat(saliency), others.flatten(1), count.tolist(), strict=True)
        picked = [draws.parts_of(row[other], n, splits) for row, other, n in drawn_from]
        return _area_against(picked, points, count)
    negatives = points_of(others)
    if len(negatives.places) * _DENSE > others.numel():
        below, equal = _ranks(saliency, points, counted=others)
    else:
        below, equal = _ranks_among_few(_padded(saliency, negatives), points)
    return _wins(below, equal, count) / (count * negatives.counts)


def _area_against(negatives: list[Tensor], points: Tensor, count: Tensor) -> Tensor:
    """Area with other negatives in each row."""
    sizes = torch.tensor([len(row) for row in negatives], device=points.device)
    padded = pad_sequence(negatives, batch_first=True, padding_value=torch.inf)
    return _wins(*_ranks_among_few(padded, points), count) / (count * sizes)


class _Draws:
    """Random choices of negatives, row by row, so that they do not depend on how maps are batched."""

    def __init__(self, generator: Generator) -> None:
        if isinstance(generator, np.random.Generator):
            generator = torch.Generator().manual_seed(int(generator.integers(2**63)))
        self._generator = generator
        self._device = generator.device if generator is not None else torch.device("cpu")

    def any_of(self, size: int, count: int) -> Tensor:
        """Indices, with repetition."""
        return torch.randint(size, (count,), generator=self._generator, device=self._device)

    def parts_of(self, values: Tensor, count: int, splits: int) -> Tensor:
        """For each split ``count`` of the values without repetition, or all if there are fewer."""
        orders = (
            torch.randperm(len(values), generator=self._generator, device=self._device) for _ in range(splits)
        )
        return torch.cat([values[order[:count].to(values.device)] for order in orders])


def _stepped(saliency: Rows, step: float | None) -> Rows:
    """The maps, or their levels at multiples of ``step`` of the map scaled to 0..1."""
    if step is None:
        return saliency
    shifted = from_zero(saliency).detach()
    levels = torch.floor(shifted / shifted.amax((1, 2), keepdim=True) / step).nan_to_num(nan=0.0)
    return Rows(saliency.name, levels, total(levels))


def _flat(saliency: Rows) -> Tensor:
    """Values in shape (n, pixels)."""
    return saliency.values.detach().flatten(1)


def _gather(saliency: Rows, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Values where ``mask`` is true, sorted, (n, most of a row) padded with infinity; and how many, (n,)."""
    points = points_of(mask)
    return _sorted(_padded(saliency, points)), points.counts


def _padded(saliency: Rows, points: Points) -> Tensor:
    """The values at some pixels as (n, most of a row), padded with infinity."""
    padded = saliency.values.new_full((len(points.counts), int(points.counts.max())), torch.inf)
    values = points.values_of(saliency.values.detach())
    return padded.masked_scatter_(_is_point(padded, points.counts), values)


def _sorted(values: Tensor) -> Tensor:
    """Rows of values in ascending order."""
    if values.device.type == "cpu":  # NumPy is ten times faster here
        return torch.from_numpy(np.sort(values.numpy(), -1))
    return values.sort(-1).values


def _is_point(points: Tensor, count: Tensor) -> Tensor:
    return torch.arange(points.shape[1], device=points.device) < count[:, None]


def _wins(below: Tensor, equal: Tensor, count: Tensor) -> Tensor:
    """Pairs in which the positive is higher, ties counting half, (n,)."""
    per_point = below.double() + equal.double() / 2
    return per_point.masked_fill(~_is_point(per_point, count), 0).sum(-1)


def _with_ends(rate: Tensor) -> Tensor:
    return torch.nn.functional.pad(torch.nn.functional.pad(rate, (1, 0), value=1.0), (0, 1), value=0.0)


def _ranks(saliency: Rows, points: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How many pixels are below, and how many equal to, each point; both (n, points), exactly.

    Pixels are counted in bins, which is far quicker than sorting them. Only for those that share a bin with a
    point does the exact value matter. ``counted`` (n, H, W) restricts the count to some of the pixels.
    """
    values = _flat(saliency)
    rows, pixels = values.shape
    bins = min(_MOST_BINS, pixels)
    low, high = (extreme.detach().reshape(rows, 1).to(values.dtype) for extreme in saliency.extremes)
    if not torch.isfinite(high - low).all():  # of float32: values near both ends of the type's range
        values, points, low, high = (each.double() for each in (values, points, low, high))
    scale = (1 / (high - low)).clamp(max=torch.finfo(values.dtype).max)

    def bin_of(some: Tensor) -> Tensor:
        # Each step keeps the order of values, also when it rounds. The fourth root gives many bins to small
        # values, of which a saliency map has most.
        unit = (some - low).mul_(scale).clamp_(0, 1)
        return unit.sqrt_().sqrt_().mul_(bins - 1).to(torch.int32)

    offset = torch.arange(rows, device=values.device, dtype=torch.int32)[:, None] * (bins + 1)
    place, home = bin_of(values), bin_of(points) + offset
    if counted is not None:
        place = place.masked_fill_(~counted.flatten(1), bins)  # one bin more, above all points
    place = place.add_(offset).reshape(-1)

    shared = torch.zeros(rows * (bins + 1), dtype=torch.bool, device=values.device)
    shared[home.reshape(-1).long()] = True
    histogram = torch.bincount(place, minlength=shared.numel()).masked_fill(shared, 0).reshape(rows, -1)
    certain = histogram.cumsum(-1).reshape(-1)[home.long()]

    close = points_of(shared.index_select(0, place).reshape(rows, pixels))
    below, equal = _ranks_among_few(_padded(saliency, close).to(points.dtype), points)
    return certain + below, equal


def _ranks_among_few(values: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`_ranks` for few values (n, few), padded with infinity."""
    ordered = _sorted(values)
    below = torch.searchsorted(ordered, points)
    return below, torch.searchsorted(ordered, points, right=True) - below
