"""ViNet, and AViNet, which also listens.

Source: Jain et al., "ViNet: Pushing the limits of Visual Modality for Audio-Visual Saliency Prediction",
IROS 2021.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import InputError
from gasp.networks.blocks.s3d import S3D, S3DFeatures
from gasp.networks.blocks.shapes import require_clip, require_shape
from gasp.networks.blocks.soundnet import SoundNet8

FRAMES = 32
AVINET_SIZE = (224, 384)


class ViNetOutput(NamedTuple):
    """``map`` (N, H, W), in 0..1 (after the sigmoid)."""

    map: Tensor


class ViNet(nn.Module):
    """S3D encoder and a 3-D convolution decoder with skips along time.

    Call: ``(video)``, (N, 3, 32, H, W): RGB, normalised with ImageNet's mean and standard deviation, oldest
    frame first; H and W multiples of 32 (published: 224 x 384). The map belongs to the last frame.

    When windows overlap, ``model.from_base1(base1)`` takes what they share, from
    :class:`~gasp.networks.blocks.windows.Base1OfWindows`. More is not worth it, as for TASED-Net.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = S3D()
        self.decoder = _Decoder()

    def forward(self, video: Tensor) -> ViNetOutput:
        """Saliency of the last frame."""
        require_clip(video, FRAMES, multiple=32)
        return ViNetOutput(self.decoder(self.backbone.encode(video)))

    def from_base1(self, base1: Tensor) -> ViNetOutput:
        """The same from the features of the encoder's first stage."""
        return ViNetOutput(self.decoder(self.backbone.encode_rest(base1)))


class AViNet(nn.Module):
    """ViNet whose coarsest features are combined with those of SoundNet-8.

    Call: ``(video, audio)``; ``video`` as for ViNet, but exactly 224 x 384; ``audio`` (N, 1, L, 1): waveform
    excerpt of the window, L = 70560 (original) or 48000. For silence give zeros.

    When windows overlap, ``model.from_base1(base1, audio_embedding)`` takes what they share, as for ViNet, and the
    audio embedding from :meth:`embed_audio`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.visual_model = ViNet()
        self.audionet = SoundNet8()
        self.bilinear = nn.Bilinear(42, 3, 4 * 7 * 12)

    def forward(self, video: Tensor, audio: Tensor | None = None) -> ViNetOutput:
        """Saliency of the last frame."""
        require_shape("video", video, (None, 3, FRAMES, *AVINET_SIZE))
        if audio is None:
            raise InputError("AViNet needs sound: give zeros of shape (N, 1, 70560, 1) for silence.")
        return self._decode(self.visual_model.backbone.encode(video), self.embed_audio(audio))

    def from_base1(self, base1: Tensor, audio_embedding: Tensor) -> ViNetOutput:
        """The same from the features of the encoder's first stage and what :meth:`embed_audio` gives."""
        return self._decode(self.visual_model.backbone.encode_rest(base1), audio_embedding)

    def _decode(self, features: S3DFeatures, audio_embedding: Tensor) -> ViNetOutput:
        require_shape("audio_embedding", audio_embedding, (len(features.base4), 1024, 3))
        # (N, 1024, 4, 7, 12) to (N, 1024, 42): the maximum over time, and every second column.
        seen = features.base4[..., ::2].amax(2).flatten(2)
        fused = self.bilinear(seen, audio_embedding).unflatten(2, features.base4.shape[2:])
        return ViNetOutput(self.visual_model.decoder(features._replace(base4=fused)))

    def embed_audio(self, audio: Tensor) -> Tensor:
        """Waveform excerpts (N, 1, L, 1) to features (N, 1024, 3)."""
        require_shape("audio", audio, (None, 1, None, 1))
        if not _SHORTEST_AUDIO <= audio.shape[2] <= _LONGEST_AUDIO:
            raise InputError(
                f"The waveform must have 70560 or 48000 samples ({_SHORTEST_AUDIO} to {_LONGEST_AUDIO} are "
                f"possible), not {audio.shape[2]}."
            )
        features: Tensor = self.audionet(audio)
        return features.squeeze(3)


_SHORTEST_AUDIO, _LONGEST_AUDIO = 45534, 78301
"""Lengths for which SoundNet-8 leaves three vectors."""


class _Decoder(nn.Module):
    """From coarse to fine; joins the encoder's features along time and aggregates them step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.convtsp1 = nn.Sequential(*_enlarging(1024, 832, time=1))
        self.convtsp2 = nn.Sequential(*_enlarging(832, 480, time=3))
        self.convtsp3 = nn.Sequential(*_enlarging(480, 192, time=5))
        self.convtsp4 = nn.Sequential(
            *_enlarging(192, 64, time=5),
            *_enlarging(64, 32, time=2),
            nn.Conv3d(32, 32, (2, 1, 1), (2, 1, 1), bias=False),
            nn.ReLU(inplace=True),
            nn.Conv3d(32, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: S3DFeatures) -> Tensor:
        """Features of clips of 32 frames to maps (N, H, W)."""
        x = self.convtsp1(features.base4)
        x = self.convtsp2(torch.cat([x, features.base3], 2))
        x = self.convtsp3(torch.cat([x, features.base2], 2))
        x = self.convtsp4(torch.cat([x, features.base1], 2))
        return x[:, 0, 0]


def _enlarging(inputs: int, outputs: int, time: int) -> list[nn.Module]:
    """Aggregates groups of ``time`` steps and doubles height and width."""
    convolution = nn.Conv3d(inputs, outputs, (time, 3, 3), (time, 1, 1), (0, 1, 1), bias=False)
    return [convolution, nn.ReLU(inplace=True), _Doubling()]


class _Doubling(nn.Module):
    """Bilinear doubling of height and width of (N, C, T, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        frames = x.transpose(1, 2).flatten(0, 1)
        frames = F.interpolate(frames, scale_factor=2, mode="bilinear", align_corners=False)
        return frames.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)
