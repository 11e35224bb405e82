"""Convolutions of clips, by the quickest way there is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEW = 20480
"""Values in all but the last axis of a single clip, up to which torch passes oneDNN by."""


class Conv3d(nn.Conv3d):
    """``torch.nn.Conv3d`` that gives single small clips to oneDNN, too, when nothing is learnt.

    Torch (2.13) holds its own convolution for the better one there; on a CPU it takes two to four times as long.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _for_onednn(input):
            return super()._conv_forward(input, weight, bias)
        return super()._conv_forward(input.to_mkldnn(), weight, bias).to_dense()


def _for_onednn(clip: Tensor) -> bool:
    small = len(clip) == 1 and clip[0, ..., 0].numel() <= FEW
    plain = clip.device.type == "cpu" and clip.dtype == torch.float32 and not torch.compiler.is_compiling()
    return small and plain and not torch.is_grad_enabled() and torch.backends.mkldnn.is_available()
