"""MobileNetV2 (Sandler et al., CVPR 2018) as UNISAL uses it: features at three sizes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Expansion, channels, blocks, stride of each stage.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

_KEPT = (7, 14)
"""Blocks whose features are given out at the size they have before their stage's stride."""


class MobileNetV2(nn.Module):
    """Backbone: pictures (B, 3, H, W) to features at 1/8, 1/16 and 1/32 of their size."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6(inplace=True))
        ]
        channels = 32
        for expansion, outputs, blocks, stride in _STAGES:
            for block in range(blocks):
                # The published network convolves without stride and then drops every second row and column;
                # unless the features before are wanted too, that is the same as a stride, for less work.
                strided = stride == 2 and block == 0 and len(layers) not in _KEPT
                residual = channels == outputs and not (stride == 2 and block == 0)
                layers.append(
                    InvertedResidual(
                        channels, outputs, expansion, stride=2 if strided else 1, residual=residual
                    )
                )
                channels = outputs
        layers.append(
            nn.Sequential(
                nn.Conv2d(channels, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6(inplace=True)
            )
        )
        self.features = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, 64, H/8, W/8), (B, 160, H/16, W/16) and (B, 1280, H/32, W/32)."""
        kept = []
        x = x.contiguous(memory_format=torch.channels_last)
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in _KEPT:
                kept.append(x)
                x = x[:, :, ::2, ::2]
        return kept[0], kept[1], x


class InvertedResidual(nn.Module):
    """Widen ``expansion`` times (not if 1), convolve each channel on its own, narrow."""

    def __init__(
        self, inputs: int, outputs: int, expansion: int, stride: int = 1, residual: bool = False
    ) -> None:
        super().__init__()
        width = expansion * inputs
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6(inplace=True)]
        self.conv = nn.Sequential(
            *layers,
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(inplace=True),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        features: Tensor = self.conv(x)
        return x + features if self.residual else features
