"""What a cue is told of one frame: everything a stage needs travels with the frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gasp.faces.face import Face
from gasp.video.frames import Frame


@dataclass(frozen=True, slots=True)
class Observation:
    """One frame with what earlier stages found in it.

    ``small``: the frame at working size, RGB uint8. ``grid``: rows and columns at which maps are drawn.
    ``log_saliency``: log-probability of a fixation per cell, float32 of shape ``grid``, from the shared network, or
    None where that did not run. ``faces``: tracked faces, boxes in pixels of ``frame``. ``sound``: mono float32
    samples that belong to this frame (from its time to the next frame's), at ``sound_rate`` Hz, or None without
    sound. ``cut``: a shot begins here. ``step``: seconds since the frame before (the nominal step for the first).
    ``number``: the frame's place among those that are predicted, counted from 0 at the video's beginning, also where
    the work begins in its middle. ``start``: time of the video's first frame on the clock of ``frame.time``; None: that
    of the first frame that a cue is given.

    Cues share observations and change nothing in them.
    """

    frame: Frame
    small: NDArray[np.uint8]
    grid: tuple[int, int]
    faces: list[Face] = field(default_factory=list)
    log_saliency: NDArray[np.float32] | None = None
    sound: NDArray[np.float32] | None = None
    sound_rate: int = 16000
    cut: bool = False
    step: float = 0.04
    number: int = 0
    start: float | None = None
