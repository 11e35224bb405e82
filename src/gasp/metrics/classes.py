"""The metrics as :class:`torchmetrics.Metric`: means over a dataset, also over several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from gasp.metrics.auc import auc_borji, auc_judd, auc_shuffled
from gasp.metrics.distribution import cc, kl_divergence, similarity
from gasp.metrics.maps import Maps
from gasp.metrics.pointwise import information_gain, nss


class _MeanOverMaps(Metric):
    """Mean of a metric over maps.

    Maps for which it is undefined (NaN) are left out of the mean and counted in ``undefined``.

    Only a sum and two counts are kept, so the result over several processes is that over all their maps,
    however they are distributed. Without any defined map the mean is NaN.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor
    count: Tensor
    undefined: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("undefined", torch.tensor(0), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """Mean over all defined maps so far, float64."""
        return self.total / self.count

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Draw one value or a sequence of values; by default the current one. Returns (figure, axes)."""
        return self._plot(val, ax)

    def _add(self, scores: Any) -> None:
        scores = torch.as_tensor(scores, dtype=torch.float64, device=self.total.device)
        defined = ~torch.isnan(scores)
        self.total = self.total + scores[defined].sum()
        self.count = self.count + defined.sum()
        self.undefined = self.undefined + (~defined).sum()


class AUCJudd(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.auc_judd` over maps.

    >>> metric = AUCJudd()
    >>> metric.update(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0, 1, 0]]))
    >>> float(metric.compute())
    0.5
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, *, thresholds: Literal["all", "fixations"] = "all", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds: Literal["all", "fixations"] = thresholds

    def update(self, saliency: Maps, fixations: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.auc_judd`."""
        self._add(auc_judd(saliency, fixations, thresholds=self.thresholds))


class AUCBorji(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.auc_borji` over maps, in its exact form.

    >>> metric = AUCBorji()
    >>> metric.update(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0, 1, 0]]))
    >>> float(metric.compute())
    0.5
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, *, step: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def update(self, saliency: Maps, fixations: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.auc_borji`."""
        self._add(auc_borji(saliency, fixations, step=self.step))


class AUCShuffled(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.auc_shuffled` over maps, in its exact form.

    >>> metric = AUCShuffled()
    >>> metric.update(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0, 1, 0]]), torch.tensor([[1, 0, 0]]))
    >>> float(metric.compute())
    1.0
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, *, step: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def update(self, saliency: Maps, fixations: Maps, other_fixations: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.auc_shuffled`."""
        self._add(auc_shuffled(saliency, fixations, other_fixations, step=self.step))


class NSS(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.nss` over maps.

    >>> metric = NSS()
    >>> metric.update(torch.tensor([[[0.0, 2.0]], [[1.0, 1.0]]]), torch.tensor([[[0, 1]], [[0, 1]]]))
    >>> float(metric.compute()), int(metric.undefined)
    (1.0, 1)
    """

    is_differentiable = True

    def update(self, saliency: Maps, fixations: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.nss`."""
        self._add(nss(saliency, fixations))


class InformationGain(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.information_gain` over maps, in bits per fixation.

    >>> metric = InformationGain()
    >>> metric.update(torch.tensor([[0.0, 1.0]]), torch.tensor([[0, 1]]), torch.tensor([[1.0, 1.0]]))
    >>> round(float(metric.compute()), 6)
    1.0
    """

    is_differentiable = True

    def update(self, saliency: Maps, fixations: Maps, baseline: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.information_gain`."""
        self._add(information_gain(saliency, fixations, baseline))


class Similarity(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.similarity` over maps.

    >>> metric = Similarity()
    >>> metric.update(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]))
    >>> float(metric.compute())
    0.0
    """

    is_differentiable = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, *, rescale: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rescale = rescale

    def update(self, saliency: Maps, density: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.similarity`."""
        self._add(similarity(saliency, density, rescale=self.rescale))


class CC(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.cc` over maps.

    >>> metric = CC()
    >>> metric.update(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 7.0]]))
    >>> float(metric.compute())
    1.0
    """

    is_differentiable = True
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0

    def update(self, saliency: Maps, density: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.cc`."""
        self._add(cc(saliency, density))


class KLDivergence(_MeanOverMaps):
    """Mean of :func:`gasp.metrics.kl_divergence` over maps, in nats; lower is better.

    >>> metric = KLDivergence()
    >>> metric.update(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 1.0]]))
    >>> float(metric.compute())
    0.0
    """

    is_differentiable = True
    higher_is_better = False
    plot_lower_bound = 0.0

    def update(self, saliency: Maps, density: Maps) -> None:
        """Add maps (..., H, W); see :func:`gasp.metrics.kl_divergence`."""
        self._add(kl_divergence(saliency, density))
