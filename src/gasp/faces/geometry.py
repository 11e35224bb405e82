"""Boxes: overlap, clipping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gasp.faces.face import Box


def clip_box(box: Box, height: float, width: float) -> Box:
    """The part of a box that lies in a picture; empty or inverted when none does."""
    return Box(max(0.0, box.x1), max(0.0, box.y1), min(float(width), box.x2), min(float(height), box.y2))


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0..1; 0 where both are empty."""
    return float(iou_matrix([first], [second])[0, 0])


def iou_matrix(first: Sequence[Box], second: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union of every pair, (len(first), len(second)), 0..1."""
    shared = _shared(first, second)
    union = _areas(first)[:, None] + _areas(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def inside_matrix(first: Sequence[Box], second: Sequence[Box]) -> NDArray[np.float64]:
    """Share of every first box that lies in every second one, (len(first), len(second)), 0..1; 0 for an empty box."""
    shared = _shared(first, second)
    areas = np.broadcast_to(_areas(first)[:, None], shared.shape)
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def _shared(first: Sequence[Box], second: Sequence[Box]) -> NDArray[np.float64]:
    a = np.asarray(first, np.float64).reshape(-1, 1, 4)
    b = np.asarray(second, np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.asarray(np.clip(sides, 0, None).prod(-1))


def _areas(boxes: Sequence[Box]) -> NDArray[np.float64]:
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.asarray(np.clip(corners[:, 2:] - corners[:, :2], 0, None).prod(-1))
