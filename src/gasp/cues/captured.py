"""The frame itself, as the networks see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gasp.cues.observation import Observation


class Captured:
    """Modality ``captured``: the frame at working size, RGB."""

    name = "captured"

    def step(self, observation: Observation) -> NDArray[np.uint8]:
        """The small picture, uint8 (h, w, 3)."""
        return observation.small
