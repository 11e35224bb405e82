"""S3D, a separable 3-D Inception network (Xie et al., ECCV 2018), as a feature extractor for clips."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.networks.blocks.pooling import MaxPool3d, max_pool3d


class S3DFeatures(NamedTuple):
    """Activations of clips (N, 3, T, H, W), coarser and coarser.

    ``base1`` (N, 192, T/2, H/4, W/4), ``base2`` (N, 480, T/2, H/8, W/8), ``base3`` (N, 832, T/4, H/16, W/16),
    ``base4`` (N, 1024, T/8, H/32, W/32).
    """

    base1: Tensor
    base2: Tensor
    base3: Tensor
    base4: Tensor


class S3D(nn.Module):
    """The four stages of the encoder; base of networks that own them under their plain names."""

    def __init__(self) -> None:
        super().__init__()
        self.base1 = nn.Sequential(
            SeparableConv(3, 64, 7, stride=2),
            MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            PointwiseConv(64, 64),
            SeparableConv(64, 192, 3),
        )
        self.base2 = nn.Sequential(
            Mixed(192, 64, (96, 128), (16, 32), 32),
            Mixed(256, 128, (128, 192), (32, 96), 64),
        )
        self.base3 = nn.Sequential(
            Mixed(480, 192, (96, 208), (16, 48), 64),
            Mixed(512, 160, (112, 224), (24, 64), 64),
            Mixed(512, 128, (128, 256), (24, 64), 64),
            Mixed(512, 112, (144, 288), (32, 64), 64),
            Mixed(528, 256, (160, 320), (32, 128), 128),
        )
        self.base4 = nn.Sequential(
            Mixed(832, 256, (160, 320), (32, 128), 128),
            Mixed(832, 384, (192, 384), (48, 128), 128),
        )

    def encode(self, video: Tensor) -> S3DFeatures:
        """Features of clips (N, 3, T, H, W); T a multiple of 8, H and W of 32."""
        return self.encode_rest(self.base1(channels_last_on_cpu(video)))

    def encode_rest(self, base1: Tensor) -> S3DFeatures:
        """All features, from those of the first stage."""
        base2 = self.base2(max_pool3d(base1, (1, 3, 3), (1, 2, 2), (0, 1, 1)))
        base3 = self.base3(max_pool3d(base2, (3, 3, 3), (2, 2, 2), (1, 1, 1)))
        base4 = self.base4(max_pool3d(base3, (2, 2, 2), (2, 2, 2), (0, 0, 0)))
        return S3DFeatures(base1, base2, base3, base4)


class PointwiseConv(nn.Module):
    """1 x 1 x 1 convolution, normalised and rectified."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 1, bias=False)
        self.bn = batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) to (N, outputs, T, H, W)."""
        return F.relu_(self.bn(self.conv(x)))


class SeparableConv(nn.Module):
    """A convolution in space, then one in time, each normalised and rectified."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        padding = kernel // 2
        self.conv_s = nn.Conv3d(
            inputs, outputs, (1, kernel, kernel), (1, stride, stride), (0, padding, padding), bias=False
        )
        self.bn_s = batch_norm(outputs)
        self.conv_t = nn.Conv3d(outputs, outputs, (kernel, 1, 1), (stride, 1, 1), (padding, 0, 0), bias=False)
        self.bn_t = batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) to (N, outputs, T/stride, H/stride, W/stride)."""
        return self.in_time(self.in_space(x))

    def in_space(self, x: Tensor) -> Tensor:
        """The first half; treats every frame on its own."""
        return F.relu_(self.bn_s(self.conv_s(x)))

    def in_time(self, x: Tensor) -> Tensor:
        """The second half."""
        return F.relu_(self.bn_t(self.conv_t(x)))


class Mixed(nn.Module):
    """Inception block: four branches side by side.

    ``direct`` are the channels of branch 0, ``medium`` and ``small`` those of the two convolutions of
    branches 1 and 2, ``pooled`` those of branch 3.
    """

    def __init__(
        self, inputs: int, direct: int, medium: tuple[int, int], small: tuple[int, int], pooled: int
    ) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(PointwiseConv(inputs, direct))
        self.branch1 = nn.Sequential(PointwiseConv(inputs, medium[0]), SeparableConv(*medium, 3))
        self.branch2 = nn.Sequential(PointwiseConv(inputs, small[0]), SeparableConv(*small, 3))
        self.branch3 = nn.Sequential(
            MaxPool3d((3, 3, 3), (1, 1, 1), (1, 1, 1)), PointwiseConv(inputs, pooled)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) to (N, sum of the branches, T, H, W)."""
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], 1)


def batch_norm(channels: int) -> nn.BatchNorm3d:
    """Batch normalisation with the constants of S3D."""
    return nn.BatchNorm3d(channels, eps=1e-3, momentum=1e-3)


def channels_last_on_cpu(clip: Tensor) -> Tensor:
    """The same clip, on a CPU with channels innermost in memory: the network runs a seventh faster there."""
    return clip.contiguous(memory_format=torch.channels_last_3d) if clip.device.type == "cpu" else clip
