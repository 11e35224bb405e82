"""A fusion network that corrects the map of one modality.

The packaged network does not draw a saliency map from nothing: its logits are added to the log-probabilities that
the saliency modality holds, so that it starts from what that network knows at full sharpness, and learns by what
factor the other cues (a speaker, a movement) raise or lower each place. Where the modality is absent, a black map,
its log-probabilities are equal everywhere and the network's logits stand alone.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

LEAST = 0.5
"""What a pixel of value 0 is taken for: half a grey level."""


def log_of_map(values: Tensor) -> Tensor:
    """Log-probabilities, up to a constant, of a map 255 * sqrt(p / max p) (:mod:`gasp.cues.image_saliency`)."""
    return 2 * torch.log(values.float().clamp_min(LEAST) / 255)


def correct(drawn: NDArray[np.uint8], logits: Tensor) -> tuple[Tensor, Tensor]:
    """What adds up to corrected logits, at the size of a drawn map, grey (h, w) or RGB (h, w, 3).

    The logits, of any size, enlarged, and the map's log-probabilities: (h, w) both.
    """
    values = torch.from_numpy(drawn if drawn.ndim == 2 else drawn.mean(2)).to(logits.device)
    resized = F.interpolate(logits[None, None], size=values.shape, mode="bilinear", align_corners=False)
    return resized[0, 0], log_of_map(values)
