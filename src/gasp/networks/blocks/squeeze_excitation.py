"""Squeeze and excitation (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018)."""

from __future__ import annotations

from torch import Tensor, nn


class SELayer(nn.Module):
    """Weighs the channels of (N, C, H, W) by scores in 0..1 computed from their means."""

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The weighted channels, shape of ``x``; ``x`` itself is left unchanged."""
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]
