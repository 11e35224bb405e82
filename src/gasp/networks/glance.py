"""Glance: where people look in one picture, and the faces in it, from one small backbone.

A network of our own (no publication). EfficientNet-Lite0 (:mod:`gasp.networks.blocks.efficientnet_lite`), or a small
residual encoder (He et al., CVPR 2016, basic blocks), feeds a feature pyramid (Lin et al., CVPR 2017) whose finest
level (stride 4) carries two heads: saliency, as unnormalised log-probabilities of fixation, and face centres with box
sizes (the form of CenterNet: Zhou et al., "Objects as Points", 2019). The saliency head sees where each pixel lies in
the picture, so that it can learn the centre bias of observers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import UsageError
from gasp.networks.blocks.efficientnet_lite import WIDTHS, EfficientNetLite0

STRIDE = 4
"""Pixels of the input per cell of the outputs."""


class GlanceOutput(NamedTuple):
    """OutputSettings for N pictures of H x W pixels; h = ceil(H / 4), w = ceil(W / 4).

    ``saliency`` (N, 1, h, w): logits of a fixation, comparable within a picture (softmax over its cells gives
    a probability per cell). ``face_centres`` (N, 1, h, w): logits of a face centre. ``face_boxes``
    (N, 4, h, w): centre offset x, y within the cell (cells) and log width, log height (log cells).
    """

    saliency: Tensor
    face_centres: Tensor
    face_boxes: Tensor


class Glance(nn.Module):
    """Saliency and faces of single pictures.

    Call: ``(images, position=None)`` with images (N, 3, H, W) RGB in 0..1, H and W at least 32. ``position``
    (N, 2, h, w) tells where each output cell lies in the picture (x, y in -1..1 from edge to edge); it is only
    needed in training, when a crop should be judged by its place in the whole picture.

    Options: ``backbone``; for the residual one ``widths`` of the stem and the four stages (strides 2, 4, 8, 16, 32) and
    ``depths`` (residual blocks per stage); ``pyramid`` and ``fine``: channels of the pyramid at strides 8 to 32, and at
    stride 4.
    """

    def __init__(
        self,
        widths: Sequence[int] = (24, 32, 64, 128, 256),
        depths: Sequence[int] = (1, 2, 2, 2),
        pyramid: int = 64,
        fine: int = 48,
        backbone: Literal["residual", "lite0"] = "residual",
    ) -> None:
        super().__init__()
        if len(widths) != 5 or len(depths) != 4 or not all(1 <= depth <= 64 for depth in depths):
            raise UsageError(
                f"widths must be five whole numbers and depths four of 1 to 64, not {widths} and {depths}."
            )
        if backbone == "lite0":
            stages: Sequence[int] = WIDTHS
            self.backbone = EfficientNetLite0()
        else:
            stem, *stages = widths
            self.stem = _conv_norm_relu(3, stem, stride=2)
            self.stages = nn.ModuleList(
                _stage(before, after, depth)
                for before, after, depth in zip([stem, *stages[:-1]], stages, depths, strict=True)
            )
        pyramid_widths = [fine, pyramid, pyramid, pyramid]
        self.laterals = nn.ModuleList(
            nn.Conv2d(width, out, 1) for width, out in zip(stages, pyramid_widths, strict=True)
        )
        self.context = nn.Linear(stages[-1], pyramid)
        self.smooth = nn.ModuleList(
            [_conv_norm_relu(pyramid, fine), *(_conv_norm_relu(pyramid, pyramid) for _ in range(2))]
        )
        self.fine = _conv_norm_relu(fine, fine)
        self.saliency_head = nn.Sequential(_conv_norm_relu(fine + 5, 32), nn.Conv2d(32, 1, 1))
        self.face_head = nn.Sequential(_conv_norm_relu(fine, 32), nn.Conv2d(32, 5, 1))
        nn.init.constant_(self.face_head[1].bias[0], -4.0)  # type: ignore[index]  # faces are rare: Lin et al., ICCV 2017, section 4.1

    def forward(self, images: Tensor, position: Tensor | None = None) -> GlanceOutput:
        """Saliency logits, face-centre logits and face boxes on a grid of stride 4."""
        features = self.features(images)
        if position is None:
            position = picture_position(features)
        faces = self.face_head(features)
        saliency = self.saliency_head(torch.cat([features, _position_channels(position)], 1))
        return GlanceOutput(saliency, faces[:, :1], faces[:, 1:])

    def features(self, images: Tensor) -> Tensor:
        """The finest pyramid level, (N, fine, h, w)."""
        levels = self._encode(images)
        coarse = levels[-1]
        top = self.laterals[-1](coarse) + self.context(coarse.mean((2, 3)))[:, :, None, None]
        for lateral, smooth, level in zip(
            reversed(self.laterals[:-1]), reversed(self.smooth), reversed(levels[:-1]), strict=True
        ):
            top = F.interpolate(smooth(top), size=level.shape[-2:], mode="nearest") + lateral(level)
        return self.fine(top)

    def _encode(self, images: Tensor) -> list[Tensor]:
        """Features of strides 4, 8, 16 and 32."""
        if hasattr(self, "backbone"):
            return self.backbone(images)
        x = self.stem((images - 0.45) / 0.25)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels


def picture_position(like: Tensor) -> Tensor:
    """Where the cells of a grid (N, C, h, w) lie in the whole picture: (N, 2, h, w), x and y in -1..1."""
    n, _, h, w = like.shape
    x = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) * (2 / w) - 1
    y = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) * (2 / h) - 1
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w)]).expand(n, 2, h, w)


def _position_channels(position: Tensor) -> Tensor:
    """x, y, their squares and a bump at the middle: enough for a linear head to shape a centre bias."""
    squares = position * position
    centre = torch.exp(-2 * squares.sum(1, keepdim=True))
    return torch.cat([position, squares, centre], 1)


def _conv_norm_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    return nn.Sequential(
        *(_Residual(inputs if i == 0 else outputs, outputs, 2 if i == 0 else 1) for i in range(depth))
    )


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside an identity (or a strided 1 x 1 projection)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _conv_norm_relu(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.project: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.project = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.project(x))
