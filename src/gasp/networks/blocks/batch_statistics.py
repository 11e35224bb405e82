"""Batch normalisation that measures its own input, even in evaluation mode.

This is how networks behave in published pipelines that forgot to switch them to evaluation mode.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class BatchStatistics(nn.modules.batchnorm._BatchNorm):
    """Uses mean and (biased) variance of the input; keeps running ones but neither uses nor changes them."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of ``x`` over everything else."""
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of axes will do."""
