"""Light-ASD: whether a face makes the speech that is heard, from its pictures and the sound.

Source: Liao, Duan, Feng, Zhao, Yang and Chen, "A Light Weight Model for Active Speaker Detection", CVPR 2023.

The weights are published as one bare state dict, whose names are those of this network. The sound features are those of
:mod:`gasp.cues.mfcc`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import InputError
from gasp.networks.blocks.shapes import require_shape

SIDE = 112
"""Pixels of a face."""
COEFFICIENTS = 13
ROWS = 4
"""Rows of sound features per frame."""
WIDTH = 128
"""Of an embedding."""

MEAN, STD = 0.4161, 0.1688
"""Of grey pictures in 0..1."""


class LightASDOutput(NamedTuple):
    """Output for N sequences of T frames.

    ``score`` (N, T): how surely the face speaks and is heard, unbounded, above 0 for yes; the second of ``logits``
    (N, T, 2; not speaking, speaking). ``visual_logits`` (N, T, 2): the same from the pictures alone.
    """

    score: Tensor
    logits: Tensor
    visual_logits: Tensor


class LightASD(nn.Module):
    """The network. Every sequence is treated on its own, and begins and ends in silence and zeros.

    Call: ``(faces, features)`` with grey faces (N, T, 112, 112) in 0..255, uint8 or floats, and sound features
    (N, R, 13), four rows per frame from the frame's beginning on, where R is 4 T - 3 to 4 T.

    Faces and sound can also be embedded apart (:meth:`embed_faces`, :meth:`embed_sound`), once for all windows and, the
    sound, once for all faces: ``detect(embed_faces(faces), embed_sound(features))``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model = _Model()
        self.lossAV = _Head()
        self.lossV = _Head()

    def forward(self, faces: Tensor, features: Tensor) -> LightASDOutput:
        """Scores of every frame."""
        faces = faces.float() if faces.dtype == torch.uint8 else faces
        require_shape("faces", faces, (None, None, SIDE, SIDE))
        require_shape("features", features, (None, None, COEFFICIENTS))
        frames = faces.shape[1]
        if features.shape[0] != faces.shape[0] or -(-features.shape[1] // ROWS) != frames:
            raise InputError(
                f"{frames} frames need {ROWS * frames - ROWS + 1} to {ROWS * frames} rows of sound features for "
                f"each of {faces.shape[0]} sequences, not {tuple(features.shape)}."
            )
        return self.detect(self.embed_faces(faces), self.embed_sound(features))

    def embed_faces(self, faces: Tensor) -> Tensor:
        """Embeddings (N, T, 128) of faces (N, T, 112, 112) in 0..255; each sees six frames before and after its own."""
        embedded: Tensor = self.model.visualEncoder((faces[:, None] / 255 - MEAN) / STD)
        return embedded

    def embed_sound(self, features: Tensor) -> Tensor:
        """Embeddings (N, ceil(R / 4), 128) of sound features (N, R, 13); each sees 17 rows before and after its own."""
        embedded: Tensor = self.model.audioEncoder(features.transpose(1, 2)[:, None])
        return embedded

    def detect(self, faces: Tensor, sound: Tensor) -> LightASDOutput:
        """Scores from embeddings of both, (N, T, 128)."""
        logits = self.lossAV.FC(self.model.GRU(faces + sound))
        return LightASDOutput(logits[..., 1], logits, self.lossV.FC(faces))


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder = _VisualEncoder()
        self.audioEncoder = _SoundEncoder()
        self.GRU = _Detector()


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.FC = nn.Linear(WIDTH, 2)


class _Block(nn.Module):
    """Two branches of kernel size 3 and 5 across the picture (or spectrum), then along time; their sum; a 1 x 1 layer.

    ``across``: the letter of the first layers in the published names. ``conv``: makes a layer from channels in and out,
    the kernel size, and whether it lies across or along time.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        across: str,
        conv: Callable[[int, int, int, bool], nn.Module],
        norm: type[nn.Module],
    ) -> None:
        super().__init__()
        self._across = across
        for size in (3, 5):
            for letter, channels in ((across, inputs), ("t", width)):
                setattr(self, f"{letter}_{size}", conv(channels, width, size, letter == across))
                setattr(self, f"bn_{letter}_{size}", norm(width, momentum=0.01, eps=1e-3))
        self.last = conv(width, width, 1, True)
        self.bn_last = norm(width, momentum=0.01, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        both = self._branch(x, 3) + self._branch(x, 5)
        return F.relu(self.bn_last(self.last(both)))

    def _branch(self, x: Tensor, size: int) -> Tensor:
        for letter in (self._across, "t"):
            conv, norm = getattr(self, f"{letter}_{size}"), getattr(self, f"bn_{letter}_{size}")
            x = F.relu(norm(conv(x)))
        return x


class _VisualEncoder(nn.Module):
    """Grey pictures (N, 1, T, 112, 112) to embeddings (N, T, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = self._block(1, 32, stride=2)
        self.block2 = self._block(32, 64)
        self.block3 = self._block(64, WIDTH)

    @staticmethod
    def _block(inputs: int, width: int, stride: int = 1) -> _Block:
        def conv(channels: int, outputs: int, size: int, across: bool) -> nn.Module:
            half = size // 2
            if not across:
                return nn.Conv3d(channels, outputs, (size, 1, 1), padding=(half, 0, 0), bias=False)
            step = (1, stride, stride) if size > 1 else 1
            return nn.Conv3d(channels, outputs, (1, size, size), step, (0, half, half), bias=False)

        return _Block(inputs, width, "s", conv, nn.BatchNorm3d)

    def forward(self, x: Tensor) -> Tensor:
        for block in (self.block1, self.block2):
            x = F.max_pool3d(block(x), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        return self.block3(x).amax((3, 4)).transpose(1, 2)


class _SoundEncoder(nn.Module):
    """Sound features (N, 1, 13, R) to embeddings (N, ceil(R / 4), 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = self._block(1, 32)
        self.block2 = self._block(32, 64)
        self.block3 = self._block(64, WIDTH)

    @staticmethod
    def _block(inputs: int, width: int) -> _Block:
        def conv(channels: int, outputs: int, size: int, across: bool) -> nn.Module:
            shape = (size, 1) if across else (1, size)
            return nn.Conv2d(channels, outputs, shape, padding=(shape[0] // 2, shape[1] // 2), bias=False)

        return _Block(inputs, width, "m", conv, nn.BatchNorm2d)

    def forward(self, x: Tensor) -> Tensor:
        for block in (self.block1, self.block2):
            x = F.max_pool2d(block(x), (1, 3), (1, 2), (0, 1))
        return self.block3(x).mean(2).transpose(1, 2)


class _Detector(nn.Module):
    """Embeddings (N, T, 128) over time: a GRU forward, and one of its own backward over what that gives."""

    def __init__(self) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.gru_backward = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        ahead = F.gelu(self.gru_forward(x)[0])
        back: Tensor = self.gru_backward(ahead.flip(1))[0]
        return F.gelu(back.flip(1))
