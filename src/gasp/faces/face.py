"""Faces as plain data: a box in source pixels, a score, an identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Box(NamedTuple):
    """A rectangle in pixels of the source picture: left, top, right, bottom.

    x grows to the right, y downwards; (x2, y2) is the exclusive far corner, so width is ``x2 - x1``.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Area in square pixels; 0 for an empty or inverted box."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box (x, y)."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2


@dataclass(slots=True)
class Detection:
    """A face found in one picture, without identity. ``score`` is in 0..1."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Face:
    """A tracked face.

    ``track_id`` counts from 1 and stays with the person through a video. ``observed`` is False while the
    tracker bridges a gap. ``found`` holds what cues say of this face, e.g. ``speaking`` (0..1),
    ``gaze_yaw`` and ``gaze_pitch`` (degrees), ``expression``, ``valence``, ``arousal``: empty in what cues are given,
    filled in predictions. ``looks``: colours of head and shoulders as the tracker knows them (float32, square roots of
    histograms), None without a tracker. ``why``: by cue, what it adds to the share of attention on this face, in
    percentage points; filled in predictions with contributions (:mod:`gasp.fusion.contributions`).
    """

    track_id: int
    box: Box
    score: float
    observed: bool = True
    found: Mapping[str, float | str] = field(default_factory=dict)
    looks: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    why: Mapping[str, float] = field(default_factory=dict)
