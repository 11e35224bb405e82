"""Voice activity: whether somebody is heard to speak, and not a tone, a hum, noise, or most music.

Four things hold for speech together, and for hardly any other sound: its loudness rises and falls with the syllables;
its spectrum changes shape with every sound of the language (which the beat of a drum, a hum, rain and applause do not);
parts of it have a pitch; and its energy is spread over more than a few pure tones. The measure needs one second of
sound, and knows nothing of what was before, so that a start in the middle of a recording hears the same.

Long-term changes of the spectrum as a mark of speech: P. K. Ghosh, A. Tsiartas and S. Narayanan, "Robust voice activity
detection using long-term signal variability", 2011. Modulation of loudness: E. Scheirer and M. Slaney, "Construction
and evaluation of a robust multifeature speech/music discriminator", 1997. The measures and thresholds here are our own;
they were chosen on the FindWho videos, voices of eSpeak NG, and computed tones, noises and tunes.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gasp.cues.cue import frames_of

HOP = 0.016
"""Seconds between the short-time spectra."""

SHORTEST = 0.4
"""Seconds of sound below which nothing can be told."""

QUIETEST = -70.0
"""Decibels relative to full scale below which nobody is heard."""

DEEPEST = 40.0
"""Decibels below the loudest moment at which sound counts as a pause."""

BAND_EDGES = (300, 500, 750, 1050, 1400, 1850, 2400, 3100, 4000)
"""Hz: bands of about the width that hearing tells apart."""

TONAL_BAND = (300, 3400)
"""Hz, where energy is spread or concentrated."""

PITCH_LAGS = (1 / 400, 1 / 70)
"""Seconds: a voice repeats itself so often."""

# Where each measure begins to speak for a voice, and where it does so wholly.
SYLLABLES = (1.8, 3.5)
"""Decibels: standard deviation of the loudness over time."""
SOUNDS = (2.1, 3.4)
"""Decibels: standard deviation of each band against the others over time."""
PITCHED = (0.1, 0.3)
"""Share of the window that has a pitch."""
SPREAD = (-34.0, -26.0)
"""Decibels: flatness of the spectrum while there is sound (0: white noise, -60: a pure tone)."""


class VoiceActivity:
    """Voice activity of the last second of a stream of sound.

    How loud a recording is does not count, but for silence (below -70 dB).
    """

    window = 1.0
    """Seconds."""

    def __init__(self, step: float) -> None:
        """``step``: nominal seconds between frames."""
        self._moments: deque[_Moments] = deque(maxlen=frames_of(self.window, step))
        self._before = np.zeros(0, np.float32)

    def step(self, sound: NDArray[np.float32] | None, rate: int) -> float:
        """Voice activity, 0 (nobody) to 1, up to the end of the next frame's mono samples at ``rate`` Hz.

        0.5, which tells nothing, without sound (None) and before 0.4 s of it have been heard.
        """
        if sound is None:
            self._moments.clear()
            self._before = np.zeros(0, np.float32)
            return 0.5
        # Damaged sound may hold values that are not numbers: nobody is heard in them.
        sound = np.nan_to_num(sound[-round(self.window * rate) :], nan=0.0, posinf=0.0, neginf=0.0)
        analysis = _analysis(rate)
        self._moments.append(_listen(self._before, sound, analysis))
        self._before = np.concatenate([self._before, sound])[-analysis.window.size :]
        heard = _Moments(*(np.concatenate(parts) for parts in zip(*self._moments, strict=True)))
        if len(heard.bands) < SHORTEST / HOP:
            return 0.5
        return _activity(heard)


class _Moments(NamedTuple):
    """What is heard at successive times, 16 ms apart.

    ``bands``: times x bands, power. ``flatness``: in decibels. ``pitched``: whether there is a pitch.
    """

    bands: NDArray[np.float64]
    flatness: NDArray[np.float64]
    pitched: NDArray[np.bool_]


def _activity(heard: _Moments) -> float:
    """The product of the four measures, each from 0 to 1."""
    bands, loudness = _decibels(heard.bands), _decibels(heard.bands.sum(1))
    loudest = loudness.max()
    if loudest < QUIETEST:
        return 0.0
    sounding = loudness > loudest - 25
    bands = np.maximum(bands, bands.max() - DEEPEST)
    against_others = bands - bands.mean(1, keepdims=True)
    return (
        _between(np.maximum(loudness, loudest - DEEPEST).std(), SYLLABLES)
        * _between(np.sqrt(against_others.var(0).mean()), SOUNDS)
        * _between((sounding & heard.pitched).mean(), PITCHED)
        * _between(heard.flatness[sounding].mean(), SPREAD)
    )


class _Analysis(NamedTuple):
    """What the short-time spectra of one sample rate need.

    ``window``: of 32 ms. ``hop``: samples from one to the next, about. ``bands``: frequencies x bands, 0 or 1.
    ``tonal``: the frequencies of the tonal band. ``lags``: samples, of a pitch. ``own``: how much of itself the window
    keeps at these lags.
    """

    window: NDArray[np.float64]
    hop: int
    bands: NDArray[np.float64]
    tonal: NDArray[np.bool_]
    lags: slice
    own: NDArray[np.float64]


@lru_cache(maxsize=8)
def _analysis(rate: int) -> _Analysis:
    size = max(64, round(0.032 * rate))
    window = np.hanning(size)
    frequency = np.fft.rfftfreq(size, 1 / rate)
    bands = np.stack([(frequency >= low) & (frequency < high) for low, high in pairwise(BAND_EDGES)], 1)
    lags = slice(max(1, round(PITCH_LAGS[0] * rate)), min(size // 2, round(PITCH_LAGS[1] * rate)))
    correlation = np.fft.irfft(np.abs(np.fft.rfft(window)) ** 2, size)
    own = np.maximum(correlation[lags] / correlation[0], 0.1)
    tonal = (frequency >= TONAL_BAND[0]) & (frequency <= TONAL_BAND[1])
    hop = max(1, round(HOP * rate))
    return _Analysis(window, hop, bands.astype(np.float64), tonal, lags, own)


def _listen(before: NDArray[np.float32], sound: NDArray[np.float32], analysis: _Analysis) -> _Moments:
    """Short-time spectra that end within ``sound``; the first reach back into what was ``before``.

    They lie evenly in the sound of one frame, so that they are the same wherever the work begins.
    """
    size = analysis.window.size
    together = np.concatenate([before, sound]).astype(np.float64)
    count = max(1, round(sound.size / analysis.hop)) if sound.size else 0
    ends = before.size + np.rint(sound.size * np.arange(1, count + 1) / max(count, 1)).astype(np.int64)
    ends = ends[ends >= size]
    windows = together[ends[:, None] - size + np.arange(size)] * analysis.window
    # A full-scale sine has a power of 1 at its frequency.
    power = np.abs(np.fft.rfft(windows)) ** 2 * (4 / size**2)
    return _Moments(power @ analysis.bands, _flatness(power[:, analysis.tonal]), _pitched(power, analysis))


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    decibels: NDArray[np.float64] = 10 * np.log10(power + 1e-10)
    return decibels


def _flatness(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Geometric over arithmetic mean along frequencies, in decibels."""
    safe = power + 1e-12
    flatness: NDArray[np.float64] = 10 * (np.log10(safe).mean(1) - np.log10(safe.mean(1)))
    return flatness


def _pitched(power: NDArray[np.float64], analysis: _Analysis) -> NDArray[np.bool_]:
    """At which times the sound repeats itself as often as a voice does: peaks of the autocorrelation."""
    correlation = np.fft.irfft(power, analysis.window.size)
    peaks = (correlation[:, analysis.lags] / (analysis.own * (correlation[:, :1] + 1e-12))).max(1)
    pitched: NDArray[np.bool_] = peaks > 0.55
    return pitched


def _between(value: float | np.floating, limits: tuple[float, float]) -> float:
    low, high = limits
    return float(np.clip((value - low) / (high - low), 0, 1))
