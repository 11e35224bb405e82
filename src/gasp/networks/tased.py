"""TASED-Net: temporally aggregating spatial encoder-decoder, version 2.

Source: Min and Corso, "TASED-Net: Temporally-Aggregating Spatial Encoder-Decoder Network for Video Saliency
Detection", ICCV 2019 (updated model).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.networks.blocks.s3d import S3D, S3DFeatures, batch_norm
from gasp.networks.blocks.shapes import require_clip

FRAMES = 32


class TASEDNetOutput(NamedTuple):
    """``map`` (N, H, W), in 0..1 (after the sigmoid)."""

    map: Tensor


class TASEDNet(S3D):
    """S3D encoder; the decoder puts values back to where they were pooled from, and aggregates time.

    Call: ``(video)``, (N, 3, 32, H, W): RGB in -1..1, oldest frame first; H and W multiples of 32 (published:
    224 x 384). The map belongs to the last frame.

    When windows overlap, ``model.from_base1(base1)`` takes what they share, from
    :class:`~gasp.networks.blocks.windows.Base1OfWindows`. More is not worth it: after the next stages only a few
    positions per window do not depend on its ends, in four phases; the decoder depends on all.

    Arg-max decisions closer than rounding exist in every full-size window, so that maps of two devices, or of
    two numbers of threads, may differ in places.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convtsp1 = nn.Sequential(
            *_rectified(nn.Conv3d(1024, 1024, 1, bias=False)),
            *_rectified(_transposed(1024, 832)),
        )
        self.convtsp2 = nn.Sequential(*_rectified(_transposed(832, 480)))
        self.convtsp3 = nn.Sequential(*_rectified(_transposed(480, 192)))
        self.convtsp4 = nn.Sequential(
            *_rectified(_doubling(192, 64)),
            *_rectified(_halving_time(64)),
            *_rectified(nn.ConvTranspose3d(64, 4, 1, bias=False)),
            *_rectified(_halving_time(4)),
            _doubling(4, 4),
            nn.Conv3d(4, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, video: Tensor) -> TASEDNetOutput:
        """Saliency of the last frame."""
        require_clip(video, FRAMES, multiple=32)
        return self._decode(self.encode(video))

    def from_base1(self, base1: Tensor) -> TASEDNetOutput:
        """The same from the features of the first stage."""
        return self._decode(self.encode_rest(base1))

    def _decode(self, features: S3DFeatures) -> TASEDNetOutput:
        x = self.convtsp1(features.base4)
        x = self.convtsp2(_unpool_like(features.base3, x, kernel=2))
        x = self.convtsp3(_unpool_like(features.base2, x, kernel=3))
        x = self.convtsp4(_unpool_like(features.base1, x, kernel=3))
        return TASEDNetOutput(x[:, 0, 0])


def _unpool_like(features: Tensor, x: Tensor, kernel: int) -> Tensor:
    """Spread ``x`` (N, C, T, h, w) to where pooling ``features`` (N, C, T', 2h, 2w) finds its maxima.

    Pooling first takes the maximum over time in T groups.
    """
    groups = features.unflatten(2, (x.shape[2], -1)).amax(3)
    _, indices = F.max_pool2d(
        groups.flatten(1, 2), kernel, 2, kernel // 2 if kernel == 3 else 0, return_indices=True
    )
    return max_unpool(x, indices.view_as(x), groups.shape[-2:])


def max_unpool(values: Tensor, indices: Tensor, size: tuple[int, ...]) -> Tensor:
    """Write (..., h, w) values to zeros (..., *size) at ``indices``, flat positions in a picture of ``size``.

    Where pooling windows overlap, neighbours may name one position; then the last in (row, column) order
    stays. (A plain scatter leaves the order open and gives a different picture on each device.)
    """
    replaced = torch.zeros_like(indices, dtype=torch.bool)
    replaced[..., :, :-1] |= indices[..., :, :-1] == indices[..., :, 1:]
    replaced[..., :-1, :] |= indices[..., :-1, :] == indices[..., 1:, :]
    replaced[..., :-1, :-1] |= indices[..., :-1, :-1] == indices[..., 1:, 1:]
    replaced[..., :-1, 1:] |= indices[..., :-1, 1:] == indices[..., 1:, :-1]
    kept = values.masked_fill(replaced, 0)
    zeros = kept.new_zeros(*kept.shape[:-2], size[0] * size[1])
    return zeros.scatter_add_(-1, indices.flatten(-2), kept.flatten(-2)).unflatten(-1, size)


def _rectified(convolution: nn.Conv3d | nn.ConvTranspose3d) -> list[nn.Module]:
    return [convolution, batch_norm(convolution.out_channels), nn.ReLU(inplace=True)]


def _transposed(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    return nn.ConvTranspose3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False)


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    """Doubles height and width."""
    return nn.ConvTranspose3d(inputs, outputs, (1, 4, 4), (1, 2, 2), (0, 1, 1), bias=False)


def _halving_time(channels: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, (2, 1, 1), (2, 1, 1), bias=False)
