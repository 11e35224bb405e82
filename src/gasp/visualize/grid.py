"""Source, cue maps and prediction side by side."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.pipeline.prediction import Prediction
from gasp.visualize.colours import heat_colours
from gasp.visualize.overlay import OverlayStyle, draw_overlay, shrink_prediction
from gasp.visualize.shapes import Picture, draw_text, fit_text

_WIDEST, _HIGHEST = 1920, 1080
_PAPER = (24, 24, 28)
_INK = (235, 235, 240)
_HEAT = heat_colours()[None]
# The frame itself is the first cell already.
_SAME_AS_SOURCE = "captured"


class GridLayout(NamedTuple):
    """How pictures of ``cell_width`` x ``cell_height`` lie in columns and rows, with captions above."""

    columns: int
    rows: int
    cell_width: int
    cell_height: int
    caption: int
    gap: int

    @property
    def width(self) -> int:
        """Width of the whole in pixels, even."""
        return _even(self.columns * (self.cell_width + self.gap) + self.gap)

    @property
    def height(self) -> int:
        """Height of the whole in pixels, even."""
        return _even(self.rows * (self.cell_height + self.caption + self.gap) + self.gap)


def grid_layout(width: int, height: int, cells: int) -> GridLayout:
    """The layout whose cells show most of ``cells`` pictures of ``width`` x ``height`` within 1920 x 1080.

    Cells are never larger than the picture, except that tiny pictures are enlarged to 160 columns.
    """
    return max((_with_columns(width, height, cells, n) for n in range(1, cells + 1)), key=_quality)


def draw_grid(prediction: Prediction, style: OverlayStyle | None = None) -> Picture:
    """Source, each cue map and the prediction with captions: RGB uint8, of one size throughout a video.

    Grey cue maps are shown in the colours of the heat map.
    """
    image = prediction.image
    names = [name for name in prediction.cues if name != _SAME_AS_SOURCE]
    layout = grid_layout(image.shape[1], image.shape[0], len(names) + 2)
    size = (layout.cell_width, layout.cell_height)
    shrunk = shrink_prediction(prediction, *size)
    cells = [("source", shrunk.image)]
    cells += [(name, _coloured(prediction.cues[name], size)) for name in names]
    cells += [("prediction", draw_overlay(shrunk, style))]
    canvas = np.full((layout.height, layout.width, 3), _PAPER, np.uint8)
    for place, (caption, cell) in enumerate(cells):
        row, column = divmod(place, layout.columns)
        left = layout.gap + column * (layout.cell_width + layout.gap)
        top = layout.gap + row * (layout.cell_height + layout.caption + layout.gap)
        letters = max(9, round(0.58 * layout.caption))
        shown = fit_text(caption, layout.cell_width, letters, 500)
        draw_text(canvas, shown, left + 2, top + layout.caption // 2, letters, _INK, 500)
        top += layout.caption
        canvas[top : top + layout.cell_height, left : left + layout.cell_width] = cell
    return canvas


def _coloured(cue: NDArray[np.uint8], size: tuple[int, int]) -> Picture:
    if cue.ndim == 2:
        cue = np.asarray(cv2.LUT(cv2.merge([cue] * 3), _HEAT), np.uint8)
    return np.asarray(cv2.resize(cue, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _with_columns(width: int, height: int, cells: int, columns: int) -> GridLayout:
    rows = -(-cells // columns)
    gap = 8
    caption = 28
    room_x = (_WIDEST - gap) / columns - gap
    room_y = (_HIGHEST - gap) / rows - gap - caption
    scale = min(room_x / width, room_y / height, max(1.0, 160 / width))
    return GridLayout(
        columns, rows, max(1, round(width * scale - 0.5)), max(1, round(height * scale - 0.5)), caption, gap
    )


def _quality(layout: GridLayout) -> tuple[int, float]:
    """Largest cells first; of equal ones, the shape nearest to a screen's."""
    shape = layout.width / layout.height
    return layout.cell_width * layout.cell_height, -abs(float(np.log(shape / (16 / 9))))


def _even(size: int) -> int:
    return size + size % 2
