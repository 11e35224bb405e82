"""What moves against the rest of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.cues.alignment import move_onto
from gasp.cues.cue import FrameCue, frames_of
from gasp.cues.observation import Observation


class Motion(FrameCue):
    """Modality ``motion``: change between frames beyond that of the camera.

    The previous picture (grey, at the map's size) is moved by the shift of the whole picture (phase correlation). The
    absolute difference beyond 3 grey levels is blurred (2 cells), averaged over 0.2 s, and drawn as
    255 * d / (d + 6), so that 6 grey levels give half brightness. Black at the beginning of a shot.

    ``past``: a mean of at most 252 grey levels is forgotten by a factor of exp(-step / 0.2 s) per frame. The drawn
    value changes by less than half a level once what is left of it is below 0.5 * 6 / (255 - 0.5), since the curve is
    steepest at 0; that takes 2 seconds.
    """

    name = "motion"
    needs_saliency = False
    memory = 0.2
    past = None

    def __init__(self) -> None:
        self._previous: NDArray[np.float32] | None = None
        self._mean: NDArray[np.float32] | None = None

    def begin(self, step: float) -> None:
        """Memories become frames."""
        self.past = frames_of(self.memory * math.log((255 - 3) / (0.5 * 6 / (255 - 0.5))), step)

    def step(self, observation: Observation) -> NDArray[np.uint8]:
        """The map, grey uint8 of shape ``observation.grid``."""
        height, width = observation.grid
        small = cv2.resize(observation.small, (width, height), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        previous, self._previous = self._previous, grey
        if previous is None or self._mean is None or observation.cut or previous.shape != grey.shape:
            self._mean = np.zeros_like(grey)
            return np.zeros(observation.grid, np.uint8)
        steady = move_onto(previous, grey, within=0.25, least_response=0.05)
        change = np.maximum(np.abs(grey - steady) - 3, 0)
        change = cv2.GaussianBlur(change, (0, 0), 2)
        self._mean += np.float32(1 - np.exp(-observation.step / self.memory)) * (change - self._mean)
        return np.rint(255 * self._mean / (self._mean + 6)).astype(np.uint8)
