"""When frames are shown, and how long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.video.frames import Frame
from gasp.video.source import VideoSource

Sound: TypeAlias = NDArray[np.float32] | None
"""Mono samples of one frame, or None without sound."""


def with_ends(frames: Iterator[Frame], step: float) -> Iterator[tuple[Frame, float]]:
    """Each frame with the time at which the next one begins; the last one lasts as long as the one before it.

    Args:
        frames: In order.
        step: Seconds that a frame lasts where its neighbours do not tell.
    """
    held: Frame | None = None
    try:
        for frame in frames:
            if held is not None:
                step = frame.time - held.time if frame.time > held.time else step
                yield held, held.time + step
            held = frame
    except Exception:
        if held is not None:
            yield held, held.time + step
        raise
    if held is not None:
        yield held, held.time + step


def step_of(source: VideoSource, settings: PredictSettings) -> float:
    """Seconds between the frames that are predicted."""
    return settings.every / source.fps if source.fps > 0 else 0.04
