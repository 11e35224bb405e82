"""The ground truth of a frame as pictures: fixation density and fixation points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.fixations import Fixations
from gasp.datasets.video_set import Video


def draw_density(
    fixations: Fixations, video: Video, sigma: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The weighted sum of Gaussians, highest value 255, rounded down: grey (height, width) ``size``.

    ``sigma`` is in pixels of the video. The Gaussians are evaluated at the centres of the picture's pixels and are
    not cut off. Black without fixations.
    """
    height, width = size
    y = (np.arange(height) + 0.5) * video.height / height
    x = (np.arange(width) + 0.5) * video.width / width
    down = np.exp(-0.5 * ((y[:, None] - fixations.y) / sigma) ** 2) * fixations.weight
    across = np.exp(-0.5 * ((x[:, None] - fixations.x) / sigma) ** 2)
    density = down @ across.T
    highest = density.max(initial=0)
    return (255 * density / highest).astype(np.uint8) if highest > 0 else np.zeros(size, np.uint8)


def draw_points(fixations: Fixations, video: Video, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A white plus of five pixels at every fixation on black: grey (height, width) ``size``."""
    height, width = size
    row = (fixations.y * height / video.height).astype(np.int64)
    column = (fixations.x * width / video.width).astype(np.int64)
    drawn = np.zeros(size, np.uint8)
    for down, right in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
        rows, columns = row + down, column + right
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        drawn[rows[inside], columns[inside]] = 255
    return drawn
