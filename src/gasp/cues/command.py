"""A cue that is a program of its own, in any language, here or on another machine."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.cues.cue import Cue, CueResult, Found, UnfinishedError
from gasp.cues.observation import Observation
from gasp.messages.connecting import connector
from gasp.messages.conversation import FAREWELL, Conversation
from gasp.messages.link import ProgramError
from gasp.messages.message import Message


class CommandCue(Cue):
    """Sends frames to a program and takes its maps: see docs/external.md for what is said.

    The program is started, or connected to, with the first frame and works while the other cues do.

    Args:
        name: of the modality.
        command: the program and its arguments; None where it is reached at an address.
        address: where it serves: ``tcp://host:port`` or ``ipc://path``.
        past: frames before its own on which a map depends, None for all.
        future: frames that it looks ahead.
        sound_rate: samples per second of the sound that it is sent, None for no sound.
        size: width and height at which frames are sent; None: the working size.
        timeout: seconds for an answer.
        start_timeout: seconds for the first one.
        restarts: how often it is started, or connected to, again after it failed.

    Raises:
        UsageError: There is no such program, or the address is none.
    """

    needs_saliency = False
    elsewhere = True

    def __init__(
        self,
        name: str,
        command: Sequence[str] | None = None,
        *,
        address: str | None = None,
        past: int | None = 0,
        future: int = 0,
        sound_rate: int | None = None,
        size: tuple[int, int] | None = None,
        timeout: float = 2.0,
        start_timeout: float = 20.0,
        restarts: int = 3,
    ) -> None:
        self.name = name
        self.past, self.future = past, future
        self.sound_rate = sound_rate or type(self).sound_rate
        self.restarts = restarts
        self._connect = connector(f"cue {name!r}", command, address)
        self._hears = sound_rate is not None
        self._size = size
        self._timeout, self._start_timeout = timeout, start_timeout
        self._step = 0.04
        self._conversation: Conversation | None = None
        self._asked: deque[Observation] = deque()

    def begin(self, step: float) -> None:
        """What the program is told as the nominal step."""
        self._step = step

    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """The results that are complete with these frames."""
        return self.submit(observations)()

    def submit(self, observations: Sequence[Observation]) -> Callable[[], list[CueResult]]:
        """Sends the frames; the function takes the results."""
        if self._conversation is None and observations:
            self._conversation = self._greet(observations[0])
        for observation in observations:
            assert self._conversation is not None
            # Without the cue itself: one that is forgotten ends its program, also with messages on the way.
            make = partial(tell, observation, self._size, hears=self._hears)
            self._conversation.ask(observation.number, make)
            self._asked.append(observation)
        return partial(self._take, self.future)

    def finish(self) -> list[CueResult]:
        """Says the end, and takes the results that still wait."""
        if self._conversation is None:
            return []
        self._conversation.end()
        results = self._take(0)
        self._conversation.close(FAREWELL)
        return results

    def close(self) -> None:
        """Ends the program."""
        if self._conversation is not None:
            self._conversation.close(0.0 if self._asked else FAREWELL)

    def _greet(self, first: Observation) -> Conversation:
        height, width = sent_picture(first, self._size).shape[:2]
        hello = {
            "kind": "cue",
            "name": self.name,
            "width": width,
            "height": height,
            "step": self._step,
            "past": self.past,
            "future": self.future,
            "sound_rate": first.sound_rate if self._hears else None,
        }
        return Conversation(self._connect(), hello, timeout=self._timeout, start_timeout=self._start_timeout)

    def _take(self, left: int) -> list[CueResult]:
        """Results until no more than ``left`` frames wait."""
        results: list[CueResult] = []
        while len(self._asked) > left:
            assert self._conversation is not None
            try:
                results.append(read_result(self._conversation.answer()))
            except (ProgramError, ValueError) as error:
                raise UnfinishedError(results, error) from error
            self._asked.popleft()
        return results


def tell(observation: Observation, size: tuple[int, int] | None, *, hears: bool) -> Message:
    """The message about a frame, at this width and height (None: the working size), with its sound if it ``hears``."""
    picture = sent_picture(observation, size)
    across = picture.shape[1] / observation.frame.width
    down = picture.shape[0] / observation.frame.height
    body = {
        "number": observation.number,
        "time": observation.frame.time,
        "step": observation.step,
        "cut": observation.cut,
        "faces": [
            {
                "id": face.track_id,
                "box": [float(v) for v in np.multiply(face.box, (across, down, across, down))],
                "score": float(face.score),
            }
            for face in observation.faces
        ],
    }
    arrays: dict[str, NDArray[np.generic]] = {"image": picture}
    if hears and observation.sound is not None:
        body["sound_rate"] = observation.sound_rate
        arrays["sound"] = observation.sound
    return Message("frame", body, arrays)


def sent_picture(observation: Observation, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """The frame at this width and height, or at working size."""
    return observation.small if size is None else resized(observation.frame.image, size)


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture at this width and height."""
    shrinks = image.shape[1] >= size[0] and image.shape[0] >= size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def read_result(message: Message) -> CueResult:
    """What a program said of one frame.

    Raises:
        ProgramError: Its map or what it found is not of the form that it must have.
    """
    drawn = message.arrays.get("map")
    if not isinstance(drawn, np.ndarray):
        raise ProgramError("wrong answer", 'there is no array "map" in its result')
    if drawn.dtype != np.uint8 or drawn.shape[2:] not in ((), (3,)) or drawn.ndim < 2 or not drawn.size:
        raise ProgramError(
            "wrong answer", f"its map is {drawn.dtype} {drawn.shape}, not uint8 (h, w) or (h, w, 3)"
        )
    return CueResult(drawn, _read_found(message.body.get("found") or {}))


def _read_found(found: object) -> Found:
    if not isinstance(found, Mapping):
        raise ProgramError("wrong answer", "what it found is no map of faces")
    return {_read_id(face): _read_said(said) for face, said in found.items()}


def _read_id(face: object) -> int:
    # In some languages the names in a map are always texts.
    try:
        return int(str(face))
    except ValueError:
        raise ProgramError("wrong answer", f"it found something of {face!r}, which is no face's id") from None


def _read_said(said: object) -> dict[str, float | str]:
    if not isinstance(said, Mapping):
        raise ProgramError("wrong answer", f"what it found of a face is {said!r}, not names and values")
    for name, value in said.items():
        proper = isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))
        if not isinstance(name, str) or not proper:
            raise ProgramError("wrong answer", f"it found {name!r}: {value!r}; values are numbers or texts")
    return dict(said)
