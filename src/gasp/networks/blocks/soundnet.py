"""SoundNet-8, which embeds a waveform (Aytar, Vondrick and Torralba, NIPS 2016).

The published networks name its layers and lay out its input in two ways; both are here.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class _Layer(NamedTuple):
    inputs: int
    outputs: int
    kernel: int
    pool: int  # 1: none


_LAYERS = (
    _Layer(1, 16, 64, 8),
    _Layer(16, 32, 32, 8),
    _Layer(32, 64, 16, 1),
    _Layer(64, 128, 8, 1),
    _Layer(128, 256, 4, 4),
    _Layer(256, 512, 4, 1),
    _Layer(512, 1024, 4, 2),
)


def soundnet_sequence(norm: type[nn.Module] = nn.BatchNorm2d) -> nn.Sequential:
    """Layers with numbers for names: waveforms (N, 1, 1, L) to (N, 1024, 1, L'), last pooling included."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel, pool in _LAYERS:
        layers += [
            nn.Conv2d(inputs, outputs, (1, kernel), (1, 2), (0, kernel // 2)),
            norm(outputs),
            nn.ReLU(inplace=True),
        ]
        if pool > 1:
            layers.append(nn.MaxPool2d((1, pool)))
    return nn.Sequential(*layers)


class SoundNet8(nn.Module):
    """Named layers: waveforms (N, 1, L, 1) to (N, 1024, L', 1), last pooling left out.

    The two classifiers are only kept for the checkpoint's sake.
    """

    def __init__(self) -> None:
        super().__init__()
        for i, (inputs, outputs, kernel, _) in enumerate(_LAYERS, 1):
            conv = nn.Conv2d(inputs, outputs, (kernel, 1), (2, 1), (kernel // 2, 0))
            self.add_module(f"conv{i}", conv)
            self.add_module(f"batchnorm{i}", nn.BatchNorm2d(outputs))
        self.conv8_objs = nn.Conv2d(1024, 1000, (8, 1), (2, 1))
        self.conv8_scns = nn.Conv2d(1024, 401, (8, 1), (2, 1))

    def forward(self, waveform: Tensor) -> Tensor:
        """Features of waveforms."""
        x = waveform
        for i, layer in enumerate(_LAYERS, 1):
            x = F.relu_(self.get_submodule(f"batchnorm{i}")(self.get_submodule(f"conv{i}")(x)))
            if layer.pool > 1 and i < len(_LAYERS):
                x = F.max_pool2d(x, (layer.pool, 1))
        return x
