"""Frames worth looking at: the best and the worst prediction of every system in one video, as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gasp.evaluation.scoring import KEYS
from gasp.evaluation.triptych import triptych
from gasp.evaluation.truth import Truth

_JUDGED_BY = KEYS.index("cc")


@dataclass(frozen=True, slots=True)
class Example:
    """A frame worth looking at: JPEG of picture, prediction and truth side by side, and the scores of the system."""

    video: str
    frame: int
    time: float
    system: str
    scores: tuple[float, ...]
    jpeg: bytes


class Pictures(NamedTuple):
    """What an example is drawn from: the RGB image (H, W, 3), the map of every system by its place, and the truth."""

    image: NDArray[np.uint8]
    maps: dict[int, NDArray[np.float32]]
    truth: Truth


class ExampleFinder:
    """The best and the worst frame of every system in one video, by CC.

    Args:
        video: the video's name.
        systems: names of the systems that examples are wanted of, by their place.
    """

    def __init__(self, video: str, systems: Mapping[int, str]) -> None:
        self._video, self._systems = video, systems
        self._found: dict[tuple[int, int], tuple[float, Example]] = {}

    def see(self, frame: int, time: float, scores: NDArray[np.float64], pictures: Pictures) -> None:
        """Keeps the frame if it is better or worse than all before; ``scores``: (systems, metrics)."""
        for place, name in self._systems.items():
            value = float(scores[place, _JUDGED_BY])
            if place not in pictures.maps or not np.isfinite(value):
                continue
            for sign in (1, -1):
                before = self._found.get((place, sign))
                if before is None or sign * value > sign * before[0]:
                    jpeg = triptych(pictures.image, pictures.maps[place], pictures.truth)
                    own = tuple(float(score) for score in scores[place])
                    example = Example(self._video, frame, time, name, own, jpeg)
                    self._found[place, sign] = value, example

    def examples(self) -> list[Example]:
        """Each frame once."""
        return list({(one.system, one.frame): one for _, one in self._found.values()}.values())
