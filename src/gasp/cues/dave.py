"""Modality ``dave``: audiovisual saliency of DAVE, which every published GASP checkpoint was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp.cues.audio_features import (
    EXAMPLE,
    FRAME,
    HOP,
    LOG_MEL_MEMORY,
    LOG_MEL_RATE,
    HeardSound,
    LogMelStream,
    log_mel_examples,
)
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
    truncated,
    with_size,
)
from gasp.cues.window_sound import LONGEST_BLOCK, BlockSound, block_frames, block_memory
from gasp.cues.windows import Plan, published_window, window_around
from gasp.networks.blocks.windows import StemOfWindows
from gasp.networks.dave import DAVE
from gasp.weights.catalogue import find_entry

_LEAST = FRAME + HOP * (EXAMPLE - 1)
"""Samples of one example."""


class DaveFrame(NamedTuple):
    """A frame: ``picture`` (3, H, W) normalised, and the log-mel ``example`` (64, 64) that ends with it."""

    picture: Tensor
    example: NDArray[np.float32] | None


class Dave(SaliencyCue[DaveFrame]):
    """The map of a frame from the 16 frames that end with it, and their sound.

    ``mode="corrected"``: the frames k - 15 to k, the first repeated in front; 16 log-mel examples, the last of which
    ends with frame k. ``mode="published"``: as the published integration made the maps that the published GASP weights
    know: 15 frames of which the first is doubled, fewer while there are less than 16 examples; examples from blocks
    of a second that lie ahead, the oldest of a buffer (docs/published-cues.md). Without sound the audio embedding
    counts as zeros in both.

    ``fps``: frames per second of what is pushed (default: from the first frame's step). ``input_size``: (height,
    width) to which frames are resized (default: that of the weights). Further: :class:`SaliencyCue`.

    Reuse: the first convolution, a third of the work, and its pooling in space where overlapping windows see the same
    frames, and in published mode the audio embedding within a block. More is not exact: the pooling in time halves it,
    and after the next layers every position sees the zeros at the ends of the window.
    """

    name = "dave"
    sound_rate = LOG_MEL_RATE

    def __init__(
        self,
        network: DAVE,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        colours: Colours = "jet",
        batch: int | None = None,
        fps: float | None = None,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        self._size = network.frames_len
        plan = window_around(self._size, self._size - 1)
        if mode == "published":
            future = (block_frames(fps) if fps else LONGEST_BLOCK) - 1
            plan = Plan(self._published_frames, self._published_needs, self._size - 1, future)
        super().__init__(network, plan, device=device, mode=mode, colours=colours, batch=batch)
        self._network = network
        self._how = with_size(find_entry("dave").preprocessing, input_size)
        self._stems = StemOfWindows(network.video_branch)
        self._audio_stems = StemOfWindows(network.audio_branch)
        self._fps = fps
        self._heard: HeardSound | None = None
        self._spectrogram: LogMelStream | None = None
        self._blocks: BlockSound | None = None
        self._packets: dict[int, tuple[int, NDArray[np.float32]]] = {}
        self._embedding: tuple[int, Tensor] | None = None
        self._first: int | None = None

    def begin(self, step: float) -> None:
        """Seconds of sound become frames."""
        self._fps = self._fps or 1 / step
        if self.mode == "published":
            self.past = max(self._size - 1, block_memory(self._fps, fewest_examples(self._fps)))
            self.future = block_frames(self._fps) - 1
        else:
            self.past = self._size - 1 + math.ceil(LOG_MEL_MEMORY * self._fps)

    def _take(self, observations: Sequence[Observation]) -> list[DaveFrame]:
        pictures = prepare_pictures(observations, self._how, self.device, self.dtype)
        return [DaveFrame(*pair) for pair in zip(pictures, map(self._hear, observations), strict=True)]

    def _hear(self, observation: Observation) -> NDArray[np.float32] | None:
        starts = self._first is None
        if self._first is None:
            self._first = observation.number
        if starts and observation.sound is not None:
            self._fps = self._fps or 1 / observation.step
            keep = 10 + 2 * LONGEST_BLOCK / self._fps
            self._heard = HeardSound(observation.sound_rate, keep, observation.start)
            if self.mode == "published":
                self._blocks = BlockSound(self._heard, self._fps, self._examples, self._first)
        if self._heard is None:
            return None
        new = self._heard.add(observation.sound, observation.frame.time)
        if self.mode == "published":
            return None
        if self._spectrogram is None:
            self._spectrogram = LogMelStream(observation.sound_rate, self._heard.end - len(new))
        return self._spectrogram.push(new)

    def _examples(self, rows: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        return log_mel_examples(rows.ravel(), rate, block_frames(self._fps or 25.0))

    def _published_needs(self, k: int) -> int:
        if self._blocks is None or self._first is None:
            return k
        return self._blocks.last_frame(self._first + k) - self._first

    def _published_frames(self, k: int) -> list[int]:
        valid = None
        if self._blocks is not None and self._first is not None:
            block, entries = self._blocks.at(self._first + k)
            if entries is not None:
                indices, valid = published_packet(len(entries), self._size)
                self._packets[k] = block, entries[indices].astype(np.float32)
        return published_window(k, self._size, valid=valid)

    def _run(self, windows: list[Window], kept: dict[int, DaveFrame]) -> Tensor:
        stem = self._stems([window for _, window in windows], {k: kept[k].picture for k in kept})
        return self._network.from_stem(stem, self._hear_windows(windows, kept)).saliency[:, 0]

    def _hear_windows(self, windows: list[Window], kept: dict[int, DaveFrame]) -> Tensor:
        """The audio embeddings (N, 512) of windows; zeros without sound."""
        if self.mode == "published":
            return torch.cat([self._hear_packet(k) for k, _ in windows])
        examples = {k: kept[k].example for k in kept}
        heard = {k: self._as_audio(example) for k, example in examples.items() if example is not None}
        if not heard:
            return torch.zeros(len(windows), 512, device=self.device, dtype=self.dtype)
        return self._network.embed_audio_stem(self._audio_stems([window for _, window in windows], heard))

    def _hear_packet(self, k: int) -> Tensor:
        """The audio embedding (1, 512) of frame ``k`` in the published integration: one per block."""
        if k not in self._packets:
            return torch.zeros(1, 512, device=self.device, dtype=self.dtype)
        block, packet = self._packets.pop(k)
        if self._embedding is None or self._embedding[0] != block:
            self._embedding = block, self._network.embed_audio(self._as_audio(packet)[None])
        return self._embedding[1]

    def _as_audio(self, examples: NDArray[np.float32]) -> Tensor:
        """Examples (..., 64, 64), the same in three channels: (3, ..., 64, 64)."""
        audio = torch.from_numpy(examples).to(self.device, self.dtype)
        return audio.expand(3, *audio.shape)

    def _grey(self, output: Values, size: tuple[int, int]) -> Grey:
        return draw_dave(output)


def draw_dave(output: Values) -> Grey:
    """Min-max to 0..255, cut off; zeros where all values are equal."""
    return truncated(min_max(output))


def fewest_examples(fps: float) -> int:
    """How many examples a block of sound gives, at least: rates that are resampled may cost a sample per frame."""
    frames = block_frames(fps)
    samples = frames * (int(LOG_MEL_RATE / fps) - 1)
    # A block without a complete example counts as a second of silence.
    return len(
        log_mel_examples(np.zeros(samples if samples >= _LEAST else LOG_MEL_RATE), LOG_MEL_RATE, frames)
    )


def published_packet(examples: int, size: int) -> tuple[list[int], int]:
    """Which of the examples in its buffer the published integration feeds DAVE, and how many frames count as heard."""
    heard = min(size, examples)
    chosen = list(range(max(0, heard - size + 1), min(heard + 1, examples)))
    return chosen[:1] * (size - len(chosen)) + chosen, heard
