"""Changes of training clips that respect gaze: everything that belongs to a frame is changed alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gasp.config.experiments import AugmentSettings
from gasp.training.augment import View
from gasp.training.batch import Clip

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Portion:
    """What is shown of a picture, in shares of its sides; ``flip``: mirrored left and right."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0
    flip: bool = False

    def view(self, height: int, width: int) -> View:
        """From a picture of ``height`` x ``width`` to one of the same size."""
        sign = -1 if self.flip else 1
        right = width if self.flip else 0
        across, down = sign / self.width, 1 / self.height
        matrix = [[across, 0, right - across * self.left * width], [0, down, -down * self.top * height]]
        return View(np.array(matrix, np.float64), height, width)


def augment(clip: Clip, options: AugmentSettings, rng: np.random.Generator, captured: int | None) -> Clip:
    """The clip mirrored, cropped and coloured at random; the same in all frames.

    Maps of gaze directions are mirrored like all others: they are drawn in the frame's place, so that a look to the
    left becomes one to the right. Fixation maps stay points. A crop that would show no fixated point is not taken.
    ``captured``: which modality is the frame itself, whose colours change; None where it is not among them.
    """
    flip = bool(rng.random() < options.flip)
    width, height = rng.uniform(options.crop, 1, 2)
    left, top = rng.random(2) * (1 - width, 1 - height)
    colours = rng.uniform(1 - options.colour, 1 + options.colour, 3)
    portion = Portion(left, top, width, height, flip)
    if clip.fixations.any() and not move_points(clip.fixations[0], portion).any():
        portion = Portion(flip=flip)
    if portion != Portion():
        clip = show(clip, portion)
    if captured is not None and options.colour:
        frames = clip.maps[:, 3 * captured : 3 * captured + 3]
        frames[:] = colour(frames, *colours)
    return clip


def show(clip: Clip, portion: Portion) -> Clip:
    """That portion of every picture of the clip, at the same size."""
    every = clip.frame_density
    return Clip(
        _seen(clip.maps, portion),
        _seen(clip.density, portion),
        move_points(clip.fixations[0], portion)[None],
        None if every is None else _seen(every, portion),
        clip.name,
    )


def move_points(points: Pictures, portion: Portion) -> Pictures:
    """A map (h, w) whose pixels above 0 are points, each with its value, seen through ``portion``."""
    height, width = points.shape
    rows, columns = np.nonzero(points)
    x, y = portion.view(height, width).points(columns + 0.5, rows + 0.5)
    x, y = np.floor(x).astype(int), np.floor(y).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    moved = np.zeros_like(points)
    np.maximum.at(moved, (y[inside], x[inside]), points[rows[inside], columns[inside]])
    return moved


def colour(frames: Pictures, brightness: float, contrast: float, saturation: float) -> Pictures:
    """Frames (T, 3, H, W) with factors of brightness, contrast and saturation; 1 leaves them as they are."""
    values = frames.astype(np.float32)
    grey = values.mean(1, keepdims=True)
    values = grey + (values - grey) * np.float32(saturation)
    mean = values.mean()
    values = (values - mean) * np.float32(contrast) + mean * np.float32(brightness)
    return values.round().clip(0, 255).astype(np.uint8)


def _seen(pictures: Pictures, portion: Portion) -> Pictures:
    """Pictures (..., H, W) seen through ``portion``."""
    if portion == Portion(flip=True):
        return np.ascontiguousarray(pictures[..., ::-1])
    height, width = pictures.shape[-2:]
    view = portion.view(height, width)
    planes = [view.warp(plane, fill=None) for plane in pictures.reshape(-1, height, width)]
    return np.stack(planes).reshape(pictures.shape)
