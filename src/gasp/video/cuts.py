"""Where one shot of a film ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Standard deviation in grey levels below which a picture is dark or pale and is judged by its contrast, ...
_LOW_CONTRAST = 45.0
# ... below which there is nothing in it to judge (the beginning and end of a fade), ...
_NO_CONTRAST = 3.0
# ... and which it is given for that, with the mean.
_SPREAD, _MEAN = 55.0, 110.0
# Columns and rows at the edges of small pictures within which the camera may move from one picture to the next.
_ACROSS, _DOWN = 8, 6
# Correlation, at the best place, from which two pictures show one scene.
_SAME_SCENE = 0.67


@dataclass(frozen=True, slots=True)
class _Look:
    """A picture as it is compared: grey float32 (32, 48), and the histogram of hue and saturation."""

    grey: NDArray[np.float32]
    colours: NDArray[np.float32]


class CutDetector:
    """Tells hard cuts between successive pictures.

    A cut changes both the layout (mean absolute difference of small grey pictures) and the colours (correlation of
    hue-saturation histograms) at once; a moving camera changes the first only, a flash mostly the second.
    ``layout`` is in grey levels (0..255), ``colours`` a correlation (1 = equal).

    Differences in dark, pale and low-contrast scenes are small, whatever happens there. Where one of two pictures is of
    that kind, they are also compared after each has been brought to the same mean and contrast. Noise and flicker count
    for more then, so that a cut must show another scene: the middle of the one picture is found nowhere in the other.
    """

    def __init__(self, layout: float = 18.0, colours: float = 0.75) -> None:
        self.layout = layout
        self.colours = colours
        self._previous: tuple[_Look, NDArray[np.float32]] | None = None

    def step(self, image: NDArray[np.uint8]) -> bool:
        """True if a shot begins with this RGB uint8 picture (any size; small is enough). The first one does."""
        tiny = cv2.resize(image, (48, 32), interpolation=cv2.INTER_AREA)
        # Not rounded: a dark picture has few grey levels, its averages have many.
        exact = cv2.resize(image.astype(np.float32), (48, 32), interpolation=cv2.INTER_AREA)
        current = (_look(np.asarray(tiny, np.uint8)), np.asarray(exact, np.float32))
        previous, self._previous = self._previous, current
        if previous is None or self._differ(previous[0], current[0]):
            return True
        if min(previous[0].grey.std(), current[0].grey.std()) >= _LOW_CONTRAST:
            return False
        before, now = _raised(previous[1]), _raised(current[1])
        if before is None or now is None:
            return False
        return self._differ(before, now) and _similarity(before, now) < _SAME_SCENE

    def _differ(self, before: _Look, now: _Look) -> bool:
        difference = float(np.abs(before.grey - now.grey).mean())
        if difference < self.layout:
            return False
        likeness = float(cv2.compareHist(before.colours, now.colours, cv2.HISTCMP_CORREL))
        return difference > 2.5 * self.layout or likeness < self.colours


def _look(tiny: NDArray[np.uint8]) -> _Look:
    grey = cv2.cvtColor(tiny, cv2.COLOR_RGB2GRAY).astype(np.float32)
    histogram = cv2.calcHist([cv2.cvtColor(tiny, cv2.COLOR_RGB2HSV)], [0, 1], None, [12, 8], [0, 180, 0, 256])
    return _Look(grey, cv2.GaussianBlur(histogram, (3, 3), 0).astype(np.float32))


def _raised(tiny: NDArray[np.float32]) -> _Look | None:
    """A small picture at ordinary brightness and contrast; None where it has none of its own."""
    grey = cv2.cvtColor(tiny, cv2.COLOR_RGB2GRAY)
    spread = float(grey.std())
    if spread < _NO_CONTRAST:
        return None
    raised = (tiny - grey.mean()) * (_SPREAD / spread) + _MEAN
    return _look(np.clip(raised, 0, 255).astype(np.uint8))


def _similarity(before: _Look, now: _Look) -> float:
    """Correlation of the middle of one picture with the other where they fit best."""
    middle = np.ascontiguousarray(before.grey[_DOWN:-_DOWN, _ACROSS:-_ACROSS])
    return float(cv2.matchTemplate(now.grey, middle, cv2.TM_CCOEFF_NORMED).max())
