"""The convolution chain that turns one modality's picture into features, and layouts of such chains."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import UsageError

Activation = Literal["none", "relu"]


@dataclass(frozen=True)
class EncoderLayout:
    """Widths of a chain: convolutions before the 2 x 2 pooling, after it, and transposed convolutions."""

    before_pool: tuple[int, ...]
    after_pool: tuple[int, ...]
    transposed: tuple[int, ...]

    @classmethod
    def from_widths(cls, widths: Sequence[int]) -> EncoderLayout:
        """The published shape for any widths: two layers, pooling, and the last half transposed."""
        if len(widths) < 2 or min(widths) < 1:
            raise UsageError(f"encoder_widths needs at least two positive widths, not {tuple(widths)}.")
        half = max(2, math.ceil(len(widths) / 2))
        return cls(tuple(widths[:2]), tuple(widths[2:half]), tuple(widths[half:]))

    @property
    def out_channels(self) -> int:
        """Width of the last layer."""
        return (*self.before_pool, *self.after_pool, *self.transposed)[-1]


LAYOUTS: dict[str, EncoderLayout] = {
    "Conv": EncoderLayout.from_widths((32, 64, 128, 128, 128, 64, 32, 32)),
    "Deep": EncoderLayout((32, 32, 64, 64, *(128,) * 6), (128,) * 3, (128, 128, 64, 32, 32)),
}
"""The published encoders."""


class ModalityEncoder(nn.Module):
    """Chain of 3 x 3 convolutions around one max pooling: (N, C, H, W) to (N, L, H // 2, W // 2).

    The published chains have no activation function: pooling is their only non-linearity. With
    ``activation`` "relu" one stands after every layer but the last.
    """

    def __init__(self, in_channels: int, layout: EncoderLayout, activation: Activation = "none") -> None:
        super().__init__()
        if activation not in ("none", "relu"):
            raise UsageError(f"activation must be 'none' or 'relu', not {activation!r}.")
        self.activation = activation
        widths = [in_channels, *layout.before_pool, *layout.after_pool, *layout.transposed]
        pairs = list(itertools.pairwise(widths))
        first_transposed = len(pairs) - len(layout.transposed)
        layers: list[nn.Module] = [
            (nn.Conv2d if i < first_transposed else nn.ConvTranspose2d)(a, b, 3, padding=1)
            for i, (a, b) in enumerate(pairs)
        ]
        layers.insert(len(layout.before_pool), nn.MaxPool2d(2, 2))
        self.enc = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Features of pictures of one modality."""
        last = len(self.enc) - 1
        # A third to a half faster on a CPU, here and backwards, than with the channels apart.
        x = x.contiguous(memory_format=torch.channels_last)
        for i, layer in enumerate(self.enc):
            x = layer(x)
            if self.activation == "relu" and i != last:
                x = F.relu(x, inplace=True)
        return x
