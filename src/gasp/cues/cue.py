"""The contract of cues, and the tables of those that ship with the package."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from gasp.cues.observation import Observation
from gasp.errors import UsageError
from gasp.naming import nearest

Map: TypeAlias = NDArray[np.uint8]
Found: TypeAlias = Mapping[int, Mapping[str, float | str]]
"""What is said of people, by ``track_id``: names and values."""


@dataclass(frozen=True, slots=True)
class CueResult:
    """What a cue gives for one frame.

    ``map``: uint8, grey (h, w) or RGB (h, w, 3), of any size, covering the whole picture; brighter is more. ``found``:
    what the cue says of each face of that frame, by ``track_id``; it becomes ``found`` of the prediction's faces.
    ``age``: how many frames ago it was found.
    """

    map: Map
    found: Found = field(default_factory=dict)
    age: int = 0


class Cue(ABC):
    """Turns what is known of the frames of a video into one map per frame, and says of faces what it found.

    A cue is made anew for every video. It changes nothing that it is given: neither an observation nor its faces.

    ``name``: that of the modality. ``past``: frames before its own on which a map depends, so that a cue begun that
    many frames earlier (at a frame of the same ``number``) gives the same map; None: everything since the beginning of
    the video. ``future``: frames it looks ahead: the map of frame k is there once frame k + ``future`` was pushed. Both
    are valid after :meth:`begin`. ``sound_rate``: samples per second that it asks for. ``needs_saliency``: whether it
    uses ``log_saliency`` of observations; where no cue does, the packaged network need not look at frames.
    ``failures``: results that were not numbers so far, which the cue has left out, said once, and counted here.
    ``elsewhere``: its work runs elsewhere once frames are submitted, so that it is asked for results after the others.
    ``restarts``: how often it is made anew after it failed; None: always.
    """

    name: str
    past: int | None = 0
    future: int = 0
    sound_rate: int = 16000
    needs_saliency: bool = True
    failures: int = 0
    elsewhere: bool = False
    restarts: int | None = None

    def begin(self, step: float) -> None:  # noqa: B027  (most cues count frames, not seconds)
        """Called once, before the first frame.

        Args:
            step: nominal seconds between frames, with which memories in seconds become frames.
        """

    @abstractmethod
    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """Takes the next frames.

        Returns:
            The results that are complete now, oldest first, exactly one per frame in the order of frames. They do not
            depend on how frames are grouped into calls.
        """

    def finish(self) -> list[CueResult]:
        """The results of the frames still waiting at the end of the video, whose last frame counts as repeated."""
        return []

    def submit(self, observations: Sequence[Observation]) -> Callable[[], list[CueResult]]:
        """Starts work on the next frames.

        The pipeline submits frames to all cues before it asks any of them for results: a cue whose work runs elsewhere
        sends here, and receives in the callable. The others begin when the callable is called.

        Returns:
            A function that waits for the work and gives what :meth:`push` would. It is called once, before the next
            frames are submitted.
        """
        return partial(self.push, observations)

    def close(self) -> None:  # noqa: B027  (most cues hold nothing)
        """Gives up what the cue holds outside, such as a process. Nothing is asked of it afterwards."""


class UnfinishedError(Exception):
    """What a cue raises that fails after it has finished some of the frames: ``results`` are those of the oldest."""

    def __init__(self, results: Sequence[CueResult], reason: Exception) -> None:
        super().__init__(str(reason))
        self.results, self.reason = list(results), reason


class FrameCue(Cue):
    """The simple kind: one frame in, its map out. It may keep state from frame to frame, but never looks ahead.

    When :meth:`step` fails, that costs the one frame only.
    """

    @abstractmethod
    def step(self, observation: Observation) -> CueResult | Map:
        """The result of this frame; a map alone will do where nothing is said of faces."""

    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """The results of these next frames."""
        return [as_result(self.step(observation)) for observation in observations]


def frames_of(seconds: float, step: float) -> int:
    """The least whole number of frames, ``step`` seconds apart, that cover so many seconds; at least 1."""
    # What is a hair over a whole number is that number: 0.12 / 0.04 gives 3.0000000000000004.
    return max(1, math.ceil(seconds / step - 1e-6))


def as_result(given: CueResult | Map) -> CueResult:
    """What :meth:`FrameCue.step` gave, as a result."""
    return given if isinstance(given, CueResult) else CueResult(given)


@dataclass(frozen=True, slots=True)
class CueEntry:
    """A cue that ships with the package: ``where`` its class lives, its ``statement`` for reports, and, for those that
    run a published network, the ``weights`` of the catalogue that they take unless told otherwise, and its ``network``
    where that has another name than the cue.
    """

    where: str
    statement: str
    weights: str | None = None
    network: str | None = None

    def load(self) -> Callable[..., Cue]:
        """The class; its module is imported only now."""
        module, cls = self.where.split(":")
        return cast("Callable[..., Cue]", getattr(import_module(module), cls))


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
    "speaking-asd": CueEntry(
        "gasp.cues.speaking_asd:SpeakingASD", "who speaks and is heard (Light-ASD)", "light-asd", "light_asd"
    ),
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
    return [CUES[name].load()() for name in names]
