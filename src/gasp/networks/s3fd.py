"""S3FD, the face detector used in 2021.

S. Zhang, X. Zhu, Z. Lei, H. Shi, X. Wang, S. Z. Li: S3FD: Single Shot Scale-invariant Face Detector. ICCV 2017,
section 3. Names of the tensors are those of the file s3fd-619a316812.pth, published with face-alignment.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import InputError

MEAN_BGR = (104.0, 117.0, 123.0)
"""Subtracted from pictures in 0..255, per channel in the order blue, green, red."""

STRIDES = (4, 8, 16, 32, 64, 128)
"""Pixels of the input per cell, of each branch. A branch's anchors are squares of 4 strides."""

SMALLEST = 32
"""Least height and width of the input: five poolings leave one cell."""

_GROUPS = ((3, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3), (512, 512, 3))
"""Input width, output width and number of convolutions of each group of the trunk (VGG-16)."""

_NORMS = {"conv3_3_norm": 256, "conv4_3_norm": 512, "conv5_3_norm": 512}
_BRANCHES = _NORMS | {"fc7": 1024, "conv6_2": 512, "conv7_2": 256}


class S3FDOutput(NamedTuple):
    """One tensor per branch, finest first (strides 4, 8, 16, 32, 64, 128), on its grid h x w.

    ``scores``: logits of background and face, (N, 2, h, w). ``boxes``: (N, 4, h, w), centre x, y and log
    width, height relative to the anchor, see :func:`decode_boxes`.
    """

    scores: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...]


class S3FD(nn.Module):
    """Faces at six scales.

    Call: ``(images)``, (N, 3, H, W) floats, channels blue, green, red in 0..255 minus :data:`MEAN_BGR`, H and W
    at least 32. Other shapes raise :class:`~gasp.errors.InputError`.
    """

    def __init__(self) -> None:
        super().__init__()
        for group, (inputs, outputs, count) in enumerate(_GROUPS, 1):
            for i in range(1, count + 1):
                self.add_module(
                    f"conv{group}_{i}", nn.Conv2d(inputs if i == 1 else outputs, outputs, 3, padding=1)
                )
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=3)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.conv6_1 = nn.Conv2d(1024, 256, 1)
        self.conv6_2 = nn.Conv2d(256, 512, 3, stride=2, padding=1)
        self.conv7_1 = nn.Conv2d(512, 128, 1)
        self.conv7_2 = nn.Conv2d(128, 256, 3, stride=2, padding=1)
        for (name, width), scale in zip(_NORMS.items(), (10.0, 8.0, 5.0), strict=True):
            self.add_module(name, _L2Norm(width, scale))
        for name, width in _BRANCHES.items():
            # The finest branch votes three times for background and keeps the strongest vote: section 3.3.
            scores = 4 if name == "conv3_3_norm" else 2
            self.add_module(f"{name}_mbox_conf", nn.Conv2d(width, scores, 3, padding=1))
            self.add_module(f"{name}_mbox_loc", nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, images: Tensor) -> S3FDOutput:
        """Scores and boxes of every anchor."""
        _check(images)
        features = self.features(images)
        scores = [self.get_submodule(f"{name}_mbox_conf")(features[name]) for name in _BRANCHES]
        boxes = [self.get_submodule(f"{name}_mbox_loc")(features[name]) for name in _BRANCHES]
        background, face = scores[0][:, :3].amax(1, keepdim=True), scores[0][:, 3:]
        scores[0] = torch.cat([background, face], 1)
        return S3FDOutput(tuple(scores), tuple(boxes))

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The input of each branch's heads, by the branch's name, finest first."""
        x, found = images, {}
        for group, (_, _, count) in enumerate(_GROUPS, 1):
            for i in range(1, count + 1):
                x = F.relu(self.get_submodule(f"conv{group}_{i}")(x))
            norm = f"conv{group}_{count}_norm"
            if norm in _NORMS:
                found[norm] = self.get_submodule(norm)(x)
            x = F.max_pool2d(x, 2)
        found["fc7"] = F.relu(self.fc7(F.relu(self.fc6(x))))
        found["conv6_2"] = F.relu(self.conv6_2(F.relu(self.conv6_1(found["fc7"]))))
        found["conv7_2"] = F.relu(self.conv7_2(F.relu(self.conv7_1(found["conv6_2"]))))
        return found


def decode_boxes(boxes: Tensor, stride: int) -> Tensor:
    """Corners x1, y1, x2, y2 in pixels of the input, (N, 4, h, w), of a branch's ``boxes``.

    Cell (i, j) has its anchor at x = stride / 2 + j stride, y likewise; variances are 0.1 and 0.2.
    """
    height, width = boxes.shape[-2:]
    side = 4.0 * stride
    x = torch.arange(width, device=boxes.device, dtype=boxes.dtype) * stride + stride / 2
    y = torch.arange(height, device=boxes.device, dtype=boxes.dtype) * stride + stride / 2
    anchors = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    centres = anchors + 0.1 * side * boxes[:, :2]
    halves = side / 2 * torch.exp(0.2 * boxes[:, 2:])
    return torch.cat([centres - halves, centres + halves], 1)


class _L2Norm(nn.Module):
    """Scales every position's vector to length 1, then each channel by a learned weight."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        length = x.square().sum(1, keepdim=True).sqrt() + 1e-10
        return x / length * self.weight[:, None, None]


def _check(images: Tensor) -> None:
    right = images.ndim == 4 and images.shape[1] == 3 and min(images.shape[2:]) >= SMALLEST
    if not right or not images.is_floating_point():
        raise InputError(
            f"The pictures must be floats of shape (N, 3, H, W), H and W at least {SMALLEST}, not "
            f"{images.dtype} of shape {tuple(images.shape)}."
        )
