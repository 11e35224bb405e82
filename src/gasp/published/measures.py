"""The saliency metrics that presets of 2021 can ask for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gasp import metrics

Map = NDArray[np.uint8]
Metric = Callable[[Map, NDArray[np.bool_], Map, "Map | None"], float]


def _with_baseline(metric: Callable[[Map, NDArray[np.bool_], Map], float]) -> Metric:
    return lambda saliency, points, density, baseline: (
        float("nan") if baseline is None else float(metric(saliency, points, baseline))
    )


METRICS: dict[str, Metric] = {
    "aucj": lambda s, points, density, baseline: metrics.auc_judd(s, points, thresholds="fixations"),
    "aucs": _with_baseline(metrics.auc_shuffled_2021),
    "aucb": lambda s, points, density, baseline: metrics.auc_borji(s, points),
    "nss": lambda s, points, density, baseline: metrics.nss(s, points),
    "ifg": _with_baseline(metrics.information_gain),
    "sim": lambda s, points, density, baseline: metrics.similarity(s, density),
    "cc": lambda s, points, density, baseline: metrics.cc(s, density),
    "kld": lambda s, points, density, baseline: metrics.kl_divergence(s, density),
}
"""Names in presets -> metric of (prediction, fixated pixels, density, baseline)."""
