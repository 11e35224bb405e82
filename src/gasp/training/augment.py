"""Augmentation that keeps pictures, fixations and boxes together.

A :class:`View` is a window onto a picture: an affine map from the pixels of the source to those of the training
picture. Everything that belongs to the picture (density, fixation points, boxes, the place of each pixel in the
whole picture) goes through the same map.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class View:
    """``matrix`` (2, 3) maps source pixel coordinates to those of a picture of ``height`` x ``width``."""

    matrix: NDArray[np.float64]
    height: int
    width: int

    def points(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[NDArray, NDArray]:
        """Source points seen through the view; they may fall outside it."""
        m = self.matrix
        return m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]

    def scaled(self, factor: float) -> View:
        """The same window at another resolution."""
        return View(self.matrix * factor, round(self.height * factor), round(self.width * factor))

    def warp(self, image: NDArray, *, fill: float | None = 0.0) -> NDArray:
        """``image`` seen through the view; ``fill`` beyond its border (None: what is at the border).

        The picture is shrunk with an area filter first where the view is much smaller than it.
        """
        scale = float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))
        matrix = self.matrix
        if scale < 0.6:
            height, width = image.shape[:2]
            small = (max(1, round(width * scale)), max(1, round(height * scale)))
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
            matrix = matrix.copy()
            matrix[:, 0] *= width / small[0]
            matrix[:, 1] *= height / small[1]
        return cv2.warpAffine(
            image,
            _about_pixel_corners(matrix),
            (self.width, self.height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if fill is None else cv2.BORDER_CONSTANT,
            borderValue=(fill or 0.0,) * 4,
        )

    def position(self, source_height: int, source_width: int) -> Array:
        """Where each pixel of the view lies in the source: (2, height, width), x and y, -1..1 edge to edge."""
        inverse = cv2.invertAffineTransform(self.matrix)
        x = np.arange(self.width, dtype=np.float64) + 0.5
        y = np.arange(self.height, dtype=np.float64)[:, None] + 0.5
        source_x = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
        source_y = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
        return np.stack([source_x * 2 / source_width - 1, source_y * 2 / source_height - 1]).astype(
            np.float32
        )


def _about_pixel_corners(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """OpenCV counts from pixel centres; ours counts from pixel corners, so that resizing has no drift."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2].sum(1) * 0.5 - 0.5
    return moved


def whole_view(source_height: int, source_width: int, height: int, width: int) -> View:
    """The whole picture, stretched to the wanted size."""
    matrix = np.array([[width / source_width, 0, 0], [0, height / source_height, 0]], np.float64)
    return View(matrix, height, width)


def random_view(
    rng: np.random.Generator,
    source_height: int,
    source_width: int,
    height: int,
    width: int,
    *,
    zoom: tuple[float, float] = (0.75, 2.5),
    whole: float = 0.35,
) -> View:
    """A random window onto a picture: flipped half the time, else zoomed, shifted, stretched, turned.

    ``zoom`` is the range of magnification against the whole picture (below 1 shows a border); ``whole`` is the
    probability of seeing the whole picture.
    """
    view = whole_view(source_height, source_width, height, width)
    flip = rng.random() < 0.5
    if rng.random() < whole:
        factor, stretch, angle, shift = 1.0, 1.0, 0.0, (0.0, 0.0)
    else:
        factor = float(np.exp(rng.uniform(*np.log(zoom))))
        # Keep the picture's own proportions apart from a little stretching.
        stretch = float(np.exp(rng.uniform(-0.18, 0.18)))
        stretch *= np.sqrt((source_width / source_height) / (width / height))
        angle = float(rng.normal(0, 5)) if rng.random() < 0.3 else 0.0
        slack = abs(factor - 1) / 2 + 0.05
        shift = tuple(rng.uniform(-slack, slack, 2))
    about = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]], np.float64)
    turn = np.eye(3)
    turn[:2, :2] = cv2.getRotationMatrix2D((0, 0), angle, 1.0)[:, :2]
    size = np.diag([factor * stretch * (-1 if flip else 1), factor / stretch, 1.0])
    back = np.array([[1, 0, width * (0.5 + shift[0])], [0, 1, height * (0.5 + shift[1])], [0, 0, 1]])
    full = np.vstack([view.matrix, [0, 0, 1]])
    return View((back @ turn @ size @ about @ full)[:2], height, width)


def random_colour(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation, colour cast, sometimes grey, blur, noise or JPEG traces."""
    out = image.astype(np.float32)
    grey = out.mean(2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.08 else rng.uniform(0.5, 1.4)
    out = grey + (out - grey) * saturation
    mean = out.mean()
    out = (out - mean) * rng.uniform(0.6, 1.35) + mean * rng.uniform(0.6, 1.35)
    out *= rng.uniform(0.9, 1.1, 3).astype(np.float32)
    if rng.random() < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.4)))
    if rng.random() < 0.15:
        out += rng.normal(0, rng.uniform(2, 10), out.shape).astype(np.float32)
    result = np.clip(out, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        quality = int(rng.integers(25, 80))
        encoded = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        result = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return result
