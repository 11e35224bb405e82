"""What clients may ask of a node, and how it says no. Plain data: neither PyTorch nor ZeroMQ is needed.

The protocol is described for people who write clients in ``docs/node.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError
from gasp.messages import Limits, Message, ProtocolError

PORT = 5577
ADDRESS = f"tcp://127.0.0.1:{PORT}"
LIMIT_MIB = 32
"""Largest message that is taken unless told otherwise."""

Policy: TypeAlias = Literal["newest", "every"]
POLICIES: tuple[str, ...] = get_args(Policy)
ARRAYS = ("map", "contributions", "cues")
"""What a client may have sent back; "contributions" come with their baseline, "cues" are the drawn maps."""

AXES = {
    "focus": "pixels of the frame, x to the right, y down, (0, 0) the upper left corner",
    "focus_unit": "shares of width and height, 0..1, x to the right, y down",
    "focus_centred": "-1..1 from the middle of the frame, x to the right, y up",
    "box": "x1, y1, x2, y2 in pixels of the frame, x to the right, y down; (x2, y2) is the exclusive far corner",
    "map": "(h, w) over the whole frame, row 0 at the top",
}

LATEST = 1e10
"""Seconds, in the year 2286 on the clock of UNIX; much larger numbers would swallow the step from frame to frame."""
_LONGEST_NAME = 256
_LOUDEST_RATE = 192_000
_MOST_CHANNELS = 32

Code: TypeAlias = Literal["message", "hello", "frame", "full", "failed", "ending"]
"""Kinds of refusals: what came is no message of the protocol; a hello is missing or wrong; a frame cannot be used; too
many clients; computing failed; the node is ending."""


class RefusedError(InputError):
    """A request that is not served. ``code``: why, for programs; the message is for people."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def limits_of(size: int) -> Limits:
    """Limits of messages of at most ``size`` bytes: a compressed picture may show no more than a raw one could."""
    return Limits(message=size, pixels=size // 3)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client chooses for its stream.

    ``name``: shown in the status. ``fps``: frames per second that it expects to send, 25 unless told. ``arrays``: of
    :data:`ARRAYS`, that come with each result. ``policy``: what happens to a frame that arrives while two wait:
    "newest" drops the older one, "every" answers "busy".
    """

    name: str = ""
    fps: float = 25.0
    arrays: tuple[str, ...] = ("map",)
    policy: Policy = "newest"

    @property
    def step(self) -> float:
        """Seconds between frames."""
        return 1 / self.fps

    @classmethod
    def read(cls, body: dict[str, Any]) -> Hello:
        """The settings in the body of a hello. Raises :class:`RefusedError`."""
        usual = cls()
        name, fps = body.get("name", usual.name), body.get("fps", usual.fps)
        arrays, policy = body.get("arrays", list(usual.arrays)), body.get("policy", usual.policy)
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise RefusedError("hello", f"name must be a text of at most {_LONGEST_NAME} characters.")
        if not is_number(fps) or not 0.1 <= fps <= 1000:
            raise RefusedError("hello", f"fps must be a number in 0.1..1000, not {_shown(fps)}.")
        if not isinstance(arrays, list) or not all(array in ARRAYS for array in arrays):
            raise RefusedError(
                "hello", f"arrays must be a list of {', '.join(ARRAYS)}, not {_shown(arrays)}."
            )
        if policy not in POLICIES:
            raise RefusedError("hello", f"policy must be one of {', '.join(POLICIES)}, not {_shown(policy)}.")
        return cls(name, float(fps), tuple(array for array in ARRAYS if array in arrays), policy)


@dataclass(frozen=True, slots=True)
class Tag:
    """What a client says of a frame and finds again in its result.

    ``sequence``: its number, None where the client gave none and the node counts. ``stamp_ns``: on the client's clock.
    ``time``: in seconds, when the frame is shown, if the client says. ``frame_id``: in ROS a coordinate frame.
    ``sound_rate``: samples per second of the frame's sound, None: what the pipeline listens to.
    """

    sequence: int | None = None
    stamp_ns: int | None = None
    time: float | None = None
    frame_id: str = ""
    sound_rate: int | None = None

    @classmethod
    def read(cls, body: dict[str, Any]) -> Tag:
        """The tag in the body of a frame. Raises :class:`RefusedError`."""
        stamp, time = body.get("stamp_ns"), body.get("time")
        frame_id, rate = body.get("frame_id", ""), body.get("sound_rate")
        if stamp is not None and not is_whole(stamp, -(2**63), 2**64 - 1):
            raise RefusedError("frame", "stamp_ns must be a whole number of nanoseconds in 64 bits.")
        if time is not None and not (is_number(time) and abs(time) <= LATEST):
            raise RefusedError("frame", f"time must be seconds of at most {LATEST:.0e}, not {_shown(time)}.")
        if not isinstance(frame_id, str) or len(frame_id) > _LONGEST_NAME:
            raise RefusedError("frame", f"frame_id must be a text of at most {_LONGEST_NAME} characters.")
        if rate is not None and not is_whole(rate, 1000, _LOUDEST_RATE):
            raise RefusedError(
                "frame", f"sound_rate must be a whole number in 1000..{_LOUDEST_RATE}, not {_shown(rate)}."
            )
        return cls(read_sequence(body), stamp, None if time is None else float(time), frame_id, rate)


def read_sequence(body: dict[str, Any]) -> int | None:
    """The number of a frame, None without. Raises :class:`RefusedError`."""
    sequence = body.get("sequence")
    if sequence is not None and not is_whole(sequence, 0, 2**64 - 1):
        raise RefusedError("frame", f"sequence must be a whole number in 0..2^64-1, not {_shown(sequence)}.")
    return sequence


def read_image(message: Message) -> NDArray[np.uint8]:
    """The picture of a frame, uint8 RGB (h, w, 3), the caller's own. Raises :class:`RefusedError`."""
    try:
        image = message.array("image")
    except ProtocolError as error:
        raise RefusedError("frame", str(error)) from error
    if image.dtype == np.uint8 and image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    check_picture(image)
    return np.array(image, np.uint8, order="C")


def check_picture(image: NDArray[Any]) -> None:
    """Raises :class:`RefusedError` for what is no picture, uint8 RGB (h, w, 3)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise RefusedError("frame", f"image must be uint8 RGB (h, w, 3), not {image.dtype} {image.shape}.")


def read_sound(message: Message) -> NDArray[np.float32] | None:
    """The sound of a frame as mono float32 (n,), None without. Raises :class:`RefusedError`."""
    sound = message.arrays.get("sound")
    if sound is None:
        return None
    sound = message.array("sound")
    if sound.dtype != np.float32 or sound.ndim not in (1, 2) or sound.shape[1:] > (_MOST_CHANNELS,):
        raise RefusedError(
            "frame", f"sound must be float32 (n,) or (n, channels), not {sound.dtype} {sound.shape}."
        )
    if sound.ndim == 2 and not sound.shape[1]:
        raise RefusedError("frame", "sound has no channels.")
    # Damaged samples are silence, as they are to the cues.
    clean = np.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0)
    return np.asarray(clean if clean.ndim == 1 else clean.mean(axis=1), np.float32)


def error_reply(error: InputError, sequence: int | None = None) -> Message:
    """The answer to a request that is not served."""
    code = error.code if isinstance(error, RefusedError) else "message"
    body: dict[str, Any] = {"reason": str(error), "code": code}
    if sequence is not None:
        body["sequence"] = sequence
    return Message("error", body)


def is_number(value: object) -> bool:
    """Whether it is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object, least: int, most: int) -> bool:
    """Whether it is a whole number in a range."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _shown(value: object) -> str:
    """A value in an error message, which stays short whatever somebody sent."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
