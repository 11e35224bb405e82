"""For authors of programs: cues and face detectors that a pipeline starts as a process, or reaches at an address.

In such a process, importing this keeps standard output for messages: what is printed goes to standard error.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from gasp.messages.message import Message, ProtocolError
from gasp.messages.pipes import PROGRAM, read_message, write_message

_messages: BinaryIO | None = None
"""Where a program writes its messages, once that was taken."""

Map: TypeAlias = NDArray[np.uint8]
Found: TypeAlias = Mapping[int, Mapping[str, float | str]]


@dataclass(frozen=True, slots=True)
class SeenFace:
    """A face: ``id`` stays with the person; ``box`` left, top, right, bottom in pixels of the frame's image."""

    id: int
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """What a program is told of one frame.

    ``image``: RGB uint8 (h, w, 3), read-only. ``time``: seconds. ``step``: seconds since the frame before. ``cut``: a
    shot begins here. ``sound``: float32 samples at ``sound_rate`` that belong to the frame, where the pipeline asks for
    sound and there is some. ``ahead``: the frames after it, as many as were asked for, fewer at the end.
    """

    number: int
    image: NDArray[np.uint8]
    time: float = 0.0
    step: float = 0.04
    cut: bool = False
    faces: tuple[SeenFace, ...] = ()
    sound: NDArray[np.float32] | None = None
    sound_rate: int = 16000
    ahead: tuple[SeenFrame, ...] = field(default=(), repr=False)


Look: TypeAlias = Callable[[SeenFrame], "Map | tuple[Map, Found]"]
Detect: TypeAlias = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]


def serve_cue(
    look: Look | Callable[[], Look],
    *,
    past: int | None = None,
    future: int = 0,
    address: str | None = None,
    trusted_network: bool = False,
) -> None:
    """Answers a pipeline's frames until it has no more; at an address, those of several, until it is told to end.

    What a program that a pipeline started prints goes to standard error, since standard output is for messages.

    Args:
        look: gives the map of a frame, uint8 grey (h, w) or RGB (h, w, 3) of any size, alone or with what it says of
            faces: by their ``id``, names and values. Or a class, or a function without parameters, that gives such a
            function: every stream then has its own, with what it remembers.
        past: frames before its own on which a map depends; checked against what the pipeline's file says. None: what
            that says.
        future: frames that ``look`` needs in ``frame.ahead``.
        address: where pipelines reach it over ZeroMQ, ``tcp://127.0.0.1:port`` or ``ipc://path``; None: over standard
            input and output, from the one that started it.
        trusted_network: whether an address that other machines reach is served too: everybody there may use it.

    Raises:
        UsageError: The address is none, or others reach it, or ZeroMQ is not installed.
        GaspError: The address cannot be served.
    """
    needs = {"future": future} if past is None else {"past": past, "future": future}
    make = _maker_of(look)
    _serve(lambda: _Answers(partial(_map_of, make()), needs, future), address, trusted_network)


def serve_detector(
    detect: Detect | Callable[[], Detect], *, address: str | None = None, trusted_network: bool = False
) -> None:
    """Answers a pipeline's frames with faces, otherwise as :func:`serve_cue` does.

    Args:
        detect: gives boxes (n, 4), left, top, right, bottom in pixels of the image, and scores (n,) in 0..1. Or what
            gives such a function, one for every stream.
        address: as for :func:`serve_cue`.
        trusted_network: as for :func:`serve_cue`.
    """
    make = _maker_of(detect)
    _serve(lambda: _Answers(partial(_faces_of, make()), {}, 0), address, trusted_network)


def _maker_of(function: Callable[..., Any]) -> Callable[[], Callable[..., Any]]:
    """What gives the function for a stream: the function itself unless it is made anew for each."""
    try:
        is_made = inspect.isclass(function) or not inspect.signature(function).parameters
    except (TypeError, ValueError):
        is_made = False  # one in C, which does not tell
    return function if is_made else lambda: function


def _map_of(look: Look, frame: SeenFrame) -> Message:
    given = look(frame)
    drawn, found = given if isinstance(given, tuple) else (given, cast("Found", {}))
    body = {"number": frame.number, "found": {face: dict(said) for face, said in found.items()}}
    return Message("result", body, {"map": drawn})


def _faces_of(detect: Detect, frame: SeenFrame) -> Message:
    boxes, scores = (np.asarray(given, np.float32) for given in detect(frame.image))
    arrays = {"boxes": boxes.reshape(-1, 4), "scores": scores.reshape(-1)}
    return Message("result", {"number": frame.number}, arrays)


class _Answers:
    """Answers one stream of frames, as :class:`gasp.messages.streams.Stream` says; ``needs``: what it asks for."""

    def __init__(self, answer: Callable[[SeenFrame], Message], needs: dict[str, Any], future: int) -> None:
        self._answer = answer
        self._needs = needs
        self._future = future
        self._waiting: deque[SeenFrame] = deque()

    def greet(self) -> Message:
        return Message("ready", self._needs)

    def take(self, message: Message) -> Iterator[Message]:
        self._waiting.append(_read_frame(message))
        return self._answer_until(self._future)

    def end(self) -> Iterator[Message]:
        return self._answer_until(0)

    def _answer_until(self, left: int) -> Iterator[Message]:
        while len(self._waiting) > left:
            frame = self._waiting.popleft()
            yield self._answer(replace(frame, ahead=tuple(self._waiting)))


def _serve(begin: Callable[[], _Answers], address: str | None, trusted_network: bool) -> None:
    if address is not None:
        # ZeroMQ is not needed otherwise.
        from gasp.messages.streams import serve_streams

        serve_streams(begin, address, trusted_network=trusted_network)
        return
    messages = _messages or _take_output()
    greeting = read_message(sys.stdin.buffer)
    if greeting is None:
        return
    answers = begin()
    write_message(messages, answers.greet())
    while (message := read_message(sys.stdin.buffer)) is not None and message.kind == "frame":
        for answer in answers.take(message):
            write_message(messages, answer)
    for answer in answers.end():
        write_message(messages, answer)


def _take_output() -> BinaryIO:
    """Standard output, from which everything that is printed is kept away."""
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout.flush()  # what was printed before goes to standard error, too
    sys.stdout = sys.stderr
    return messages


def _read_frame(message: Message) -> SeenFrame:
    """The frame that is told. Raises :class:`ProtocolError` where it is not what the protocol says."""
    body, image = message.body, message.array("image")
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
        raise ProtocolError(f"An image that is {image.dtype} {image.shape}, not uint8 (h, w, 3).")
    try:
        return SeenFrame(
            number=int(body["number"]),
            image=image,
            time=body.get("time", 0.0),
            step=body.get("step", 0.04),
            cut=body.get("cut", False),
            faces=tuple(SeenFace(f["id"], tuple(f["box"]), f["score"]) for f in body.get("faces", ())),
            sound=message.array("sound") if "sound" in message.arrays else None,
            sound_rate=body.get("sound_rate", 16000),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"A frame that is not what the protocol says: {error!r}.") from error


if os.environ.pop(PROGRAM, None):
    _messages = _take_output()
