"""The interfaces of cues, and the tables of those that ship with the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gasp.cues.observation import Observation
from gasp.errors import UsageError
from gasp.naming import nearest


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


@dataclass(frozen=True, slots=True)
class CueEntry:
    """A cue that ships with the package: ``where`` its class lives, its ``statement`` for reports, and, for those that
    run a published network, the ``weights`` of the catalogue that they take unless told otherwise.
    """

    where: str
    statement: str
    weights: str | None = None

    def load(self) -> Callable[..., Cue | WindowedCue]:
        """The class; its module is imported only now."""
        module, cls = self.where.split(":")
        return cast("Callable[..., Cue | WindowedCue]", getattr(import_module(module), cls))


CUES = {
    "captured": CueEntry("gasp.cues.captured:Captured", "the frame itself"),
    "glance": CueEntry(
        "gasp.cues.image_saliency:GlanceSaliency",
        "where people look in the still picture (network trained on recorded fixations)",
    ),
    "faces": CueEntry("gasp.cues.faces:FacePresence", "where faces are, stronger for certain and large ones"),
    "speaking": CueEntry("gasp.cues.speaking:Speaking", "who speaks: lively mouths while a voice is heard"),
    "motion": CueEntry("gasp.cues.motion:Motion", "what moves against the camera's own movement"),
}
"""Cues that need no download, by the name of their modality, in the order in which the default fusion takes them."""

PUBLISHED_CUES = {
    "dave": CueEntry("gasp.cues.dave:Dave", "audiovisual saliency (DAVE)", "dave"),
    "stavis": CueEntry(
        "gasp.cues.stavis:Stavis", "audiovisual saliency (STAViS)", "stavis-audiovisual-split1"
    ),
    "tased": CueEntry("gasp.cues.tased:Tased", "video saliency (TASED-Net)", "tased"),
    "unisal": CueEntry("gasp.cues.unisal:Unisal", "image and video saliency (UNISAL)", "unisal"),
    "vinet": CueEntry("gasp.cues.vinet:Vinet", "video saliency (ViNet)", "vinet"),
    "avinet": CueEntry("gasp.cues.vinet:Avinet", "audiovisual saliency (AViNet)", "avinet"),
    "gaze360": CueEntry("gasp.cues.gaze360:Gaze360Cue", "where faces look in space (Gaze360)", "gaze360"),
    "videogaze": CueEntry(
        "gasp.cues.videogaze:VideoGazeCue", "what faces look at (Following Gaze in Video)", "videogaze"
    ),
    "esr9": CueEntry("gasp.cues.esr9:ESR9Cue", "what is expressive in faces (ESR-9)", "esr9"),
}
"""Cues that run a published network, which is made and filled for them; they also take a ``mode``."""

DEFAULT_CUES = tuple(CUES)


def create_cues(names: Sequence[str]) -> list[Cue]:
    """New cues of those that need no download, in the given order.

    Raises :class:`gasp.errors.UsageError` for an unknown or repeated name.
    """
    for name in names:
        if name not in CUES:
            raise UsageError(f"unknown cue {name!r}{nearest(name, CUES)}")
        if list(names).count(name) > 1:
            raise UsageError(f"the cue {name!r} is named more than once")
    return [cast(Cue, CUES[name].load()()) for name in names]
