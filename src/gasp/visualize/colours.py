"""Colours that mean the same in every picture, readable with any kind of colour vision."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

# Okabe & Ito (2008), Color Universal Design: told apart with all common kinds of colour blindness. Ordered so
# that the first ones stand out from the purple-orange heat map.
_PEOPLE: tuple[Colour, ...] = (
    (86, 180, 233),
    (0, 190, 140),
    (240, 228, 66),
    (225, 130, 185),
    (240, 170, 30),
    (70, 130, 230),
    (235, 110, 60),
    (190, 190, 190),
)

# For what is not a person: even in lightness, so that lines are legible on white and on black.
_MODALITIES: tuple[Colour, ...] = (
    (66, 135, 206),
    (214, 80, 95),
    (190, 142, 20),
    (38, 160, 130),
    (155, 110, 205),
    (224, 125, 60),
    (120, 145, 45),
    (196, 95, 160),
)


def person_colour(track_id: int) -> Colour:
    """The colour of a person, in overlays and reports. ``track_id`` counts from 1; colours repeat."""
    return _PEOPLE[(track_id - 1) % len(_PEOPLE)]


def modality_colour(place: int) -> Colour:
    """The colour of the modality at ``place`` (from 0) in the order of the fusion; colours repeat."""
    return _MODALITIES[place % len(_MODALITIES)]


def css(colour: Sequence[int]) -> str:
    """The colour as ``#rrggbb``."""
    return "#" + "".join(f"{part:02x}" for part in colour)


def ink_on(colour: Colour) -> Colour:
    """Near-black or white, whichever is easier to read on ``colour`` (relative luminance of Rec. 709)."""
    luminance = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    return (16, 16, 20) if luminance > 110 else (255, 255, 255)


def heat_colours() -> NDArray[np.uint8]:
    """The heat map's colours for values 0..255, RGB uint8 (256, 3): "inferno", even in lightness."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    bgr = cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(bgr[:, 0, ::-1])
