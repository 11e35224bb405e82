"""The frame with what was predicted for it drawn on top."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.faces.face import Box, Face
from gasp.pipeline.prediction import Focus, Prediction
from gasp.visualize.colours import heat_colours, ink_on, modality_colour, person_colour
from gasp.visualize.shapes import (
    Picture,
    darken,
    draw_text,
    filled_rounded_rectangle,
    rounded_rectangle,
    text_width,
)

_DARK = (12, 12, 16)
_WHITE = (255, 255, 255)
_SOFT = (176, 178, 186)
# The heat map is smooth: this many columns before the last, linear enlargement cannot be told from more.
_HEAT_COLUMNS = 320


Legend = Literal["why", "gates", "none"]


@dataclass(frozen=True, slots=True)
class OverlayStyle:
    """What is drawn, and how strongly.

    ``alpha``: opacity of the heat map where saliency is 1 (0..1). ``faces``: boxes with the person's number.
    ``focus``: a ring around the most salient point. ``legend``: what bars in the lower left corner show: the
    contributions of the cues, the gates of the modalities, or nothing.
    """

    alpha: float = 0.56
    faces: bool = True
    focus: bool = True
    legend: Legend = "why"


def draw_overlay(prediction: Prediction, style: OverlayStyle | None = None) -> Picture:
    """The source frame with heat map, faces, focus and legend: a new RGB uint8 picture (H, W, 3).

    Lines and letters grow with the picture, so that all sizes look alike.
    """
    style = style or OverlayStyle()
    picture = blend_heat(prediction.image, prediction.saliency, style.alpha)
    unit = _unit(picture)
    if style.faces:
        for face in prediction.faces:
            _draw_box(picture, face, unit)
        for face in prediction.faces:
            _draw_label(picture, face, unit)
    if style.focus and prediction.focus.value > 0:
        _draw_focus(picture, prediction.focus, unit)
    if style.legend == "gates" and prediction.gates:
        texts = [f"{gate:.2f}" for gate in prediction.gates.values()]
        _draw_bars(picture, "gates", prediction.gates, texts, unit)
    elif style.legend == "why" and (why := prediction.why):
        _draw_bars(picture, "contributions", why, [f"{100 * share:.0f} %" for share in why.values()], unit)
    return picture


def shrink_prediction(prediction: Prediction, width: int, height: int | None = None) -> Prediction:
    """The same prediction for a picture of another size, so that what is drawn on it stays crisp.

    Without ``height`` the picture keeps its shape and is never enlarged.
    """
    rows, columns = prediction.image.shape[:2]
    if height is None:
        width = min(width, columns)
        height = max(1, round(rows * width / columns))
    across, down = width / columns, height / rows
    faces = [
        replace(
            face, box=Box(*(side * scale for side, scale in zip(face.box, (across, down) * 2, strict=True)))
        )
        for face in prediction.faces
    ]
    focus = Focus(prediction.focus.x * across, prediction.focus.y * down, prediction.focus.value)
    image = cv2.resize(prediction.image, (width, height), interpolation=cv2.INTER_AREA)
    return replace(prediction, image=np.asarray(image, np.uint8), faces=faces, focus=focus)


def blend_heat(image: Picture, saliency: NDArray[np.float32], alpha: float = 0.56) -> Picture:
    """Lay a saliency map (h, w) in 0..1 over an RGB picture (H, W, 3): a new picture.

    Opacity rises with saliency, from nothing below 0.04 to ``alpha`` at 1: the picture stays readable.
    """
    height, width = image.shape[:2]
    shrink = max(1.0, width / _HEAT_COLUMNS)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    smooth = cv2.resize(saliency, size, interpolation=cv2.INTER_CUBIC)
    levels = cv2.convertScaleAbs(np.maximum(smooth, 0), alpha=255)
    colour, rest = _heat_tables(alpha)
    levels = cv2.merge([levels, levels, levels])
    # picture * (1 - opacity) + colour * opacity, both factors looked up in the small map.
    added = cv2.resize(cv2.LUT(levels, colour), (width, height), interpolation=cv2.INTER_LINEAR)
    kept = cv2.resize(cv2.LUT(levels, rest), (width, height), interpolation=cv2.INTER_LINEAR)
    blended = cv2.multiply(image, kept, kept, 1 / 255)
    return np.asarray(cv2.add(blended, added, blended), np.uint8)


@lru_cache(maxsize=8)
def _heat_tables(alpha: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Colour times opacity, and 255 times transparency, by level: uint8 (1, 256, 3) each."""
    level = np.linspace(0, 1, 256)
    rise = np.clip((level - 0.04) / 0.96, 0, 1)
    opacity = alpha * np.sin(0.5 * np.pi * rise) ** 1.25
    # The darkest third of the scale would only blacken the picture.
    colours = heat_colours()[np.rint(70 + 178 * level).astype(int)]
    colour = np.rint(colours * opacity[:, None])
    rest = np.repeat(np.rint(255 * (1 - opacity))[:, None], 3, 1)
    return colour.astype(np.uint8)[None], rest.astype(np.uint8)[None]


def _unit(picture: Picture) -> float:
    """Size of drawn things relative to a picture of 720 rows."""
    height, width = picture.shape[:2]
    return max(0.35, min(height, width * 9 / 16) / 720)


def _draw_box(picture: Picture, face: Face, unit: float) -> None:
    x1, y1, x2, y2 = _corners(picture, face)
    radius = round(min(0.12 * min(x2 - x1, y2 - y1), 18 * unit))
    thickness = max(1, round(2.5 * unit * (1.0 if face.observed else 0.5)))
    rounded_rectangle(picture, x1, y1, x2, y2, radius, _DARK, thickness + max(1, round(1.6 * unit)))
    rounded_rectangle(picture, x1, y1, x2, y2, radius, person_colour(face.track_id), thickness)


def _draw_label(picture: Picture, face: Face, unit: float) -> None:
    height, width = picture.shape[:2]
    x1, y1, _, _ = _corners(picture, face)
    size = max(9, round(21 * unit))
    text = f"person {face.track_id}"
    pad = round(0.42 * size)
    wide, high = text_width(text, size, 500) + 2 * pad, round(1.5 * size)
    if wide > width or 2 * high > height:
        return
    left = min(max(0, x1), width - wide)
    top = y1 - high - round(4 * unit)
    if top < 0:  # no room above: into the box
        top = max(0, y1 + round(5 * unit))
        left = min(left + round(5 * unit), width - wide)
    top = min(top, height - high)
    colour = person_colour(face.track_id)
    filled_rounded_rectangle(picture, left, top, left + wide - 1, top + high - 1, high // 4, colour)
    draw_text(picture, text, left + pad, top + high // 2, size, ink_on(colour), 500)


def _corners(picture: Picture, face: Face) -> tuple[int, int, int, int]:
    """Inclusive corners, kept near the picture so that absurd boxes cost nothing."""
    height, width = picture.shape[:2]
    box = np.clip(face.box, (-width, -height) * 2, (2 * width, 2 * height) * 2)
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    return x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)


def _draw_focus(picture: Picture, focus: Focus, unit: float) -> None:
    centre = (round(focus.x), round(focus.y))
    radius = max(3, round(13 * unit))
    line = max(1, round(2.2 * unit))
    cv2.circle(picture, centre, radius, _DARK, line + max(1, round(2 * unit)), cv2.LINE_AA)
    cv2.circle(picture, centre, radius, _WHITE, line, cv2.LINE_AA)
    cv2.circle(picture, centre, max(1, round(2.5 * unit)), _WHITE, cv2.FILLED, cv2.LINE_AA)


def _draw_bars(picture: Picture, title: str, values: dict[str, float], texts: list[str], unit: float) -> None:
    """One bar per modality for its value in 0..1, beside it as text, on a dark panel under a title."""
    height, width = picture.shape[:2]
    size = max(9, round(17 * unit))
    row, pad, margin = round(1.45 * size), round(0.6 * size), round(16 * unit)
    names = max(text_width(name, size) for name in values)
    number, bar = text_width("100 %", size), round(5 * size)
    wide, high = names + bar + number + 4 * pad, row * (len(values) + 1) + pad
    if wide + 2 * margin > 0.6 * width or high + 2 * margin > 0.6 * height:
        return
    left, top = margin, height - margin - high
    darken(picture, left, top, left + wide, top + high, 0.35)
    draw_text(picture, title, left + pad, top + pad // 2 + round(0.5 * row), size, _SOFT)
    for place, ((name, value), text) in enumerate(zip(values.items(), texts, strict=True)):
        middle = top + pad // 2 + round((place + 1.5) * row)
        draw_text(picture, name, left + pad, middle, size, _WHITE)
        start, half = left + 2 * pad + names, max(1, round(0.28 * size))
        filled = round(bar * float(np.clip(value, 0, 1)))
        end = (start + bar - 1, middle + half)
        cv2.rectangle(picture, (start, middle - half), end, (70, 70, 76), cv2.FILLED)
        if filled:
            end = (start + filled - 1, middle + half)
            cv2.rectangle(picture, (start, middle - half), end, modality_colour(place), cv2.FILLED)
        draw_text(picture, text, start + bar + pad, middle, size, _WHITE)
