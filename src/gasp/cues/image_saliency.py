"""Where people look in the still picture, from the packaged saliency network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gasp.cues.cue import FrameCue
from gasp.cues.observation import Observation
from gasp.errors import UsageError


class GlanceSaliency(FrameCue):
    """Modality ``glance``: 255 * sqrt(p / max p), p the probability of a fixation per cell.

    The root keeps weaker places apart in eight bits.
    """

    name = "glance"

    def step(self, observation: Observation) -> NDArray[np.uint8]:
        """The map, grey uint8 of shape ``observation.grid``."""
        if observation.log_saliency is None:
            raise UsageError("the cue 'glance' needs the network of the same name, which was not run")
        return draw_saliency(observation.log_saliency)


def draw_saliency(log_saliency: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The formula of the modality: log-probabilities (h, w) to grey uint8 (h, w)."""
    return np.rint(255 * np.exp(0.5 * (log_saliency - log_saliency.max()))).astype(np.uint8)
