"""The frame itself, as the networks see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gasp.cues.cue import FrameCue
from gasp.cues.observation import Observation


class Captured(FrameCue):
    """Modality ``captured``: the frame, RGB, at working size, or ``full`` as it came.

    The published networks take the frame resized once, straight to their size.
    """

    name = "captured"
    needs_saliency = False

    def __init__(self, *, full: bool = False) -> None:
        self.full = full

    def step(self, observation: Observation) -> NDArray[np.uint8]:
        """The picture, uint8 (h, w, 3)."""
        return observation.frame.image if self.full else observation.small
