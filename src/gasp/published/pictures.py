"""Pictures of a frame as the published pipeline of 2021 drew them beside its maps.

Frames and pictures are RGB uint8 (h, w, 3); boxes are in pixels of the frame, fixations rows of x, y and weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.cues.crops import whole_pixels
from gasp.errors import UsageError
from gasp.faces.face import Box
from gasp.visualize.shapes import Picture

WEIGHT = 0.4
"""How much of a map shows over a frame."""

PERSON_COLOURS = (
    *((0, 255, 0), (0, 0, 255), (255, 0, 0), (255, 0, 128), (0, 128, 255)),
    *((128, 0, 255), (255, 128, 0), (128, 255, 0), (0, 255, 128), (64, 128, 255)),
    *((128, 64, 255), (64, 255, 128), (255, 64, 128), (255, 128, 64), (128, 255, 64)),
)
"""RGB colours of boxes and gaze points, by the face's place in the list."""

COLOUR_MAPS = {"bone": cv2.COLORMAP_BONE, "jet": cv2.COLORMAP_JET}


def lay_over(drawn: Picture, frame: Picture, weight: float = WEIGHT) -> Picture:
    """A map of any size over the frame: enlarged (bilinear) to its size and mixed with ``weight`` (0..1)."""
    height, width = frame.shape[:2]
    if drawn.shape != frame.shape:
        drawn = np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.addWeighted(drawn, weight, frame, 1 - weight, 0), np.uint8)


def draw_boxes(frame: Picture, boxes: Sequence[Box]) -> Picture:
    """The frame with the boxes of faces, two pixels thick, in the colours of their places in the list."""
    picture = frame.copy()
    for place, box in enumerate(boxes):
        whole = whole_pixels(box)
        if whole is not None:
            x1, y1, x2, y2 = (int(side) for side in whole)
            cv2.rectangle(picture, (x1, y1), (x2, y2), _colour(place), 2)
    return picture


def draw_gaze_points(
    frame: Picture, heatmaps: Sequence[NDArray[np.float32]], places: Sequence[int] | None = None
) -> Picture:
    """The frame with a disc where each heatmap (side, side) is largest, of equals the first row by row.

    ``places``: of the faces in the list, by which discs are coloured (default: one after the other).
    """
    picture, (height, width) = frame.copy(), frame.shape[:2]
    for place, heatmap in zip(range(len(heatmaps)) if places is None else places, heatmaps, strict=True):
        rows, columns = heatmap.shape
        row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
        at = (int(width * column / columns), int(height * row / rows))
        cv2.circle(picture, at, 10, _colour(place), cv2.FILLED)
    return picture


def draw_fixation_density(
    frame: Picture,
    fixations: NDArray[np.floating],
    sigma: float | tuple[float, float],
    *,
    colours: str = "jet",
    weight: float = WEIGHT,
) -> Picture:
    """The weighted sum of Gaussians around fixations (N, 3), in colours, over the frame with ``weight`` (0..1).

    ``sigma``: standard deviation in pixels, or that across and down. Fixations that are not numbers do not count; the
    largest value is 255, others are rounded down. ``colours``: "jet" or "bone".
    """
    if colours not in COLOUR_MAPS:
        raise UsageError(f"colours must be one of {', '.join(COLOUR_MAPS)}, not {colours!r}")
    across, down = (sigma, sigma) if isinstance(sigma, int | float) else sigma
    x, y, amplitude = _finite(fixations).T
    height, width = frame.shape[:2]
    rows = np.exp(-((np.arange(height)[:, None] - y) ** 2) / (2 * down**2)) * amplitude
    columns = np.exp(-((np.arange(width)[:, None] - x) ** 2) / (2 * across**2))
    density = rows @ columns.T
    highest = density.max(initial=0)
    grey = (255 * density / highest if highest > 0 else density).astype(np.uint8)
    return lay_over(
        np.ascontiguousarray(cv2.applyColorMap(grey, COLOUR_MAPS[colours])[..., ::-1]), frame, weight
    )


def draw_fixation_points(frame: Picture, fixations: NDArray[np.floating], radius: int = 1) -> Picture:
    """The frame with white discs at fixations (N, 3), cut off to whole pixels; what is not a number is left out."""
    picture = frame.copy()
    for x, y, _ in _finite(fixations):
        cv2.circle(picture, (int(x), int(y)), radius, (255, 255, 255), cv2.FILLED)
    return picture


def _finite(fixations: NDArray[np.floating]) -> NDArray[np.float64]:
    rows = np.asarray(fixations, np.float64).reshape(-1, 3)
    return rows[np.isfinite(rows[:, :2]).all(1)]


def _colour(place: int) -> tuple[int, int, int]:
    return PERSON_COLOURS[place % len(PERSON_COLOURS)]
