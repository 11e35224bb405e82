"""Metrics of saliency maps: functions, and :class:`torchmetrics.Metric` classes that average over a dataset.

Maps. One map (H, W) or several (..., H, W); leading axes broadcast, so that one baseline serves many maps.
Tensors on any device that knows float64, or arrays; any real type. Single pixels of float32, of halves and of
integers up to 16 bits are handled in float32, all others in float64; sums over maps are float64. The scores of
float32 maps agree with those of the same maps in float64 to 1e-6.

Answers. For tensors a float64 tensor of the leading shape on the same device; for arrays a float (one map) or
a float64 array (several).

Fixations are maps in which each pixel above 0 counts once, however often it was fixated: booleans, counts or
0/255 pictures. Blurred maps, the classic mistake, are refused: fractions, the many greys of a picture, and more
fixated pixels than 1000 or a twentieth of the map, whichever is more (other pictures' fixations apart). Densities
and baselines are never negative and need not sum to 1.

Undefined (no fixation, a constant map where it cannot be scaled) is NaN, to be left out of means; the classes
do so and count it. Maps of other sizes, empty maps, NaN, infinity and negative values where they make no
sense raise :class:`~gasp.errors.InputError` naming the argument. Predictions of another size: see
:func:`resize`.

Published tables differ in details of these metrics. Options reproduce them: ``thresholds`` of
:func:`auc_judd`, ``splits`` and ``step`` of :func:`auc_borji` and :func:`auc_shuffled`,
:func:`auc_shuffled_2021`, ``rescale`` of :func:`similarity`.
"""

from gasp.metrics.auc import auc_borji, auc_judd, auc_shuffled, auc_shuffled_2021
from gasp.metrics.classes import (
    CC,
    NSS,
    AUCBorji,
    AUCJudd,
    AUCShuffled,
    InformationGain,
    KLDivergence,
    Similarity,
)
from gasp.metrics.distribution import cc, kl_divergence, similarity
from gasp.metrics.maps import resize
from gasp.metrics.pointwise import information_gain, nss

__all__ = [
    "CC",
    "NSS",
    "AUCBorji",
    "AUCJudd",
    "AUCShuffled",
    "InformationGain",
    "KLDivergence",
    "Similarity",
    "auc_borji",
    "auc_judd",
    "auc_shuffled",
    "auc_shuffled_2021",
    "cc",
    "information_gain",
    "kl_divergence",
    "nss",
    "resize",
    "similarity",
]
