"""What the pipeline says of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gasp.faces.face import Face
from gasp.fusion.contributions import Contributions


class Focus(NamedTuple):
    """The most salient point: x and y in pixels of the picture (pixel centres), and the map's value there (0..1)."""

    x: float
    y: float
    value: float


@dataclass(slots=True)
class Prediction:
    """The prediction for one frame.

    ``saliency``: float32 (h, w) at the network's output size, min-max scaled to [0, 1] (all zero where the
    network's map is constant), covering the whole picture.
    ``gates``: one score in 0..1 per modality, or None where the fusion has no gates: how far a unit opens, not how much
    the prediction depends on it. ``contributions``: what the cues contribute to the map, None where they are switched
    off or there is no map; ``why`` of each face is what they add to its share.
    ``cues``: the drawn cue maps by modality name, uint8 (h, w) grey or (h, w, 3) RGB, covering the whole picture.
    ``faces``: tracked faces, boxes in pixels of ``image``. ``image``: the source frame, RGB uint8 (H, W, 3), with
    square pixels; tables count in those of the file (see :attr:`~gasp.video.VideoSource.stored_size`).
    ``failed``: the fusion network gave no proper map for this frame; what stands here was made without the frame
    itself, or is nothing. ``cut``: a shot begins with this frame (a video's first frame begins one).
    """

    index: int
    time: float
    saliency: NDArray[np.float32]
    gates: dict[str, float] | None
    cues: dict[str, NDArray[np.uint8]]
    faces: list[Face]
    focus: Focus
    image: NDArray[np.uint8] = field(repr=False)
    failed: bool = False
    contributions: Contributions | None = field(default=None, repr=False)
    cut: bool = False

    @property
    def why(self) -> dict[str, float] | None:
        """By cue, the share of the map's mass that it moves, 0..1; None without contributions."""
        return None if self.contributions is None else self.contributions.moved()
