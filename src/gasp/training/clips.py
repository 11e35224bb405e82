"""Clips of a few frames to learn from, drawn from videos as in 2021, but reproducibly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from gasp.config.experiments import AugmentSettings, Experiment
from gasp.datasets.grouped import CAPTURED, Window
from gasp.training.augment_clips import augment
from gasp.training.batch import Clip, ClipBatch
from gasp.training.sources import ClipSource, Video

Picked = tuple[int, int]
"""(epoch, index) of a clip."""

Part = Literal["train", "validation"]
_PARTS = ("train", "validation")

ORDER, _START, _AUGMENT = range(3)
"""What random numbers are for; those of one purpose never depend on another's."""


class Clips(Dataset[Clip]):
    """The clips of some videos. An item is asked for as (epoch, index), 0 <= index < ``len(self)``.

    Which frames a clip has depends on the experiment's seed, the epoch and the index, and on nothing else: neither on
    loader processes nor on what was read before. An index from ``len(self)`` on is another draw of the clip
    ``index % len(self)``.

    "peek" begins anywhere from the first to the very last frame, "walk" goes on by the context in each epoch and begins
    again where the next clip would begin at the last frame or later; both have ``clips.peeks`` clips per video. "all"
    has every clip of the walk in every epoch. What is missing is filled in, see :func:`fill_maps` and
    :func:`pick_targets`.
    """

    def __init__(
        self, source: ClipSource, videos: Sequence[Video], experiment: Experiment, part: Part = "train"
    ) -> None:
        clips = experiment.clips
        self.source, self.videos, self.experiment = source, tuple(videos), experiment
        self.seed = (experiment.trainer.seed, _PARTS.index(part))
        self.choice = clips.choice if part == "train" else clips.validation_choice
        self.augment = clips.augment if part == "train" and clips.augment != AugmentSettings() else None
        self._starts = [self._walk(video) for video in self.videos]
        self._places = [
            (place, turn)
            for place, starts in enumerate(self._starts)
            for turn in range(len(starts) if self.choice == "all" else clips.peeks)
        ]

    def _walk(self, video: Video) -> range:
        return range(0, max(1, self.source.frames(video) - 1), self.experiment.context)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def datasets(self) -> list[str]:
        """The dataset that each clip is from."""
        return [self.videos[place][0] for place, _ in self._places]

    def start(self, epoch: int, index: int) -> tuple[Video, int]:
        """Which video a clip is from, and its first frame, from 0."""
        place, turn = self._places[index % len(self)]
        video, starts = self.videos[place], self._starts[place]
        if self.choice == "peek":
            return video, int(self._generator(epoch, index, _START).integers(self.source.frames(video)))
        if self.choice == "walk":
            turn += epoch * self.experiment.clips.peeks + index // len(self)
        return video, starts[turn % len(starts)]

    def __getitem__(self, picked: Picked) -> Clip:
        options, context = self.experiment.clips, self.experiment.context
        video, start = self.start(*picked)
        window = self.source.window(video, start, context, options.inputs, options.targets)
        repeat = options.missing == "repeat"
        fill_maps(window, repeat=repeat)
        density, fixations, frame_density = pick_targets(window, repeat=repeat)
        name = f"{video[0]}/{video[1]}, frame {start + 1}"
        if context > 1:
            name = f"{video[0]}/{video[1]}, frames {start + 1} to {start + context}"
        every = frame_density if self.experiment.every_frame else None
        clip = Clip(window.maps, density, fixations, every, name)
        if self.augment is None:
            return clip
        captured = options.inputs.index(CAPTURED) if CAPTURED in options.inputs else None
        return augment(clip, self.augment, self._generator(*picked, _AUGMENT), captured)

    def _generator(self, epoch: int, index: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((*self.seed, purpose, epoch, index))


def fill_maps(window: Window, *, repeat: bool = True) -> None:
    """Fills in what is missing, in place: the last picture of the same modality in the clip (``repeat``), and the
    placeholder of 2021 where there is none yet; or black.
    """
    if not repeat or window.has_map.all():
        return
    for modality in np.flatnonzero(~window.has_map.all(0)):
        pictures = window.maps[:, 3 * modality : 3 * modality + 3]
        last: NDArray[np.uint8] = placeholder(pictures.shape[2:], 3)
        for picture, there in zip(pictures, window.has_map[:, modality], strict=True):
            if there:
                last = picture
            else:
                picture[:] = last


def pick_targets(
    window: Window, *, repeat: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Density and fixations (1, h, w), each of the last frame that has it; and the density of every frame (T, 1, h, w).

    What no frame has is the placeholder of 2021, as are missing densities of single frames; black without ``repeat``.
    """
    size = window.targets.shape[2:]
    absent = placeholder(size, 1) if repeat else np.zeros((1, *size), np.uint8)
    last = []
    for target in range(2):
        there = np.flatnonzero(window.has_target[:, target])
        last.append(window.targets[there[-1], target][None] if len(there) else absent)
    every = window.targets[:, :1].copy()
    every[~window.has_target[:, 0]] = absent
    return last[0], last[1], every


@lru_cache(maxsize=8)
def placeholder(size: tuple[int, ...], channels: int) -> NDArray[np.uint8]:
    """2021's picture for what is missing, (channels, height, width).

    It was 10 x 10, black but for its first pixel of value 1, so as not to be constant; here it is resized.
    """
    small = np.zeros((10, 10), np.uint8)
    small[0, 0] = 1
    picture = Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.repeat(np.asarray(picture, np.uint8)[None], channels, 0)
    pixels.flags.writeable = False
    return pixels


def collate(clips: Sequence[Clip]) -> ClipBatch:
    """A batch of clips; targets in 0..1."""
    every = [clip.frame_density for clip in clips if clip.frame_density is not None]
    return ClipBatch(
        torch.from_numpy(np.stack([clip.maps for clip in clips])),
        _fractions([clip.density for clip in clips]),
        _fractions([clip.fixations for clip in clips]),
        _fractions(every) if every else None,
        tuple(clip.name for clip in clips),
    )


def _fractions(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).float().div_(255)
