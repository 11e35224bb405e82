"""Directed attention module (Abawi et al., IJCAI 2021, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DAMLayer(nn.Module):
    """Weighs the channels of its input, and learns to do so from unexpectedly bright channels.

    Two paths share the layers that score the channels. The scaling path feeds the encoders. The inverted
    path scores -log softmax over the channels and predicts saliency from it; it is needed in training only.
    No path is detached: the loss of the whole network reaches the scores through the scaling path.
    """

    def __init__(self, channels: int, reduction: int = 2, hidden_channels: int = 256) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // reduction, bias=False)
        self.fc2 = nn.Linear(channels // reduction, channels, bias=False)
        self.conv = nn.Sequential(
            nn.Conv2d(channels, hidden_channels, 1), nn.MaxPool2d(2, 2), nn.Conv2d(hidden_channels, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scaling path: (N, K, H, W) to the weighted channels of the same shape; ``x`` stays unchanged."""
        scores = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3))))))
        return x * scores[:, :, None, None]

    def logits(self, x: Tensor) -> Tensor:
        """Inverted path: (N, K, H, W) to saliency logits (N, 1, H // 2, W // 2)."""
        # The published log(1 / softmax) overflows where a channel is far below the others; this does not.
        logits: Tensor = self.conv(self(-F.log_softmax(x, dim=1)))
        return logits
