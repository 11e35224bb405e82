"""Sound for windows of frames: excerpts as the networks were trained on, or blocks as the integration of 2021 read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gasp.cues.audio_features import (
    WAVEFORM_RATE,
    HeardSound,
    centred_excerpt,
    excerpt_bounds,
    windowed_waveform,
)
from gasp.cues.observation import Observation

SOUND_RATES = {"corrected": 44100, "published": WAVEFORM_RATE}
"""Samples per second that a cue asks for if SoundNet-8 listens: the files' own rates are about as high."""

LONGEST_BLOCK = 120
"""Frames of a block at most."""


class BlockSound:
    """Features of the sound in blocks of F frames, F the integer part of the frame rate; the newest F are kept.

    A block begins with the sound of its first frame and holds F chunks of floor(rate / fps) samples. ``features``
    turns it, shape (F, chunk), into entries (n, ...); where there are none the entries of a second of silence stand.
    Of an incomplete block at the end, which cannot be cut into F chunks, nothing is read.

    Frames, blocks and samples are counted from the beginning of the video. ``first``: the frame with which ``heard``
    begins; a block that it does not hold from its beginning is not read.
    """

    def __init__(
        self,
        heard: HeardSound,
        fps: float,
        features: Callable[[NDArray[np.float32], int], NDArray[np.floating]],
        first: int = 0,
    ) -> None:
        self._heard, self._fps, self._features = heard, fps, features
        self.frames = block_frames(fps)
        self._entries: NDArray[np.floating] | None = None
        self._read = -(-first // self.frames)

    def last_frame(self, k: int) -> int:
        """The frame whose sound completes what frame ``k`` hears."""
        return (k // self.frames + 1) * self.frames - 1

    def at(self, k: int) -> tuple[int, NDArray[np.floating] | None]:
        """The number of the block that frame ``k`` hears, and the kept entries (n, ...), if any.

        Frames must be asked for in order.
        """
        while self._read * self.frames <= k:
            self._read_block(self._read * self.frames)
            self._read += 1
        return self._read - 1, self._entries

    def _read_block(self, first: int) -> None:
        rate = self._heard.rate
        start = int(first * rate / self._fps)
        chunk = int(rate / self._fps)
        samples = self._heard.cut(start, start + self.frames * chunk)
        if not len(samples) or len(samples) % self.frames:
            return
        entries = self._features(samples.reshape(self.frames, -1), rate)
        if not entries.size:
            entries = self._features(np.zeros((1, rate), np.float32), rate)
        if self._entries is not None and len(entries) < self.frames:
            entries = np.concatenate([self._entries, entries])
        self._entries = entries[-self.frames :]


def block_memory(fps: float, entries: int) -> int:
    """Frames before its own from which a frame must hear for its entries to be right.

    They fill as many blocks of ``entries`` entries as give one per frame of a block, and one more: a frame at the end
    of the video, whose own block is incomplete, hears those before.
    """
    frames = block_frames(fps)
    return (-(-frames // entries) + 1) * frames


def block_frames(fps: float) -> int:
    """Frames of a block: about a second."""
    return min(max(1, int(fps + 1e-6)), LONGEST_BLOCK)


class Waveforms:
    """The waveforms that SoundNet-8 hears with windows of frames.

    "corrected": the original rule, the excerpt from the window's first to its last frame
    (:func:`~gasp.cues.audio_features.centred_excerpt`) of ``length`` samples. "published": the chunks of the newest
    block, each resampled to 48 kHz and windowed on its own, about 48000 samples and some 2^-31 of the original scale.

    Windows are those of frames counted from the first that was added.
    """

    def __init__(self, mode: str, length: int, frames: int, fps: float | None) -> None:
        self._published = mode == "published"
        self._length, self._frames, self._fps = length, frames, fps
        self._first = 0
        self._heard: HeardSound | None = None
        self._blocks: BlockSound | None = None
        self._times: dict[int, float] = {}
        self._count = 0

    def begin(self, step: float) -> tuple[int, int]:
        """Frames between which are ``step`` seconds: how many earlier and later ones a frame's waveform hears beyond
        those of its window.
        """
        self._fps = self._fps or 1 / step
        if not self._published:
            return 1, 0  # half of the time between frames before the window's first
        frames = block_frames(self._fps)
        return block_memory(self._fps, frames), frames - 1

    def add(self, observation: Observation) -> None:
        """Takes the sound of the next frame; a video whose first frame has none has no sound."""
        if not self._count:
            self._first = observation.number
        if not self._count and observation.sound is not None:
            self._fps = self._fps or 1 / observation.step
            keep = 10 + 2 * self._frames / self._fps
            self._heard = HeardSound(observation.sound_rate, keep, observation.start)
            if self._published:
                self._blocks = BlockSound(self._heard, self._fps, windowed_waveform, self._first)
        if self._heard is not None:
            self._heard.add(observation.sound, observation.frame.time)
            self._times[self._count] = self._heard.seconds(observation.frame.time)
            self._times.pop(self._count - 4 * self._frames - LONGEST_BLOCK, None)
        self._count += 1

    def needs(self, k: int) -> int:
        """The last frame whose sound frame ``k`` hears through a block."""
        return self._blocks.last_frame(self._first + k) - self._first if self._blocks else k

    def of(self, k: int, window: list[int]) -> NDArray[np.float32] | None:
        """What is heard with the window of frame ``k``, oldest sample first; None without sound."""
        if self._heard is None or self._fps is None:
            return None
        if self._blocks is not None:
            _, rows = self._blocks.at(self._first + k)
            return None if rows is None else fill_up(rows.astype(np.float32).ravel(), WAVEFORM_RATE)
        first, last = self._times[min(window)], self._times[max(window)]
        start, end = excerpt_bounds(first, last, 1 / self._fps, self._heard.rate)
        excerpt = centred_excerpt(self._heard.cut(start, end + 1), self._length)
        return excerpt[::-1].copy() if window[0] > window[-1] else excerpt


def fill_up(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Samples followed by as many zeros as make up ``length``; the last block of a video may be short."""
    return np.pad(samples, (0, max(0, length - len(samples))))
