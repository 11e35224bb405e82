"""What cues are told, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.cues.observation import Observation
from gasp.faces.face import Box, Face
from gasp.video.frames import Frame

RATE = 16000


def observe(
    image: NDArray[np.uint8], faces: Sequence[Face] = (), *, cell: int = 1, **values: Any
) -> Observation:
    """One frame with maps of one cell per ``cell`` x ``cell`` pixels."""
    grid = (max(1, image.shape[0] // cell), max(1, image.shape[1] // cell))
    return Observation(frame=Frame(0, 0.0, image), small=image, grid=grid, faces=list(faces), **values)


def face(box: Sequence[float], track_id: int = 1, score: float = 0.9) -> Face:
    """A tracked face."""
    return Face(track_id, Box(*box), score)


def texture(height: int, width: int, seed: int = 0, smooth: float = 2.0) -> NDArray[np.uint8]:
    """A random pattern without repetition, RGB uint8."""
    noise = np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), smooth)
    grey = np.clip(128 + 45 * blurred / (blurred.std() + 1e-6), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


def tone(seconds: float, frequency: float = 1000.0, amplitude: float = 0.3) -> NDArray[np.float32]:
    """A sine at 16 kHz."""
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(
        np.float32
    )


def speech(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """A babble of syllables at 16 kHz: a hiss, then a vowel of a gliding voice, and a short rest after each."""
    rng = np.random.default_rng(seed)
    vowels = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
    parts = []
    while sum(part.size for part in parts) < seconds * RATE:
        hiss = 0.03 * np.diff(rng.standard_normal(round(RATE * rng.uniform(0.03, 0.07))))
        time = np.arange(round(RATE * rng.uniform(0.1, 0.2))) / RATE
        pitch = rng.uniform(110, 170) * (1 + rng.uniform(-0.2, 0.2) * time / time[-1])
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        formants = vowels[rng.integers(len(vowels))]
        vowel = np.zeros(time.size)
        for harmonic in range(1, 24):
            at = harmonic * pitch.mean()
            strength = sum(
                np.exp(-(((at - f) / (60 + f / 12)) ** 2)) / (k + 1) for k, f in enumerate(formants)
            )
            vowel += (strength + 0.02) * np.sin(harmonic * phase)
        vowel *= 0.2 * np.sqrt(np.abs(np.sin(np.pi * time / time[-1])))
        parts += [hiss, vowel, np.zeros(round(RATE * rng.uniform(0.02, 0.06)))]
    sound = np.concatenate(parts)[: round(seconds * RATE)]
    return (sound + 1e-4 * rng.standard_normal(sound.size)).astype(np.float32)
