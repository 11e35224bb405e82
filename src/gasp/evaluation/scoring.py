"""All metrics of some maps against one truth, and what the other observers predict of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gasp import metrics
from gasp.evaluation.ceiling import CeilingKernel, predicted_by
from gasp.evaluation.statistics import nan_mean
from gasp.evaluation.truth import Truth, density_of


@dataclass(frozen=True, slots=True)
class Metric:
    """``title`` for people; ``higher`` is better or lower; ``at_points`` compares with fixations, not densities."""

    key: str
    title: str
    higher: bool = True
    at_points: bool = True


METRICS = (
    Metric("nss", "NSS"),
    Metric("cc", "CC", at_points=False),
    Metric("sim", "SIM", at_points=False),
    Metric("kld", "KLD", higher=False, at_points=False),
    Metric("aucj", "AUC-Judd"),
    Metric("aucb", "AUC-Borji"),
    Metric("aucs", "sAUC"),
    Metric("ifg", "IG"),
)
"""Keys are those of the tables of 2021. The last axis of every array of scores is in this order."""

KEYS = tuple(metric.key for metric in METRICS)
_PLACE = {key: place for place, key in enumerate(KEYS)}
_POINTS = [place for place, metric in enumerate(METRICS) if metric.at_points]

_MOST_OBSERVERS = 16  # whose maps are held at once


@dataclass(frozen=True, eq=False, slots=True)
class Context:
    """What the metrics compare with besides the truth, at its size.

    ``others``: pixels fixated in other videos, for shuffled AUC. ``baseline``: the density that information is
    gained over. ``mean``: mean density of the other videos. None where there is none: the metric is NaN then.
    ``ceiling``: the kernel with which observers predict each other.
    """

    others: NDArray[np.bool_] | None = None
    baseline: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    ceiling: CeilingKernel = field(default_factory=CeilingKernel)


def score_maps(maps: NDArray[np.float32], truth: Truth, context: Context) -> NDArray[np.float64]:
    """Scores (n, metrics) of maps (n, H, W): finite, zero or more, of the truth's size."""
    scores = _point_scores(maps, truth.fixated, context)
    scores[:, _PLACE["cc"]] = metrics.cc(maps, truth.density[None])
    scores[:, _PLACE["sim"]] = metrics.similarity(maps, truth.density[None])
    scores[:, _PLACE["kld"]] = metrics.kl_divergence(maps, truth.density[None])
    return scores


def _point_scores(
    maps: NDArray[np.float32], fixated: NDArray[np.bool_], context: Context
) -> NDArray[np.float64]:
    """Scores (n, metrics), those with densities NaN. ``fixated``: (H, W), or (n, H, W)."""
    scores = np.full((len(maps), len(METRICS)), np.nan)
    fixated = fixated if fixated.ndim == 3 else fixated[None]
    scores[:, _PLACE["nss"]] = metrics.nss(maps, fixated)
    scores[:, _PLACE["aucj"]] = metrics.auc_judd(maps, fixated)
    scores[:, _PLACE["aucb"]] = metrics.auc_borji(maps, fixated)
    if context.others is not None:
        scores[:, _PLACE["aucs"]] = metrics.auc_shuffled(maps, fixated, context.others[None])
    if context.baseline is not None:
        scores[:, _PLACE["ifg"]] = metrics.information_gain(maps, fixated, context.baseline[None])
    return scores


def score_other_observers(truth: Truth, context: Context) -> NDArray[np.float64]:
    """What the other observers predict of each: a ceiling for any prediction, (metrics,).

    Metrics at fixations: each observer's fixations are predicted by the density of all others' (leave one out) with the
    kernel that predicts best (:mod:`gasp.evaluation.ceiling`), and the scores averaged. Metrics between densities
    compare the densities of two halves of the observers, with the dataset's kernel, which is part of these metrics; CC
    is corrected to the full number (Spearman-Brown), SIM and KLD are not, so that they understate the ceiling.
    All NaN with fewer than two observers.
    """
    scores = np.full(len(METRICS), np.nan)
    observers = np.unique(truth.fixations.observer)
    if len(observers) < 2:
        return scores
    alone = []
    for start in range(0, len(observers), _MOST_OBSERVERS):
        part = observers[start : start + _MOST_OBSERVERS]
        own = np.stack([truth.of(truth.fixations.of_observer(int(one))).fixated for one in part])
        rest = [
            predicted_by(truth.fixations.without_observer(int(one)), truth, context.ceiling) for one in part
        ]
        alone.append(_point_scores(np.stack(rest), own, context))
    scores[_POINTS] = nan_mean(np.concatenate(alone))[_POINTS]
    first, second = (
        density_of(truth.fixations.select(np.isin(truth.fixations.observer, half)), truth)
        for half in (observers[::2], observers[1::2])
    )
    correlation = float(metrics.cc(first, second))
    scores[_PLACE["cc"]] = 2 * correlation / (1 + correlation) if correlation > 0 else correlation
    scores[_PLACE["sim"]] = float(metrics.similarity(first, second))
    divergences = metrics.kl_divergence(first, second), metrics.kl_divergence(second, first)
    scores[_PLACE["kld"]] = float(np.mean(divergences))
    return scores


def change(map_: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[float, float]:
    """How much a prediction differs from another: 1 - CC, and the share of its mass that has moved (half the L1
    distance of the maps scaled to sum 1, in 0..1). NaN where a map is constant or empty.
    """
    first, second = map_.astype(np.float64), reference.astype(np.float64)
    sums = first.sum(), second.sum()
    if min(sums) <= 0:
        return np.nan, np.nan
    moved = 0.5 * float(np.abs(first / sums[0] - second / sums[1]).sum())
    return 1 - float(metrics.cc(map_, reference)), moved
