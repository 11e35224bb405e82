"""3-D residual networks for short clips (Hara, Kataoka and Satoh, CVPR 2018)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gasp.networks.blocks.batch_statistics import BatchStatistics
from gasp.networks.blocks.convolution import Conv3d

Norm = type[nn.BatchNorm3d] | type[BatchStatistics]

STEM_REACH = 3
"""Frames that the stem looks back and ahead, and pixels to each side."""


class Stem3D(nn.Module):
    """The first convolution of a clip; base of the networks that own ``conv1`` and ``bn1``."""

    def __init__(self, norm: Norm = nn.BatchNorm3d) -> None:
        super().__init__()
        kernel = 2 * STEM_REACH + 1
        self.conv1 = nn.Conv3d(3, 64, kernel, stride=(1, 2, 2), padding=STEM_REACH, bias=False)
        self.bn1 = norm(64)

    def stem(self, clip: Tensor) -> Tensor:
        """First activations of a clip: (N, 3, T, H, W) to what :meth:`activate` makes of (N, 64, T, H/2, W/2)."""
        return self.activate(self.bn1(self.conv1(clip)))

    def activate(self, x: Tensor) -> Tensor:
        """What follows the normalised convolution in every frame on its own; leaves ``x`` as it is."""
        return F.relu(x)


class BasicBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions; a shortcut that changes shape is subsampled and padded with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        self.stride = stride
        self.added_channels = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, outputs, T/stride, H/stride, W/stride), sizes rounded up."""
        y = self.bn2(self.conv2(F.relu_(self.bn1(self.conv1(x)))))
        if self.added_channels:
            x = x[:, :, :: self.stride, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.added_channels))
        return F.relu_(y + x)


class Bottleneck(nn.Module):
    """Narrowing 1 x 1 x 1, 3 x 3 x 3 and widening 1 x 1 x 1 convolutions; the shortcut may be projected."""

    def __init__(self, inputs: int, width: int, stride: int, project: bool, norm: Norm) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = Conv3d(width, width, 3, stride, 1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), norm(outputs))
            if project
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, 4 * width, T/stride, H/stride, W/stride), sizes rounded up."""
        y = F.relu_(self.bn1(self.conv1(x)))
        y = F.relu_(self.bn2(self.conv2(y)))
        return F.relu_(self.bn3(self.conv3(y)) + self.downsample(x))


def basic_stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """A stage of basic blocks, the first with the stride."""
    rest = (BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(inputs, outputs, stride), *rest)


def bottleneck_stage(inputs: int, width: int, blocks: int, stride: int, norm: Norm) -> nn.Sequential:
    """A stage of bottlenecks with 4 * ``width`` channels, the first with the stride."""
    rest = (Bottleneck(4 * width, width, 1, False, norm) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride, True, norm), *rest)
