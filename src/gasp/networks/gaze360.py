"""Gaze360: where a person looks in three dimensions, from seven consecutive head crops.

Source: Kellnhofer, Recasens et al., "Gaze360: Physically Unconstrained Gaze Estimation in the Wild", ICCV
2019, section 4. The state dict has the published names without their prefix ``module.``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.networks.blocks.shapes import require_shape

WINDOW = 7
MIDDLE = 3
"""The estimate belongs to this frame of the window, counted from 0."""


class Gaze360Output(NamedTuple):
    """Estimates for N faces.

    ``angles`` (N, 2): yaw in -pi..pi and pitch in -pi/2..pi/2, radians; see :func:`gaze_direction`.
    ``sigma`` (N, 2): half-width between the 10 % and 90 % quantiles, radians, the same number for both.
    """

    angles: Tensor
    sigma: Tensor


class Gaze360(nn.Module):
    """A residual network per crop and a bidirectional LSTM over the window.

    Call: ``(faces)`` of (N, 7, 3, 224, 224), oldest first: RGB in 0..1, minus (0.485, 0.456, 0.406), divided
    by (0.229, 0.224, 0.225). Crop by crop: ``head(torch.stack([embed(c) for c in crops], 1))`` is the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base_model = _CropNetwork()
        self.lstm = nn.LSTM(256, 256, num_layers=2, bidirectional=True, batch_first=True)
        self.last_layer = nn.Linear(512, 3)

    def forward(self, faces: Tensor) -> Gaze360Output:
        """Gaze of the middle frame of each window."""
        require_shape("faces", faces, (None, WINDOW, 3, 224, 224))
        return self.head(self.embed(faces.flatten(0, 1)).unflatten(0, (-1, WINDOW)))

    def embed(self, crops: Tensor) -> Tensor:
        """What depends on one crop only: (N, 3, 224, 224) to (N, 256)."""
        require_shape("crops", crops, (None, 3, 224, 224))
        embedding: Tensor = self.base_model(crops)
        return embedding

    def head(self, sequence: Tensor) -> Gaze360Output:
        """Gaze from the embeddings of a window's crops, (N, 7, 256)."""
        require_shape("sequence", sequence, (None, WINDOW, 256))
        states, _ = self.lstm(sequence)
        yaw, pitch, sigma = self.last_layer(states[:, MIDDLE]).unbind(1)
        angles = torch.stack([math.pi * torch.tanh(yaw), math.pi / 2 * torch.tanh(pitch)], 1)
        return Gaze360Output(angles, (math.pi * torch.sigmoid(sigma))[:, None].expand(-1, 2))


def gaze_direction(angles: Tensor) -> Tensor:
    """Unit vectors (..., 3) for yaw and pitch (..., 2) in radians.

    Seen from the camera +x points to the left, +y up and +z away from it: (0, 0, -1) looks into the camera.
    """
    yaw, pitch = angles.unbind(-1)
    across = torch.cos(pitch)
    return torch.stack([across * torch.sin(yaw), torch.sin(pitch), -across * torch.cos(yaw)], -1)


class _CropNetwork(nn.Module):
    """ResNet-18 (He et al., CVPR 2016) with two linear layers: (N, 3, H, W) to (N, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _blocks(64, 64, stride=1)
        self.layer2 = _blocks(64, 128, stride=2)
        self.layer3 = _blocks(128, 256, stride=2)
        self.layer4 = _blocks(256, 512, stride=2)
        self.fc1 = nn.Linear(512, 1000)
        self.fc2 = nn.Linear(1000, 256)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        embedding: Tensor = self.fc2(F.relu(self.fc1(x.mean((2, 3)))))
        return embedding


class _BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which is projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


def _blocks(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_BasicBlock(inputs, outputs, stride), _BasicBlock(outputs, outputs, 1))
