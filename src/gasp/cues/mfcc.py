"""Mel-frequency cepstral coefficients as Light-ASD hears them.

They are those of the library python_speech_features 0.6 with its defaults (Davis and Mermelstein, 1980; the number of
filters and the lifter follow HTK), written anew.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

RATE = 16000
FFT = 512
FILTERS = 26
COEFFICIENTS = 13
LIFTER = 22
PRE_EMPHASIS = 0.97
WINDOW, HOP = 0.025, 0.010
"""Seconds, at 25 frames per second."""


def mfcc(samples: NDArray[np.number], *, frames_per_second: float = 25.0) -> NDArray[np.float64]:
    """Coefficients of mono sound: four rows per frame of the video.

    Args:
        samples: At 16 kHz, in the range of 16-bit integers (-32768..32767, not -1..1).
        frames_per_second: At another rate than 25 the window (25 ms) and the hop (10 ms) are stretched, so that there
            are four rows per frame, as for the clips that the network learnt from.

    Returns:
        float64 (rows, 13), of which rows 4 t to 4 t + 3 belong to frame t. Row 4 t begins with frame t; the last row is
        filled with zeros. Coefficient 0 is the logarithm of the energy. No sound gives no rows.
    """
    window, hop = window_and_hop(frames_per_second)
    signal = np.asarray(samples, np.float64)
    if not signal.size:
        return np.zeros((0, COEFFICIENTS))
    rows = 1 if signal.size <= window else 1 + math.ceil((signal.size - window) / hop)
    return mfcc_rows(np.append(0.0, signal), rows, window, hop)


def window_and_hop(frames_per_second: float) -> tuple[int, int]:
    """Samples of a row's window, and from one row to the next."""
    scale = 25 / frames_per_second
    return _round(WINDOW * scale * RATE), _round(HOP * scale * RATE)


def mfcc_rows(samples: NDArray[np.number], rows: int, window: int, hop: int) -> NDArray[np.float64]:
    """So many rows of coefficients, (rows, 13).

    Args:
        samples: As for :func:`mfcc`, from the one before the first row's first on; zeros follow them. What lies behind
            the last row is not heard.
        rows: At least 1.
        window: Samples of a row.
        hop: Samples from one row to the next.
    """
    padded = np.zeros((rows - 1) * hop + window)
    signal = np.asarray(samples, np.float64)[: padded.size + 1]
    padded[: max(0, signal.size - 1)] = signal[1:] - PRE_EMPHASIS * signal[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
    energy = _not_zero(power.sum(1))
    bands = np.log(_not_zero(power @ _filters().T))
    coefficients: NDArray[np.float64] = dct(bands, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS] * _lifter()
    coefficients[:, 0] = np.log(energy)
    return coefficients


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def _not_zero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values == 0, np.finfo(np.float64).eps, values)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    """Triangles over the bins of the spectrum, (26, 257), equally spaced in mel from 0 to 8000 Hz; not normalised."""
    highest = 2595 * math.log10(1 + RATE / 2 / 700)
    mel = np.linspace(0, highest, FILTERS + 2)
    corners = np.floor((FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / RATE)
    bins = np.arange(FFT // 2 + 1)
    low, middle, high = (corners[k : k + FILTERS, None] for k in range(3))
    rising = np.where((low <= bins) & (bins < middle), (bins - low) / (middle - low), 0)
    falling = np.where((middle <= bins) & (bins < high), (high - bins) / (high - middle), 0)
    return rising + falling


def _lifter() -> NDArray[np.float64]:
    return 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
