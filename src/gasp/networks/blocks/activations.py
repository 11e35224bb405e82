"""Activation functions in the form that is fastest on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent as 2 sigmoid(2 x) - 1, to single precision of the largest value.

    PyTorch's own takes two to three times as long on a CPU with AVX2, half of the time of a narrow ConvLSTM. Near zero
    the absolute error stays about 1e-7 where a relative one of that size would be possible; nothing here needs it.
    """
    if x.device.type != "cpu" or x.requires_grad:
        return torch.tanh(x)
    return torch.sigmoid(2 * x).mul_(2).sub_(1)
