"""How the input of a network is prepared, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

KINETICS_MEAN = (110.63666788 / 255, 103.16065604 / 255, 96.29023126 / 255)
KINETICS_STD = (38.7568578 / 255, 37.88248729 / 255, 40.02898126 / 255)

LARGEST_SIDE = 16_384


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a network's input images are made.

    An image of ``width`` x ``height`` pixels, channels in ``colour_order``, scaled to 0..1, minus ``mean``, divided by
    ``std`` (per channel in that order).

    Attributes:
        window: Number of frames, oldest first.
        source_index: The frame of the window, from 0, to which the output belongs.
        sound: Describes the audio input in words, if there is one.
        files: Width and height of the JPEG file as which every image is taken to have been stored before, or None.

    Raises:
        ValueError: A value that no image has.
    """

    width: int
    height: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    window: int = 1
    source_index: int = 0
    colour_order: str = "RGB"
    sound: str = ""
    files: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for side in (self.width, self.height, *(self.files or ())):
            if type(side) is not int or not 1 <= side <= LARGEST_SIDE:
                raise ValueError(f"sides must be whole numbers of 1 to {LARGEST_SIDE} pixels, not {side!r}")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError("mean and std must be three numbers each")
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError("mean must be finite and std above 0")
        if self.files is not None and len(self.files) != 2:
            raise ValueError("files must be a width and a height")

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Preprocessing:
        """From plain values, as a header holds them; what they leave out is as for the published GASP networks.

        Raises:
            TypeError: An unknown field or a value of another type.
            ValueError: A value that no image has.
        """
        tuples: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return replace(GASP_2021, **tuples)


GASP_2021 = Preprocessing(120, 120, KINETICS_MEAN, KINETICS_STD)
"""As the published GASP networks take the maps of their modalities."""


def preprocessing_2021(height: int, width: int) -> Preprocessing:
    """The same for maps of another size."""
    return replace(GASP_2021, height=height, width=width)
