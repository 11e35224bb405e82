"""STAViS: spatio-temporal audiovisual saliency.

Source: Tsiami, Koutras and Maragos, "STAViS: Spatio-Temporal AudioVisual Saliency Network", CVPR 2020.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import InputError, UsageError
from gasp.networks.blocks.batch_statistics import BatchStatistics
from gasp.networks.blocks.pooling import max_pool3d
from gasp.networks.blocks.resnet3d import Norm, Stem3D, bottleneck_stage
from gasp.networks.blocks.shapes import require_clip, require_shape
from gasp.networks.blocks.soundnet import soundnet_sequence


class STAViSOutput(NamedTuple):
    """``logits`` (N, 1, H, W) of a fixation, before the sigmoid."""

    logits: Tensor


class STAViS(Stem3D):
    """3-D ResNet-50 (three stages) with attention from deeply supervised maps, fused with SoundNet-8.

    Call: ``(video, audio=None)``. ``video`` (N, 3, 16, H, W): RGB on the 0..255 scale minus the mean (see
    the weights), oldest frame first. ``audio`` (N, 1, 1, L): waveform excerpt, L = 35280 (original) or
    48000; None means silence. The visual network takes clips of any size and does not look at ``audio``.
    In the original the map belongs to the window's frame with index 8.

    Options: ``audiovisual``, or with False the visual network; ``sample_size``, height and width that the
    audiovisual network takes (published: 112); ``sample_duration``, frames of a window (published: 16);
    ``batch_statistics`` normalises with the statistics of the input itself, as one published pipeline does.

    When windows overlap, ``model.from_stem(stem, size, audio_embedding)`` takes what they share: the audio embedding
    from :meth:`embed_audio`, and the stem from :class:`~gasp.networks.blocks.windows.StemOfWindows`. More cannot be
    shared: the first attention comes from the mean of all frames and changes everything after it.
    """

    def __init__(
        self,
        *,
        audiovisual: bool = True,
        sample_size: int = 112,
        sample_duration: int = 16,
        batch_statistics: bool = False,
    ) -> None:
        if sample_duration < 8 or sample_duration % 8:
            raise UsageError(f"sample_duration must be a multiple of 8, not {sample_duration!r}.")
        if sample_size < 8 or sample_size % 8:
            raise UsageError(f"sample_size must be a multiple of 8, not {sample_size!r}.")
        norm: Norm = BatchStatistics if batch_statistics else nn.BatchNorm3d
        super().__init__(norm)
        self.audiovisual = audiovisual
        self.sample_size = sample_size
        self.sample_duration = sample_duration
        self.layer1 = bottleneck_stage(64, 64, blocks=3, stride=1, norm=norm)
        self.layer2 = bottleneck_stage(256, 128, blocks=4, stride=2, norm=norm)
        self.layer3 = bottleneck_stage(512, 256, blocks=6, stride=2, norm=norm)
        self.score_dsn = nn.ModuleList(
            _AttentionModule(channels, 2 ** (i + 1)) for i, channels in enumerate((64, 256, 512, 1024))
        )
        self.fuse = nn.Conv2d(64, 1, 1)
        if audiovisual:
            self.fuseav = nn.Conv2d(128, 1, 1)
            self.soundnet8 = soundnet_sequence(BatchStatistics if batch_statistics else nn.BatchNorm2d)
            self.fusion3 = _AudioFusion()

    @property
    def unused_entries(self) -> tuple[str, ...]:
        """Patterns of entries that a checkpoint may hold although this network has no use for them."""
        return () if self.audiovisual else ("fuseav.*", "soundnet8.*", "fusion3.*")

    def forward(self, video: Tensor, audio: Tensor | None = None) -> STAViSOutput:
        """Logits of a fixation at each pixel."""
        require_clip(video, self.sample_duration)
        embedding = self.embed_audio(audio) if self.audiovisual and audio is not None else None
        height, width = video.shape[-2:]
        return self.from_stem(self.stem(video), (height, width), embedding)

    def from_stem(
        self, stem: Tensor, size: tuple[int, int], audio_embedding: Tensor | None = None
    ) -> STAViSOutput:
        """The same from what :meth:`stem` and :meth:`embed_audio` give, for pictures of ``size`` (H, W)."""
        if self.audiovisual and size != (self.sample_size, self.sample_size):
            raise InputError(
                f"The audiovisual network takes pictures of {self.sample_size} x {self.sample_size} pixels, "
                f"not {size[0]} x {size[1]}; the visual one (audiovisual=False) takes any."
            )
        x, side1 = self.score_dsn[0](stem, size)
        x = self.layer1(max_pool3d(x, (3, 3, 3), (2, 2, 2), (1, 1, 1)))
        x, side2 = self.score_dsn[1](x, size)
        before_attention = self.layer2(x)
        x, side3 = self.score_dsn[2](before_attention, size)
        _, side4 = self.score_dsn[3](self.layer3(x), size)
        sides = [side1, side2, side3, side4]
        if not self.audiovisual:
            return STAViSOutput(self.fuse(torch.cat(sides, 1)))

        if audio_embedding is None:
            audio_embedding = self.embed_audio(stem.new_zeros(len(stem), 1, 1, 35280))
        require_shape("audio_embedding", audio_embedding, (len(stem), 1024))
        heard = _crop_centre(self.fusion3(before_attention, audio_embedding), size)
        return STAViSOutput(self.fuseav(torch.cat([*sides, heard], 1)))

    def embed_audio(self, audio: Tensor) -> Tensor:
        """Waveform excerpts (N, 1, 1, L) to vectors (N, 1024); audiovisual network only."""
        if not self.audiovisual:
            raise UsageError("The visual network has no use for sound; make it with audiovisual=True.")
        require_shape("audio", audio, (None, 1, 1, None))
        if not _SHORTEST_AUDIO <= audio.shape[3] <= _LONGEST_AUDIO:
            raise InputError(
                f"The waveform must have 35280 or 48000 samples ({_SHORTEST_AUDIO} to {_LONGEST_AUDIO} are "
                f"possible), not {audio.shape[3]}."
            )
        return self.soundnet8(audio).flatten(1)


_SHORTEST_AUDIO, _LONGEST_AUDIO = 12766, 78301
"""Lengths for which SoundNet-8 leaves one vector."""


class _AttentionModule(nn.Module):
    """Deeply supervised attention: where to look, from the mean over time, and a map for the output."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.side_prep = nn.Conv2d(channels, 16, 3, padding=1)
        self.score_dsn = nn.Conv2d(16, 1, 1)
        # Only training losses look at upscale_.
        self.upscale_ = nn.ConvTranspose2d(1, 1, 2 * scale, scale, bias=False)
        self.upscale = nn.ConvTranspose2d(16, 16, 2 * scale, scale, bias=False)

    def forward(self, x: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """(N, C, T, h, w) with attended places raised, and side features (N, 16, *size)."""
        prepared = self.side_prep(x.mean(2))
        scores = self.score_dsn(prepared)
        attention = scores.flatten(1).softmax(1).view_as(scores)
        return x * (1 + attention).unsqueeze(2), _crop_centre(self.upscale(prepared), size)


class _AudioFusion(nn.Module):
    """How well each place of the picture goes with the sound."""

    def __init__(self) -> None:
        super().__init__()
        self.affine_rgb = nn.Linear(512, 128)
        self.affine_audio = nn.Linear(1024, 128)
        self.w_a_rgb = nn.Bilinear(128, 128, 64)

    def forward(self, visual: Tensor, audio: Tensor) -> Tensor:
        """(N, 512, T, h, w) and (N, 1024) to (N, 64, 8h, 8w)."""
        middle = visual.shape[2] // 2
        places = visual[:, :, middle - 1 : middle + 1].mean(2)
        seen = F.relu_(self.affine_rgb(places.permute(0, 2, 3, 1)))
        heard = F.relu_(self.affine_audio(audio))
        # The bilinear form with the sound put in first: one matrix for all places.
        weight = torch.einsum("kij,nj->nki", self.w_a_rgb.weight, heard)
        match = torch.einsum("nhwi,nki->nkhw", seen, weight) + self.w_a_rgb.bias[:, None, None]
        return F.interpolate(match, scale_factor=8, mode="bilinear", align_corners=False)


def _crop_centre(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The middle of (N, C, h, w); where that is smaller than ``size``, zeros around it."""
    rows, columns = x.shape[-2] - size[0], x.shape[-1] - size[1]
    top, left = rows // 2, columns // 2
    if min(rows, columns) >= 0:
        return x[..., top : top + size[0], left : left + size[1]]
    return F.pad(x, (-left, left - columns, -top, top - rows))
