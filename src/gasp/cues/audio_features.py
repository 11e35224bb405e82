"""Sound as the published networks hear it: log-mel examples and windowed waveforms, piece by piece or at once.

Sources: the resampler is that of resampy 0.2.2 (filter ``kaiser_best``; Smith's algorithm), log-mel examples follow
VGGish (Hershey et al., ICASSP 2017), waveform excerpts follow STAViS (Tsiami et al., CVPR 2020).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]

LOG_MEL_RATE = 16000
FRAME, HOP, FFT = 400, 160, 512
"""Samples of a spectrogram's frame (25 ms), between frames (10 ms), and of the transform."""
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0
"""Mel bands and the frequencies in Hz between which they lie."""
EXAMPLE = 64
"""Frames of a spectrogram in one example (0.64 s)."""
LOG_OFFSET = 0.01

WAVEFORM_RATE = 48000
PUBLISHED_GAIN = 2.0**-23
ORIGINAL_GAIN = 256.0
"""32-bit integer samples times 2^-23, which the networks were trained on, are samples in -1..1 times 256."""

_CROSSINGS, _STEPS = 64, 512
_ROLLOFF, _BETA = 0.9475937167399596, 14.769656459379492
_BLOCK = 2048


@lru_cache(maxsize=1)
def _half_filter() -> Floats:
    """The resampler's low-pass filter from its middle on: 64 zero crossings of 512 values, and the end."""
    size = _CROSSINGS * _STEPS
    kaiser = np.kaiser(2 * size + 1, _BETA)[size:]
    half: Floats = _ROLLOFF * np.sinc(_ROLLOFF * np.arange(size + 1) / _STEPS) * kaiser
    return half


class Resampler:
    """Resamples a signal that comes piece by piece, exactly as resampy 0.2.2 (``kaiser_best``) does at once.

    What :meth:`push` and then :meth:`finish` return is, joined, the resampled signal, floor(n * new / old) samples
    for n. Signals may have leading axes (rows that are resampled on their own). Float64.

    ``steady``: places are counted in whole numbers, without the rounding of the original, so that a stream that begins
    later by a whole number of periods gives the same values.
    """

    def __init__(self, old: int, new: int, *, steady: bool = False) -> None:
        self._old, self._new, self._steady = old, new, steady
        self._ratio = new / old
        scale = min(1.0, self._ratio)
        self._scale = scale
        self._table = _half_filter() * scale
        self._slope = np.append(np.diff(self._table), 0.0)
        self._stride = int(scale * _STEPS)
        self._reach = len(self._table) // self._stride + 1  # samples that an output sees on each side
        self._buffer: Floats | None = None
        self._first = -self._reach  # place of the buffer's first sample
        self._position = 0.0  # of the next output, in samples of the input
        self._given = 0

    def push(self, samples: NDArray[np.floating]) -> Floats:
        """The resampled signal as far as it is complete with these samples (..., n)."""
        self._append(samples)
        assert self._buffer is not None
        return self._run(self._first + self._buffer.shape[-1] - self._reach)

    def finish(self) -> Floats:
        """The rest; behind its end the signal counts as zero."""
        if self._buffer is None:
            return np.zeros(0)
        total = self._first + self._buffer.shape[-1]
        self._append(np.zeros((*self._buffer.shape[:-1], self._reach + 1)))
        rest = self._run(total + 1)
        return rest[..., : int(total * self._ratio) - (self._given - rest.shape[-1])]

    def _append(self, samples: NDArray[np.floating]) -> None:
        if self._buffer is None:
            self._buffer = np.zeros((*samples.shape[:-1], self._reach))
        self._buffer = np.concatenate([self._buffer, samples], -1)

    def _run(self, stop: int) -> Floats:
        """The next outputs whose position is below ``stop``."""
        assert self._buffer is not None
        count = max(0, int((stop - self._position) * self._ratio) + 2)
        whole, within = self._places(count)
        ready = int(np.searchsorted(whole, stop, side="left"))
        self._position = float(whole[ready] + within[ready]) if ready <= count else self._position
        self._given += ready
        blocks = [
            self._outputs(whole[i : min(i + _BLOCK, ready)], within[i : min(i + _BLOCK, ready)])
            for i in range(0, ready, _BLOCK)
        ]
        outputs = np.concatenate([np.zeros((*self._buffer.shape[:-1], 0)), *blocks], -1)
        needless = int(self._position) - self._reach - self._first
        if needless > 0:
            self._buffer = self._buffer[..., needless:]
            self._first += needless
        return outputs

    def _places(self, count: int) -> tuple[NDArray[np.int64], Floats]:
        """Whole and fractional part of the next ``count`` + 1 outputs' positions, in samples of the input."""
        if self._steady:
            whole, rest = np.divmod(
                (self._given + np.arange(count + 1, dtype=np.int64)) * self._old, self._new
            )
            return whole, rest / self._new
        # Positions are added up one by one, with the rounding that this brings, as in the original.
        positions = np.cumsum(np.append(self._position, np.full(count, 1 / self._ratio)))
        whole = positions.astype(np.int64)
        return whole, positions - whole

    def _outputs(self, whole: NDArray[np.int64], within: Floats) -> Floats:
        assert self._buffer is not None
        fraction = self._scale * within
        taps = np.arange(self._reach)
        place = whole[:, None] - self._first
        left = np.einsum("...mt,mt->...m", self._buffer[..., place - taps], self._weights(fraction))
        right_weights = self._weights(self._scale - fraction)
        right = np.einsum("...mt,mt->...m", self._buffer[..., place + 1 + taps], right_weights)
        return np.asarray(left + right)

    def _weights(self, distance: Floats) -> Floats:
        """The filter at ``distance`` (m,) zero crossings from its middle and in steps of the input from there."""
        exact = distance * _STEPS
        offset = exact.astype(np.int64)
        taps = np.arange(self._reach)
        within = taps < (len(self._table) - offset[:, None]) // self._stride
        index = np.where(within, offset[:, None] + taps * self._stride, 0)
        weights = self._table[index] + (exact - offset)[:, None] * self._slope[index]
        return np.asarray(np.where(within, weights, 0.0))


def resample(samples: NDArray[np.floating], old: int, new: int) -> Floats:
    """Signals (..., n) at rate ``old`` to (..., floor(n * new / old)) at rate ``new``; also filters when equal."""
    resampler = Resampler(old, new)
    return np.concatenate([resampler.push(samples), resampler.finish()], -1)


@lru_cache(maxsize=1)
def mel_matrix() -> Floats:
    """Weights (257, 64) of the spectrum's bins in the mel bands; slopes are linear in mel, bin 0 counts nowhere."""
    bins = _mel(np.linspace(0, LOG_MEL_RATE / 2, FFT // 2 + 1))[:, None]
    edges = np.linspace(_mel(np.asarray(LOWEST)), _mel(np.asarray(HIGHEST)), BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return np.asarray(weights)


def _mel(hertz: Floats) -> Floats:
    return np.asarray(1127.0 * np.log(1.0 + hertz / 700.0))


def periodic_hann(size: int) -> Floats:
    """A Hann window (size,) whose next value would be its first."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))


def log_mel_spectrogram(samples: NDArray[np.floating]) -> Floats:
    """Sound (n,) at 16 kHz to (1 + floor((n - 400) / 160), 64): only complete frames."""
    if len(samples) < FRAME:
        return np.zeros((0, BANDS))
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float64), FRAME)[::HOP]
    magnitudes = np.abs(np.fft.rfft(frames * periodic_hann(FRAME), FFT))
    return np.asarray(np.log(magnitudes @ mel_matrix() + LOG_OFFSET))


def log_mel_examples(samples: NDArray[np.floating], rate: int, fps: int) -> Samples:
    """Examples (count, 64, 64) of 64 successive frames x 64 bands, round(100 / fps) frames (10 ms) apart.

    Sound (n,) of another ``rate`` than 16 kHz is resampled. Only complete examples: 9 for a second at 25 frames per
    second.
    """
    if rate != LOG_MEL_RATE:
        samples = resample(samples, rate, LOG_MEL_RATE)
    spectrogram = log_mel_spectrogram(samples)
    if len(spectrogram) < EXAMPLE:
        return np.zeros((0, EXAMPLE, BANDS), np.float32)
    examples = np.lib.stride_tricks.sliding_window_view(spectrogram, EXAMPLE, 0)[:: max(1, round(100 / fps))]
    return np.ascontiguousarray(examples.transpose(0, 2, 1), np.float32)


class LogMelStream:
    """Log-mel examples that end with the sound heard so far, every frame of the spectrogram computed once.

    The spectrogram lies on a grid of 10 ms (or the next multiple of it that is a whole number of samples) from the
    beginning of the video; before the first sample there is silence. ``start``: place of the first sample since the
    beginning of the video; what comes before the next line of the grid is left out.
    """

    def __init__(self, rate: int, start: int = 0) -> None:
        self._resampler = None if rate == LOG_MEL_RATE else Resampler(rate, LOG_MEL_RATE, steady=True)
        self._surplus = -start % (rate // math.gcd(rate, 100))
        self._rest: NDArray[np.floating] = np.zeros(0)
        self._rows = np.full((EXAMPLE, BANDS), np.log(LOG_OFFSET), np.float32)

    def push(self, samples: Samples) -> Samples:
        """The example (64, 64) of the last 64 complete frames of 25 ms after these samples (n,)."""
        skipped = min(self._surplus, len(samples))
        self._surplus -= skipped
        samples = samples[skipped:]
        new = samples if self._resampler is None else self._resampler.push(samples)
        sound = np.concatenate([self._rest, new])
        rows = log_mel_spectrogram(sound)
        self._rest = sound[len(rows) * HOP :]
        self._rows = np.concatenate([self._rows, rows.astype(np.float32)])[-EXAMPLE:]
        return self._rows


def windowed_waveform(rows: NDArray[np.floating], rate: int) -> Floats:
    """Pieces of sound (rows, n) to (rows, floor(48000 n / rate)), each on its own: the published integration's rule.

    Each row is resampled to 48 kHz, multiplied by 2^-23 and by a symmetric Hann window of its length.
    """
    resampled = resample(rows, rate, WAVEFORM_RATE)
    return np.asarray(resampled * PUBLISHED_GAIN * np.hanning(resampled.shape[-1]))


def excerpt_bounds(first: float, last: float, step: float, rate: int) -> tuple[int, int]:
    """Samples (start, end), the end included, that belong to the frames between two times: the original rule.

    ``first`` and ``last`` are seconds since the first frame, ``step`` is the time between frames; half of it is
    added on both sides. The end may lie behind the last sample.
    """
    half = step * rate / 2
    return int(max(0.0, first * rate - half)), int(abs(last * rate + half))


def centred_excerpt(samples: NDArray[np.floating], length: int) -> Samples:
    """A piece of sound (v,) in -1..1 as the original networks take it: (length,), on their scale.

    Times 256 and a symmetric Hann window, in the middle of zeros. Of a longer piece the middle is kept.
    """
    surplus = max(0, len(samples) - length)
    samples = samples[surplus // 2 : len(samples) - (surplus - surplus // 2)]
    excerpt = np.zeros(length, np.float32)
    start = length // 2 - len(samples) // 2
    excerpt[start : start + len(samples)] = samples * ORIGINAL_GAIN * np.hanning(len(samples))
    return excerpt


LOG_MEL_MEMORY = 0.7
"""Seconds of sound before the end of an example on which it depends at most: 0.655 of its frames, 0.01 of the next one,
0.01 to the grid, and what the resampler sees."""


class HeardSound:
    """The sound of the frames so far as one stretch on their clock, of which the newest part is kept.

    Pieces of sound are rounded to whole samples, so that they may leave gaps or overlap by one: a gap holds the last
    value, of an overlap the first piece counts. Values that are not numbers are silence. Samples are counted from
    ``origin``, the time of the video's first frame (None: of the first frame that comes).
    """

    def __init__(self, rate: int, keep: float, origin: float | None = None) -> None:
        self.rate = rate
        self._keep = round(keep * rate)
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        self._origin = origin
        self._begun = False

    @property
    def end(self) -> int:
        """Samples so far, since the origin."""
        return self._first + len(self._samples)

    def add(self, samples: Samples | None, time: float) -> Samples:
        """Takes the sound of the frame at ``time`` (None: nothing is known); returns what it adds to the stretch."""
        self._origin = time if self._origin is None else self._origin
        piece = np.zeros(0, np.float32) if samples is None else np.nan_to_num(samples, posinf=0, neginf=0)
        place = round((time - self._origin) * self.rate)
        if not self._begun:
            self._begun, self._first = True, place
        gap = place - self.end
        held = self._samples[-1] if len(self._samples) else np.float32(0)
        # A clock that jumps far ahead must not fill the memory with the silence between. Whole seconds are left out,
        # so that what counts samples stays on its grid.
        left_out = max(0, gap - self._keep) // self.rate * self.rate
        added = np.concatenate([np.full(max(gap - left_out, 0), held, np.float32), piece[max(-gap, 0) :]])
        self._first += left_out
        self._samples = np.concatenate([self._samples, added])
        surplus = max(0, len(self._samples) - self._keep)
        self._samples = self._samples[surplus:]
        self._first += surplus
        return added

    def seconds(self, time: float) -> float:
        """Seconds since the origin."""
        return time - (self._origin or 0.0)

    def cut(self, start: int, stop: int) -> Samples:
        """Samples ``start`` to ``stop`` (excluded), as far as they are there."""
        return self._samples[max(0, start - self._first) : max(0, stop - self._first)]
