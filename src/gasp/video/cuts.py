"""Where one shot of a film ends and the next begins."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


class CutDetector:
    """Tells hard cuts between successive pictures.

    A cut changes both the layout (mean absolute difference of small grey pictures) and the colours (correlation of
    hue-saturation histograms) at once; a moving camera changes the first only, a flash mostly the second.
    ``layout`` is in grey levels (0..255), ``colours`` a correlation (1 = equal).
    """

    def __init__(self, layout: float = 18.0, colours: float = 0.75) -> None:
        self.layout = layout
        self.colours = colours
        self._previous: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def step(self, image: NDArray[np.uint8]) -> bool:
        """True if a shot begins with this RGB uint8 picture (any size; small is enough). The first one does."""
        tiny = cv2.resize(image, (48, 32), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(tiny, cv2.COLOR_RGB2GRAY).astype(np.float32)
        histogram = cv2.calcHist(
            [cv2.cvtColor(tiny, cv2.COLOR_RGB2HSV)], [0, 1], None, [12, 8], [0, 180, 0, 256]
        )
        current = (grey, cv2.GaussianBlur(histogram, (3, 3), 0).astype(np.float32))
        previous, self._previous = self._previous, current
        if previous is None:
            return True
        difference = float(np.abs(previous[0] - current[0]).mean())
        if difference < self.layout:
            return False
        likeness = float(cv2.compareHist(previous[1], current[1], cv2.HISTCMP_CORREL))
        return difference > 2.5 * self.layout or likeness < self.colours
