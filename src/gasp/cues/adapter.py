"""The one place where objects of the earlier contract, which know no base class, become cues."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from gasp.cues.cue import Cue, CueResult, Found, FrameCue, Map
from gasp.cues.observation import Observation
from gasp.errors import UsageError


@runtime_checkable
class OldFrameCue(Protocol):
    """What a cue was that looks at one frame; it may write into the faces' ``found``."""

    name: str

    def step(self, observation: Observation) -> Map:
        """The map of this frame."""
        ...


@runtime_checkable
class OldWindowedCue(Protocol):
    """What a cue was that looks ahead; it may write into the faces' ``found``."""

    name: str
    future: int

    def push(self, observations: Sequence[Observation]) -> list[Map]:
        """The maps that are complete with these frames."""
        ...

    def finish(self) -> list[Map]:
        """The maps of the frames that still wait."""
        ...


@runtime_checkable
class _Listens(Protocol):
    sound_rate: int


@runtime_checkable
class _Counts(Protocol):
    failures: int


def as_cue(given: object) -> Cue:
    """The object itself if it is a cue; one of the earlier contract becomes one, with a DeprecationWarning.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(given, Cue):
        return given
    # One that has both methods was taken for the kind that looks ahead.
    if isinstance(given, OldWindowedCue):
        _warn(given, "Cue")
        return _AdaptedWindowedCue(given)
    if isinstance(given, OldFrameCue):
        _warn(given, "FrameCue")
        return _AdaptedFrameCue(given)
    raise UsageError(
        f"{type(given).__name__} is no cue: it must be a gasp.cues.cue.FrameCue with step(observation), or a "
        "gasp.cues.cue.Cue with push(observations)"
    )


class _AdaptedFrameCue(FrameCue):
    past = None  # nothing tells what it remembers

    def __init__(self, cue: OldFrameCue) -> None:
        self.name = cue.name
        self._cue = cue
        _take_over(self, cue)

    def step(self, observation: Observation) -> CueResult:
        own = _with_own_faces(observation)
        drawn = self._cue.step(own)
        _take_over(self, self._cue)
        return CueResult(drawn, _found_in(own))


class _AdaptedWindowedCue(Cue):
    past = None  # nothing tells what it remembers

    def __init__(self, cue: OldWindowedCue) -> None:
        self.name = cue.name
        self.future = int(cue.future)
        self._cue = cue
        self._waiting: deque[Observation] = deque()
        _take_over(self, cue)

    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        own = [_with_own_faces(observation) for observation in observations]
        self._waiting.extend(own)
        return self._results(self._cue.push(own))

    def finish(self) -> list[CueResult]:
        return self._results(self._cue.finish())

    def _results(self, maps: Sequence[Map]) -> list[CueResult]:
        _take_over(self, self._cue)
        if len(maps) > len(self._waiting):
            raise ValueError(f"it gave {len(maps)} maps while {len(self._waiting)} frames waited")
        return [CueResult(drawn, _found_in(self._waiting.popleft())) for drawn in maps]


def _warn(given: OldFrameCue | OldWindowedCue, base: str) -> None:
    warnings.warn(
        f"the cue {given.name!r} ({type(given).__name__}) should be a subclass of gasp.cues.cue.{base} and return what "
        "it found in a CueResult; other objects will not be accepted in a later version",
        DeprecationWarning,
        stacklevel=3,
    )


def _take_over(cue: Cue, old: object) -> None:
    """What an object of the earlier contract could state, and count."""
    if isinstance(old, _Listens):
        cue.sound_rate = int(old.sound_rate)
    if isinstance(old, _Counts):
        cue.failures = int(old.failures)


def _with_own_faces(observation: Observation) -> Observation:
    """The observation with faces that the object may write into."""
    return replace(observation, faces=[replace(face, found={}) for face in observation.faces])


def _found_in(observation: Observation) -> Found:
    return {face.track_id: dict(face.found) for face in observation.faces if face.found}
