"""The one interface of all cues, and the table of those that need no download."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gasp.cues.observation import Observation
from gasp.errors import UsageError


class Cue(Protocol):
    """Turns what is known of each frame into one map of the picture.

    A cue may keep state from frame to frame (it is made anew for every video) but only looks back, so that its map
    belongs to the very frame it was asked about.
    """

    name: str

    def step(self, observation: Observation) -> NDArray[np.uint8]:
        """The map of this frame: uint8, grey (h, w) of shape ``observation.grid`` or RGB (h, w, 3) of any size,
        covering the whole picture; brighter is more. May note what it found in the faces' ``found``.
        """
        ...


class WindowedCue(Protocol):
    """A cue whose map of a frame needs frames around it: it takes frames as they come and gives maps as they are ready.

    It is made anew for every video, keeps no more than its window, and may write what it found about a face into the
    ``found`` of that face in the observation, which is held back until the map of its frame has come.
    """

    name: str
    future: int
    """Frames it looks ahead: the map of frame k is ready once frame k + ``future`` was pushed."""

    def push(self, observations: Sequence[Observation]) -> list[NDArray[np.uint8]]:
        """Takes the next frames and gives the maps that are complete now, oldest first, exactly one per frame in
        the order of frames: uint8 grey (h, w) or RGB (h, w, 3), covering the whole picture.

        Results do not depend on how frames are grouped into calls.
        """
        ...

    def finish(self) -> list[NDArray[np.uint8]]:
        """The maps of the frames still waiting at the end of the video, whose last frame counts as repeated."""
        ...


CUES = {
    "captured": "gasp.cues.captured:Captured",
    "glance": "gasp.cues.glance:GlanceSaliency",
    "faces": "gasp.cues.faces:FacePresence",
    "speaking": "gasp.cues.speaking:Speaking",
    "motion": "gasp.cues.motion:Motion",
}
"""Name of the modality -> where the cue lives, in the order in which the default fusion takes them."""


def create_cues(names: Sequence[str]) -> list[Cue]:
    """New cues, in the given order. Raises :class:`gasp.errors.UsageError` for an unknown or repeated name."""
    for name in names:
        if name not in CUES:
            raise UsageError(f"unknown cue {name!r}; there are {', '.join(CUES)}")
        if list(names).count(name) > 1:
            raise UsageError(f"the cue {name!r} is named more than once")
    cues = []
    for name in names:
        module, cls = CUES[name].split(":")
        cues.append(cast(Cue, getattr(import_module(module), cls)()))
    return cues
