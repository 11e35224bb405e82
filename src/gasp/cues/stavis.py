"""Modality ``stavis``: audiovisual or visual saliency of STAViS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gasp.cues.observation import Observation
from gasp.cues.saliency import (
    Colours,
    Grey,
    Mode,
    SaliencyCue,
    Values,
    Window,
    min_max,
    prepare_pictures,
    sigmoid,
    truncated,
)
from gasp.cues.window_sound import LONGEST_BLOCK, SOUND_RATES, Waveforms, block_frames
from gasp.cues.windows import Plan, published_window, window_around
from gasp.errors import UsageError
from gasp.networks.blocks.windows import StemOfWindows
from gasp.networks.stavis import STAViS
from gasp.weights.catalogue import Preprocessing, find_entry

EXCERPT = 35280
"""Samples of the waveform excerpt: 16 frames at 10 frames per second and 22050 Hz."""


class Stavis(SaliencyCue[Tensor]):
    """The map of a frame from 16 frames around it, and their sound if the network is the audiovisual one.

    ``mode="corrected"``: the frame has index ``source_index`` in its window (the original's 8 looks 7 frames ahead;
    15 looks back only), the normalisation that the weights were trained with, running statistics, and the original
    excerpt of the sound. ``mode="published"``: as the published integration: the frame is the last, 15 frames of which
    the first is doubled, another normalisation that the statistics of each window hide, and nearly silent sound.
    Silence is heard without sound.

    ``fps``: frames per second of what is pushed (default: from the first frame's step). Further: :class:`SaliencyCue`.

    Reuse: the first convolution of frames that overlapping windows share (not with the statistics of the window).
    More is not exact: the first attention comes from the mean of all 16 frames, so that every later value changes.
    """

    name = "stavis"

    def __init__(
        self,
        network: STAViS,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        colours: Colours = "jet",
        batch: int | None = None,
        source_index: int | None = None,
        fps: float | None = None,
    ) -> None:
        size = network.sample_duration
        published = mode == "published"
        last = size - 1
        preferred = find_entry("stavis-visual-split1").preprocessing.source_index
        source = source_index if source_index is not None else last if published else min(preferred, last)
        if not 0 <= source <= last:
            raise UsageError(f"source_index must be 0 to {last}, not {source_index!r}")
        self._sound = Waveforms(mode, EXCERPT, size, fps) if network.audiovisual else None
        plan = window_around(size, source)
        if published:
            future = 0 if self._sound is None else (block_frames(fps) if fps else LONGEST_BLOCK) - 1
            plan = Plan(lambda k: published_window(k, size), self._published_needs, last, future)
        self._network = with_batch_statistics(network) if published else network
        # The statistics of a window must not see other windows.
        super().__init__(
            self._network, plan, device=device, mode=mode, colours=colours, batch=1 if published else batch
        )
        if network.audiovisual:
            self.sound_rate = SOUND_RATES[mode]
        self._window_past = plan.past
        self._how = stavis_preprocessing(mode, network.sample_size)
        self._stems = None if published else StemOfWindows(network)

    def begin(self, step: float) -> None:
        """Seconds of sound become frames."""
        if self._sound is None:
            return
        earlier, later = self._sound.begin(step)
        if self.mode == "published":
            self.past, self.future = max(self._window_past, earlier), later
        else:
            self.past = self._window_past + earlier

    def _published_needs(self, k: int) -> int:
        return k if self._sound is None else self._sound.needs(k)

    def _take(self, observations: Sequence[Observation]) -> list[Tensor]:
        if self._sound is not None:
            for observation in observations:
                self._sound.add(observation)
        return list(prepare_pictures(observations, self._how, self.device, self.dtype))

    def _run(self, windows: list[Window], kept: dict[int, Tensor]) -> Tensor:
        if self._stems is not None:
            stem = self._stems([window for _, window in windows], kept)
        else:
            clips = torch.stack([torch.stack([kept[i] for i in window], 1) for _, window in windows])
            stem = self._network.stem(clips)
        heard = None if self._sound is None else torch.cat([self._hear(k, window) for k, window in windows])
        size = (self._how.height, self._how.width)
        return self._network.from_stem(stem, size, heard).logits[:, 0]

    def _hear(self, k: int, window: list[int]) -> Tensor:
        """The audio embedding (1, 1024) of a window."""
        assert self._sound is not None
        waveform = self._sound.of(k, window)
        waveform = np.zeros(EXCERPT, np.float32) if waveform is None else waveform
        return self._network.embed_audio(
            torch.from_numpy(waveform).to(self.device, self.dtype)[None, None, None]
        )

    def _grey(self, output: Values, size: tuple[int, int]) -> Grey:
        return draw_stavis(output)


def stavis_preprocessing(mode: Mode, size: int = 112) -> Preprocessing:
    """How frames are normalised: as for the training, or in "published" mode with the numbers of Kinetics."""
    how = find_entry("stavis-visual-split1").preprocessing
    if mode == "published":
        other = find_entry("dave").preprocessing
        how = replace(how, mean=other.mean, std=other.std)
    return replace(how, width=size, height=size)


def with_batch_statistics(network: STAViS) -> STAViS:
    """The same network and weights, normalising with the statistics of its input."""
    other = STAViS(
        audiovisual=network.audiovisual,
        sample_size=network.sample_size,
        sample_duration=network.sample_duration,
        batch_statistics=True,
    )
    other.load_state_dict(network.state_dict())
    return other.to(next(network.parameters()))


def draw_stavis(logits: Values) -> Grey:
    """Sigmoid, then min-max to 0..255, cut off; zeros where all values are equal."""
    return truncated(min_max(sigmoid(logits)))
