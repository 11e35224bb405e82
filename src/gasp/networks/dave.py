"""DAVE: saliency of a clip and its sound.

Source: Tavakoli, Borji, Rahtu and Kannala, "DAVE: A Deep Audio-Visual Embedding for Dynamic Saliency
Prediction", 2019.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import UsageError
from gasp.networks.blocks.pooling import max_pool3d
from gasp.networks.blocks.resnet3d import Stem3D, basic_stage
from gasp.networks.blocks.shapes import require_clip, require_shape

MAX_FRAMES = 16


class DAVEOutput(NamedTuple):
    """OutputSettings for N clips of H x W pixels.

    ``saliency`` (N, 1, H/8, W/8), 0 or more without upper bound. ``video_embedding``
    (N, 512, 1, H/32, W/32). ``audio_embedding`` (N, 512), or None without sound.
    """

    saliency: Tensor
    video_embedding: Tensor
    audio_embedding: Tensor | None


class DAVE(nn.Module):
    """Two 3-D ResNet-18 branches, for the pictures and the log-mel spectrogram, and a small 2-D decoder.

    Call: ``(video, audio=None)``. ``video`` (N, 3, 16, H, W): RGB, normalised with the weights' mean and
    standard deviation, oldest frame first; H and W multiples of 32 (published: 256 x 320). ``audio``
    (N, 3, 16, 64, 64): 16 log-mel patches of 64 spectrogram frames x 64 bands, the same in all three
    channels. Without it the audio embedding counts as zeros. The map belongs to the last frame.

    Option ``frames_len``: frames and patches of a window, 1 to 16 (published: 16).

    When windows overlap, ``model.from_stem(stem, audio_embedding)`` takes what they share: the audio embedding from
    :meth:`embed_audio`, and the stem of either branch from :class:`~gasp.networks.blocks.windows.StemOfWindows`. More
    cannot be shared: the pooling in time halves it, and after the next layers every position sees the window's ends.
    """

    def __init__(self, *, frames_len: int = 16) -> None:
        super().__init__()
        if not 1 <= frames_len <= MAX_FRAMES:
            raise UsageError(f"frames_len must be 1 to {MAX_FRAMES}, not {frames_len!r}.")
        self.frames_len = frames_len
        self.audio_branch = _Branch(classes=12)
        self.video_branch = _Branch(classes=400)
        self.upscale1 = _Upscale(512, 512)
        self.upscale2 = _Upscale(512, 128)
        self.combinedEmbedding = nn.Conv2d(1024, 512, 1)
        self.saliency = nn.Conv2d(128, 1, 1)

    def forward(self, video: Tensor, audio: Tensor | None = None) -> DAVEOutput:
        """Saliency of the last frame of each clip, and the embeddings it is made from."""
        require_clip(video, self.frames_len, multiple=32)
        return self.from_stem(self.stem(video), None if audio is None else self.embed_audio(audio))

    def from_stem(self, stem: Tensor, audio_embedding: Tensor | None = None) -> DAVEOutput:
        """The same from what :meth:`stem` and :meth:`embed_audio` give."""
        video_embedding = self.video_branch(stem)
        return DAVEOutput(self._decode(video_embedding, audio_embedding), video_embedding, audio_embedding)

    def embed_audio(self, audio: Tensor) -> Tensor:
        """Sound patches (N, 3, frames_len, 64, 64) to vectors (N, 512)."""
        require_shape("audio", audio, (None, 3, self.frames_len, 64, 64))
        return self.embed_audio_stem(self.audio_branch.stem(audio))

    def embed_audio_stem(self, stem: Tensor) -> Tensor:
        """The same from the first activations of the audio branch, (N, 64, frames_len, 16, 16)."""
        features: Tensor = self.audio_branch(stem)
        return features.mean((2, 3, 4))

    def stem(self, video: Tensor) -> Tensor:
        """First activations of clips, (N, 64, frames_len, H/4, W/4); over a third of the network's work."""
        return self.video_branch.stem(video)

    def _decode(self, video_embedding: Tensor, audio_embedding: Tensor | None) -> Tensor:
        video = video_embedding.squeeze(2)
        if audio_embedding is None:
            audio = torch.zeros_like(video)
        else:
            require_shape("audio_embedding", audio_embedding, video.shape[:2])
            audio = audio_embedding[:, :, None, None].expand_as(video)
        x = F.relu_(self.combinedEmbedding(torch.cat([video, audio], 1)))
        return F.relu_(self.saliency(self.upscale2(self.upscale1(x))))


class _Branch(Stem3D):
    """3-D ResNet-18 without its classifier, which is only kept for the checkpoint's sake."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer1 = basic_stage(64, 64, blocks=2, stride=1)
        self.layer2 = basic_stage(64, 128, blocks=2, stride=2)
        self.layer3 = basic_stage(128, 256, blocks=2, stride=2)
        self.layer4 = basic_stage(256, 512, blocks=2, stride=2)
        self.fc_new = nn.Linear(512, classes)

    def activate(self, x: Tensor) -> Tensor:
        """The pooling in space belongs to the stem: it sees single frames."""
        return max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1)).relu_()

    def forward(self, stem: Tensor) -> Tensor:
        """From the stem (N, 64, T, h, w) to (N, 512, 1, h/8, w/8)."""
        x = max_pool3d(stem, (3, 1, 1), (2, 1, 1), (1, 0, 0))
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return features


class _Upscale(nn.Module):
    """Doubles the size and convolves. The checkpoint holds a normalisation that is never applied."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.combine = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return F.relu_(self.combine(x))
