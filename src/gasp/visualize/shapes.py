"""Text and rounded shapes drawn into RGB uint8 pictures, in place."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.visualize.colours import Colour

Picture = NDArray[np.uint8]
"""RGB, uint8, shape (H, W, 3)."""


@cache
def _font() -> Any:
    return cv2.FontFace("sans")  # comes with OpenCV; loading it takes half a second


def text_width(text: str, size: int, weight: int = 400) -> int:
    """Width of one line in pixels; ``size`` is the font's height in pixels."""
    return int(cv2.getTextSize((1, 1), text, (0, 0), _font(), size, weight)[2])


def draw_text(
    image: Picture, text: str, left: int, middle: int, size: int, colour: Colour, weight: int = 400
) -> None:
    """One line beginning at ``left``, centred on the row ``middle``; what lies outside is cut off."""
    cv2.putText(image, text, (left, middle + round(0.35 * size)), colour, _font(), size, weight)


def fit_text(text: str, width: int, size: int, weight: int = 400) -> str:
    """The text, shortened with an ellipsis where it is wider than ``width`` pixels."""
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(text + "…", size, weight) > width:
        text = text[:-1]
    return text + "…" if text else ""


def rounded_rectangle(
    image: Picture, x1: int, y1: int, x2: int, y2: int, radius: int, colour: Colour, thickness: int
) -> None:
    """The outline of a rectangle with round corners; (x2, y2) belongs to it."""
    radius = max(0, min(radius, (x2 - x1) // 2, (y2 - y1) // 2))
    for start, end in (
        ((x1 + radius, y1), (x2 - radius, y1)),
        ((x1 + radius, y2), (x2 - radius, y2)),
        ((x1, y1 + radius), (x1, y2 - radius)),
        ((x2, y1 + radius), (x2, y2 - radius)),
    ):
        cv2.line(image, start, end, colour, thickness, cv2.LINE_AA)
    for centre, angle in (
        ((x1 + radius, y1 + radius), 180),
        ((x2 - radius, y1 + radius), 270),
        ((x2 - radius, y2 - radius), 0),
        ((x1 + radius, y2 - radius), 90),
    ):
        cv2.ellipse(image, centre, (radius, radius), angle, 0, 90, colour, thickness, cv2.LINE_AA)


def filled_rounded_rectangle(
    image: Picture, x1: int, y1: int, x2: int, y2: int, radius: int, colour: Colour
) -> None:
    """A filled rectangle with round corners; (x2, y2) belongs to it."""
    radius = max(0, min(radius, (x2 - x1) // 2, (y2 - y1) // 2))
    cv2.rectangle(image, (x1 + radius, y1), (x2 - radius, y2), colour, cv2.FILLED)
    cv2.rectangle(image, (x1, y1 + radius), (x2, y2 - radius), colour, cv2.FILLED)
    for x in (x1 + radius, x2 - radius):
        for y in (y1 + radius, y2 - radius):
            cv2.circle(image, (x, y), radius, colour, cv2.FILLED, cv2.LINE_AA)


def darken(image: Picture, x1: int, y1: int, x2: int, y2: int, keep: float) -> None:
    """Multiply a region by ``keep`` (0..1); (x2, y2) is exclusive."""
    region = image[max(0, y1) : y2, max(0, x1) : x2]
    if region.size:
        region[:] = cv2.convertScaleAbs(region, alpha=keep)
