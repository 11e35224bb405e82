"""VideoGaze: in which frame of a video, and where in it, a person seen in another frame looks.

Source: Recasens et al., "Following Gaze in Video", ICCV 2017, section 3. The state dict has the published
names; the classifiers of the three image networks and ``last_convolution``, which the published file holds
but no output depends on (176 of its 189 million numbers), are not made.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import UsageError
from gasp.networks.blocks.shapes import require_shape

SIZE = 227
"""Height and width of the input pictures."""
CELLS = 13
"""Height and width of the inner saliency map and of the cone's projection."""


class VideoGazeOutput(NamedTuple):
    """OutputSettings for N pairs of a person and a candidate frame.

    ``heatmap`` (N, side, side): where in the candidate frame, rows from the top; sums to one.
    ``in_frame`` (N, 1): probability that the candidate frame holds the target.
    """

    heatmap: Tensor
    in_frame: Tensor


class FrameFeatures(NamedTuple):
    """What depends on one frame only: ``saliency`` (N, 169), row by row, and ``scene`` (N, 256, 6, 6)."""

    saliency: Tensor
    scene: Tensor


class Transformation(NamedTuple):
    """How a candidate frame lies in the source frame's space.

    ``rotation`` (N, 3, 3), ``translation`` (N, 3) and ``gain`` (N,) in 0..1.
    """

    rotation: Tensor
    translation: Tensor
    gain: Tensor


class VideoGaze(nn.Module):
    """Saliency of the candidate frame, seen through the cone of a person's gaze.

    Call: ``(source, target, face, eyes)``, one row per person and candidate frame. ``source`` holds the
    person, ``target`` is the candidate frame and ``face`` the person's face, each (N, 3, 227, 227), RGB in
    0..1 without further normalisation; ``eyes`` (N, 2) is the head's x and y as fractions of the source
    frame's width and height.

    The parts can be kept and combined: ``follow(encode_scene(source), encode_frame(target),
    encode_head(face), eyes)`` is the same; a source frame that is also a target has its scene already.

    Option: ``side`` of the heatmap (20 in the published weights).
    """

    unused_entries = ("*.classifier.*", "last_convolution.*")
    """Patterns of names in the published file that the network has no use for."""

    def __init__(self, *, side: int = 20) -> None:
        super().__init__()
        if side < 1:
            raise UsageError(f"side must be at least 1, not {side}.")
        self.side = side
        self.saliency_pathway = _AlexNet(last_pool=False)
        self.last_conv = nn.Conv2d(256, 1, 1)
        self.cone_pathway = _ConePathway()
        self.transformation_path = _TransformationPath()
        self.linear_final = nn.Linear(CELLS * CELLS, side * side)
        self.sigmoid1 = nn.Linear(2 * CELLS * CELLS, 200)
        self.sigmoid2 = nn.Linear(200, 1)

    def forward(self, source: Tensor, target: Tensor, face: Tensor, eyes: Tensor) -> VideoGazeOutput:
        """Where in ``target``, and whether at all, the person in ``source`` looks."""
        scene, frame, head = self.encode_scene(source), self.encode_frame(target), self.encode_head(face)
        return self.follow(scene, frame, head, eyes)

    def encode_frame(self, frames: Tensor) -> FrameFeatures:
        """What a candidate frame (N, 3, 227, 227) contributes, whoever looks."""
        require_shape("target frames", frames, (None, 3, SIZE, SIZE))
        saliency = F.relu(self.last_conv(self.saliency_pathway(frames)))
        return FrameFeatures(saliency.flatten(1), self.encode_scene(frames))

    def encode_scene(self, frames: Tensor) -> Tensor:
        """What a source frame (N, 3, 227, 227) contributes: (N, 256, 6, 6), the ``scene`` of its features."""
        require_shape("source frames", frames, (None, 3, SIZE, SIZE))
        scene: Tensor = self.transformation_path.alexnet(frames)
        return scene

    def encode_head(self, faces: Tensor) -> Tensor:
        """What a face (N, 3, 227, 227) contributes: (N, 4), gaze direction (any length) and aperture."""
        require_shape("faces", faces, (None, 3, SIZE, SIZE))
        head: Tensor = self.cone_pathway(faces)
        return head

    def follow(self, scene: Tensor, frame: FrameFeatures, head: Tensor, eyes: Tensor) -> VideoGazeOutput:
        """Combine the source's scene, the candidate's features, the face's numbers and the eyes."""
        return self.look(self.relate(scene, frame.scene), frame.saliency, head, eyes)

    def relate(self, source_scene: Tensor, target_scene: Tensor) -> Transformation:
        """How candidate frames lie in the space of source frames, from the scenes of both; whoever looks."""
        transformation: Transformation = self.transformation_path(source_scene, target_scene)
        return transformation

    def look(
        self, transformation: Transformation, saliency: Tensor, head: Tensor, eyes: Tensor
    ) -> VideoGazeOutput:
        """What is left of :meth:`follow` when it is known how the two frames lie to each other."""
        require_shape("eyes", eyes, (None, 2))
        cone = transformation.gain[:, None] * project_cone(transformation, head, eyes)
        heatmap = torch.softmax(self.heatmap_logits(cone, saliency), 1)
        selection = self.sigmoid2(F.relu(self.sigmoid1(torch.cat([saliency, cone], 1))))
        return VideoGazeOutput(heatmap.unflatten(1, (self.side, self.side)), torch.sigmoid(selection))

    def heatmap_logits(self, cone: Tensor, saliency: Tensor) -> Tensor:
        """Scores of the heatmap's cells, (N, side * side), before the softmax."""
        logits: Tensor = self.linear_final(cone * saliency)
        return logits


def gaze_cone(head: Tensor) -> tuple[Tensor, Tensor]:
    """Unit direction (N, 3) and aperture (N,) in 0.5..0.99 from the head pathway's numbers (N, 4)."""
    return F.normalize(head[:, :3], dim=1, eps=1e-14), head[:, 3].clamp(0.5, 0.99)


def project_cone(transformation: Transformation, head: Tensor, eyes: Tensor) -> Tensor:
    """How far inside a gaze cone each cell of the candidate frame's plane lies: (N, 169).

    With q the vector from the eyes to a cell, v the direction of gaze and a the aperture:
    (v . q)^2 - a |q|^2, the closed form of the paper's conic (section 3.2). The slow index of the cells goes
    with the horizontal coordinate although that of the saliency map is the row: the weights are trained so.
    """
    direction, aperture = gaze_cone(head)
    steps = torch.linspace(-1, 1, CELLS, device=eyes.device, dtype=eyes.dtype)
    plane = torch.cartesian_prod(steps, steps)
    origin = transformation.translation - F.pad(eyes, (0, 1))
    cells = plane @ transformation.rotation[:, :, :2].transpose(1, 2) + origin[:, None]
    along = (cells @ direction[:, :, None]).squeeze(2)
    return along.square() - aperture[:, None] * cells.square().sum(2)


class _AlexNet(nn.Module):
    """Convolutions of AlexNet (Krizhevsky, 2014): (N, 3, 227, 227) to 256 x 13 x 13, or x 6 x 6 pooled."""

    def __init__(self, last_pool: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]
        if last_pool:
            layers.append(nn.MaxPool2d(3, 2))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.features(x)
        return features


class _ConePathway(nn.Module):
    """Four numbers of the gaze cone from a face."""

    def __init__(self) -> None:
        super().__init__()
        self.alexnet = _AlexNet()
        self.linear1 = nn.Linear(9216, 500)
        self.linear2 = nn.Linear(500, 200)
        self.linear3 = nn.Linear(200, 4)

    def forward(self, faces: Tensor) -> Tensor:
        # Published with a floor of 1e-6 in place of ReLU's zero.
        x = F.threshold(self.linear1(self.alexnet(faces).flatten(1)), 0, 1e-6)
        head: Tensor = self.linear3(F.threshold(self.linear2(x), 0, 1e-6))
        return head


class _TransformationPath(nn.Module):
    """How the target frame lies relative to the source frame, from the scenes of both."""

    def __init__(self) -> None:
        super().__init__()
        self.alexnet = _AlexNet()
        self.conv_features = nn.Sequential(nn.Conv2d(512, 100, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2))
        self.linear_features = nn.Sequential(nn.Linear(400, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU())
        self.final_linear = nn.Linear(100, 7)

    def forward(self, source_scene: Tensor, target_scene: Tensor) -> Transformation:
        x = self.conv_features(torch.cat([source_scene, target_scene], 1)).flatten(1)
        x = self.final_linear(self.linear_features(x))
        return Transformation(_rotation(math.pi * torch.tanh(x[:, 3:6])), x[:, :3], x[:, 6].clamp(0, 1))


def _rotation(angles: Tensor) -> Tensor:
    """Rz Ry Rx for angles (N, 3) about x, y, z in radians; Rx and Ry turn clockwise, as published."""
    a, b, c = angles.cos().unbind(1)
    x, y, z = angles.sin().unbind(1)
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    about_x = torch.stack([one, zero, zero, zero, a, x, zero, -x, a], 1)
    about_y = torch.stack([b, zero, -y, zero, one, zero, y, zero, b], 1)
    about_z = torch.stack([c, -z, zero, z, c, zero, zero, zero, one], 1)
    by_row = (3, 3)
    return about_z.unflatten(1, by_row) @ about_y.unflatten(1, by_row) @ about_x.unflatten(1, by_row)
