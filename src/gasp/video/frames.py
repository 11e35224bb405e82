"""One picture of a video, and when it is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded picture.

    ``index`` counts decoded frames from 0. ``time`` is in seconds on the container's clock (a video whose
    first picture comes late starts with a time above 0; still images have ``index / fps``).
    ``image`` is RGB, uint8, shape (H, W, 3), upright (rotation metadata already applied), C-contiguous.
    """

    index: int
    time: float
    image: NDArray[np.uint8]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])
