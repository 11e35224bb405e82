"""Simple shapes on map grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gasp.faces.face import Box


def draw_on_faces(
    boxes: list[Box], strengths: list[float], picture: tuple[int, int], grid: tuple[int, int]
) -> NDArray[np.uint8]:
    """A Gaussian on every box, the strongest where they overlap: uint8, shape ``grid``.

    ``boxes`` in pixels of a picture of (height, width) ``picture``; a Gaussian peaks at its strength (0..1, drawn as
    0..255) in the middle of its box and has a standard deviation of 0.35 of the box's width and height.
    """
    height, width = grid
    y = (np.arange(height) + 0.5) * picture[0] / height
    x = (np.arange(width) + 0.5) * picture[1] / width
    drawn = np.zeros(grid, np.float32)
    for box, strength in zip(boxes, strengths, strict=True):
        if strength <= 0 or box.area <= 0:
            continue
        centre_x, centre_y = box.centre
        # A face of a few pixels must not fall between the cells.
        spread_x = max(0.35 * box.width, 0.5 * picture[1] / width)
        spread_y = max(0.35 * box.height, 0.5 * picture[0] / height)
        across = np.exp(-0.5 * ((x - centre_x) / spread_x) ** 2)
        down = np.exp(-0.5 * ((y - centre_y) / spread_y) ** 2)
        np.maximum(drawn, strength * np.outer(down, across).astype(np.float32), out=drawn)
    return np.rint(np.clip(drawn, 0, 1) * 255).astype(np.uint8)
