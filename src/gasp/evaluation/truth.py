"""What people looked at in one frame, at the size at which maps are scored, and in the other videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.datasets.fixations import Fixations, density_of_points
from gasp.evaluation.items import Item
from gasp.faces.face import Box

_GRID = (90, 160)  # rows and columns of the mean density of a video: finer than any dataset's blur


@dataclass(frozen=True, eq=False)
class Truth:
    """Fixations in pixels of a map of ``height`` x ``width``, all inside; ``sigma`` is the density's kernel in pixels.

    ``faces``: marked boxes in the same pixels, None where the set has no marks.
    """

    fixations: Fixations
    height: int
    width: int
    sigma: float
    faces: list[Box] | None = None

    @cached_property
    def fixated(self) -> NDArray[np.bool_]:
        """Fixated pixels, (height, width)."""
        mask = np.zeros((self.height, self.width), bool)
        mask[self.fixations.y.astype(np.int64), self.fixations.x.astype(np.int64)] = True
        return mask

    @cached_property
    def density(self) -> NDArray[np.float32]:
        """Where people looked as a distribution, (height, width), sum 1."""
        return density_of(self.fixations, self)

    def of(self, fixations: Fixations) -> Truth:
        """The same frame with other fixations."""
        return Truth(fixations, self.height, self.width, self.sigma, self.faces)

    def blurred(self, times: float) -> Truth:
        """The same frame with a kernel that is so many times as wide."""
        return Truth(self.fixations, self.height, self.width, times * self.sigma, self.faces)


def density_of(fixations: Fixations, truth: Truth) -> NDArray[np.float32]:
    """Density of fixations on the frame of ``truth``, float32, sum 1; at least one is needed."""
    values = density_of_points(fixations, truth.height, truth.width, truth.sigma).values
    # What float32 could only hold with fewer digits would make every metric many times slower.
    return np.where(values < 1e-30, 0.0, values).astype(np.float32)


def scored_size(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """(height, width) with the longer side at most ``longest``; the own size without."""
    scale = 1.0 if longest is None else min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def truth_at(item: Item, frame: int, longest: int | None = None) -> Truth:
    """The truth at a frame. Points are scaled, not maps, so that no fixation is blurred or lost by resizing."""
    height, width = scored_size(item.size, longest)
    down, across = height / item.size[0], width / item.size[1]
    fixations = item.fixations(frame).scaled(across, down).inside(height, width)
    fixations = fixations.select(fixations.weight > 0)
    boxes = item.faces(frame)
    faces = boxes and [Box(b.x1 * across, b.y1 * down, b.x2 * across, b.y2 * down) for b in boxes]
    return Truth(fixations, height, width, item.sigma * across, faces)


def faces_prior(truth: Truth) -> NDArray[np.float32]:
    """A Gaussian on every marked face, standard deviations half its sides; constant without faces."""
    drawn = np.full((truth.height, truth.width), 1e-6, np.float32)
    for box in truth.faces or ():
        x, y = box.centre
        across = np.exp(-0.5 * ((np.arange(truth.width) + 0.5 - x) / (0.5 * box.width)) ** 2)
        down = np.exp(-0.5 * ((np.arange(truth.height) + 0.5 - y) / (0.5 * box.height)) ** 2)
        drawn += np.outer(down, across).astype(np.float32)
    return drawn


class Others:
    """Where people look in the other videos: fixations for shuffled AUC, and the mean of their densities.

    All fixations of a video count, also those between scored frames; in its density each counts as long as it lasts.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._places: list[NDArray[np.float64]] = []
        densities = []
        for item in items:
            height, width = item.size
            fixations = item.fixations().inside(height, width)
            self._places.append(np.stack([fixations.x / width, fixations.y / height], 1))
            densities.append(_density_on_grid(item, fixations))
        self._densities = np.stack(densities) if densities else np.zeros((0, *_GRID), np.float32)
        self._known = self._densities.reshape(len(densities), -1).max(1, initial=0) > 0
        self._total = self._densities.sum(0, dtype=np.float64)

    def fixated(self, place: int, height: int, width: int) -> NDArray[np.bool_] | None:
        """Pixels fixated in the videos other than the one at ``place``; None without any."""
        rest = [places for i, places in enumerate(self._places) if i != place and len(places)]
        if not rest:
            return None
        points = np.concatenate(rest)
        mask = np.zeros((height, width), bool)
        mask[(points[:, 1] * height).astype(np.int64), (points[:, 0] * width).astype(np.int64)] = True
        return mask

    def density(self, place: int, height: int, width: int) -> NDArray[np.float32] | None:
        """Mean density of the videos other than the one at ``place``; None without any."""
        count = int(self._known.sum()) - int(self._known[place])
        if count < 1:
            return None
        mean = np.maximum(self._total - self._densities[place], 0) / count
        resized = cv2.resize(mean.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.float32)


def _density_on_grid(item: Item, fixations: Fixations) -> NDArray[np.float32]:
    """A video's density on the common grid, sum 1; zeros without fixations."""
    height, width = scored_size(item.size, _GRID[1])
    lasting = np.where(np.isfinite(fixations.duration), fixations.duration, 1.0)
    scaled = Fixations.create(
        fixations.x * width / item.size[1],
        fixations.y * height / item.size[0],
        weight=fixations.weight * lasting,
    ).inside(height, width)
    if not (scaled.weight > 0).any():
        return np.zeros(_GRID, np.float32)
    density = density_of_points(scaled, height, width, item.sigma * width / item.size[1]).values
    resized = cv2.resize(density, (_GRID[1], _GRID[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(resized / resized.sum(), np.float32)
