"""A steady focus for robots, whose heads cannot follow the highest point of every single map."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gasp.pipeline.prediction import Focus, Prediction


class SteadyFocus:
    """Follows the focus of predictions with hysteresis, a minimum hold and a maximum speed, each off by default.

    There is a place that is looked at, the target, and the steady focus, which moves towards it. All depends on the
    frames' times alone, not on when they are given.

    Args:
        hysteresis: by how much the map's value at a new place must exceed that at the target (the map is in 0..1).
        hold: seconds for which a target stays at least.
        speed: of the steady focus at most, in widths of the picture per second; None: it jumps.
    """

    def __init__(self, *, hysteresis: float = 0.0, hold: float = 0.0, speed: float | None = None) -> None:
        if not 0 <= hysteresis < 1 or not 0 <= hold < math.inf or (speed is not None and not speed > 0):
            raise ValueError("hysteresis must be in 0..1, hold not negative, and speed greater than 0")
        self._hysteresis, self._hold, self._speed = hysteresis, hold, speed
        self._target: tuple[float, float] | None = None
        self._since = self._time = 0.0
        self._at = (0.0, 0.0)

    @property
    def target(self) -> tuple[float, float] | None:
        """The place that is looked at, x and y in 0..1 of width and height; None before the first prediction."""
        return self._target

    def step(self, prediction: Prediction) -> Focus:
        """The steady focus at this prediction, with the map's value there."""
        if self._hysteresis == 0 and self._hold == 0 and self._speed is None:
            return prediction.focus
        height, width = prediction.image.shape[:2]
        self._choose(prediction, (prediction.focus.x / width, prediction.focus.y / height))
        # A clock that goes back moves nothing.
        passed = max(0.0, prediction.time - self._time)
        self._time = max(self._time, prediction.time)
        self._move(passed, height / width)
        x, y = self._at
        return Focus(x * width, y * height, value_at(prediction.saliency, x, y))

    def _choose(self, prediction: Prediction, peak: tuple[float, float]) -> None:
        if self._target is None:
            self._target = self._at = peak
            self._since = self._time = prediction.time
            return
        beaten = prediction.focus.value - value_at(prediction.saliency, *self._target) > self._hysteresis
        if peak != self._target and beaten and prediction.time - self._since >= self._hold:
            self._target, self._since = peak, prediction.time

    def _move(self, passed: float, aspect: float) -> None:
        assert self._target is not None
        across = self._target[0] - self._at[0]
        down = self._target[1] - self._at[1]
        distance = math.hypot(across, down * aspect)
        share = 1.0
        if self._speed is not None and distance > self._speed * passed:
            share = self._speed * passed / distance
        self._at = self._target if share == 1 else (self._at[0] + share * across, self._at[1] + share * down)


def value_at(saliency: NDArray[np.float32], x: float, y: float) -> float:
    """The map's value at a place in 0..1 of its width and height."""
    rows, columns = saliency.shape
    row, column = min(rows - 1, max(0, int(y * rows))), min(columns - 1, max(0, int(x * columns)))
    return float(saliency[row, column])
