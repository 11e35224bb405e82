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
