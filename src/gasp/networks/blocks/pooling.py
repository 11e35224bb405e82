"""Max-pooling of clips, axis by axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Triple = tuple[int, int, int]


def max_pool3d(x: Tensor, kernel: Triple, stride: Triple, padding: Triple) -> Tensor:
    """What ``torch.nn.functional.max_pool3d`` gives for (N, C, T, H, W), on a CPU many times faster.

    The maximum over a box is taken along one axis after the other, with vectorised operations.
    """
    for axis, (size, step, border) in enumerate(zip(kernel, stride, padding, strict=True), start=2):
        if size > 1 or step > 1:
            x = _max_along(x, axis, size, step, border)
    return x


def _max_along(x: Tensor, axis: int, size: int, step: int, border: int) -> Tensor:
    if border:
        x = F.pad(x, [0, 0] * (x.ndim - 1 - axis) + [border, border], value=float("-inf"))
    count = (x.shape[axis] - size) // step + 1
    last = step * (count - 1) + 1
    head = (slice(None),) * axis
    largest = x[(*head, slice(0, last, step))]
    for start in range(1, size):
        largest = torch.maximum(largest, x[(*head, slice(start, start + last, step))])
    return largest


class MaxPool3d(nn.Module):
    """:func:`max_pool3d` as a layer."""

    def __init__(self, kernel: Triple, stride: Triple, padding: Triple) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, T, H, W)."""
        return max_pool3d(x, self.kernel, self.stride, self.padding)
