"""For authors of programs: cues and face detectors that a pipeline runs as a process of their own.

In such a process, importing this keeps standard output for messages: what is printed goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gasp.messages.message import Message
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


def serve_cue(
    look: Callable[[SeenFrame], Map | tuple[Map, Found]], *, past: int | None = None, future: int = 0
) -> None:
    """Answers a pipeline's frames until it has no more.

    What the program prints goes to standard error, since standard output is for messages.

    Args:
        look: gives the map of a frame, uint8 grey (h, w) or RGB (h, w, 3) of any size, alone or with what it says of
            faces: by their ``id``, names and values.
        past: frames before its own on which a map depends; checked against what the pipeline's file says. None: what
            that says.
        future: frames that ``look`` needs in ``frame.ahead``.
    """

    def answer(frame: SeenFrame) -> Message:
        given = look(frame)
        drawn, found = given if isinstance(given, tuple) else (given, {})
        body = {"number": frame.number, "found": {face: dict(said) for face, said in found.items()}}
        return Message("result", body, {"map": drawn})

    _serve(answer, {"future": future} if past is None else {"past": past, "future": future}, future)


def serve_detector(
    detect: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> None:
    """Answers a pipeline's frames with faces until it has no more.

    Args:
        detect: gives boxes (n, 4), left, top, right, bottom in pixels of the image, and scores (n,) in 0..1.
    """

    def answer(frame: SeenFrame) -> Message:
        boxes, scores = (np.asarray(given, np.float32) for given in detect(frame.image))
        return Message(
            "result", {"number": frame.number}, {"boxes": boxes.reshape(-1, 4), "scores": scores.reshape(-1)}
        )

    _serve(answer, {}, 0)


def _serve(answer: Callable[[SeenFrame], Message], needs: dict[str, Any], future: int) -> None:
    messages = _messages or _take_output()
    greeting = read_message(sys.stdin.buffer)
    if greeting is None:
        return
    write_message(messages, Message("ready", needs))
    for frame in _with_ahead(_frames(sys.stdin.buffer), future):
        write_message(messages, answer(frame))


def _take_output() -> BinaryIO:
    """Standard output, from which everything that is printed is kept away."""
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout.flush()  # what was printed before goes to standard error, too
    sys.stdout = sys.stderr
    return messages


def _frames(stream: BinaryIO) -> Iterator[SeenFrame]:
    while (message := read_message(stream)) is not None and message.kind == "frame":
        body = message.body
        yield SeenFrame(
            number=body["number"],
            image=message.array("image"),
            time=body.get("time", 0.0),
            step=body.get("step", 0.04),
            cut=body.get("cut", False),
            faces=tuple(SeenFace(f["id"], tuple(f["box"]), f["score"]) for f in body.get("faces", ())),
            sound=message.array("sound") if "sound" in message.arrays else None,
            sound_rate=body.get("sound_rate", 16000),
        )


def _with_ahead(frames: Iterator[SeenFrame], future: int) -> Iterator[SeenFrame]:
    waiting: deque[SeenFrame] = deque()
    for frame in frames:
        waiting.append(frame)
        if len(waiting) > future:
            yield replace(waiting.popleft(), ahead=tuple(waiting))
    while waiting:
        yield replace(waiting.popleft(), ahead=tuple(waiting))


if os.environ.pop(PROGRAM, None):
    _messages = _take_output()
