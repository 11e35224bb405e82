"""A client of the network node. Needs ZeroMQ, msgpack and NumPy, no PyTorch: it runs on a robot's small computer."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError, UsageError
from gasp.messages import Encoded, Limits, Message, ProtocolError, pack, unpack
from gasp.messages.zeromq import check_address, load_zmq, set_options
from gasp.node.keys import CLIENT, SERVER, read_key
from gasp.node.protocol import ADDRESS, Policy, check_picture

_LIMITS = Limits(header=2**24, message=2**30)
"""Of what the node sends, which its client trusts."""


class NodeError(InputError):
    """The node refused a request. ``code``: why, for programs (see ``docs/node.md``); ``sequence``: of the frame."""

    def __init__(self, reason: str, code: str, sequence: int | None = None) -> None:
        super().__init__(f"The node answered: {reason}")
        self.code = code
        self.sequence = sequence


class ConnectionLostError(InputError):
    """The node is not there, or not there any more. The next request connects again."""


@dataclass(frozen=True, slots=True)
class NodeFace:
    """A person's face.

    ``id`` stays with the person; ``box``: x1, y1, x2, y2 in pixels, y down; ``score``: of the detector, 0..1;
    ``attention``: share (0..1) of the map's mass on the face; ``why``: by cue, what it adds to that, in percentage
    points; ``found``: what cues say of the face; ``observed``: False while the tracker bridges a gap.
    """

    id: int
    box: tuple[float, float, float, float]
    score: float
    attention: float
    why: dict[str, float]
    found: dict[str, float | str]
    observed: bool = True


@dataclass(frozen=True, slots=True)
class NodeResult:
    """Where people look in one frame.

    ``sequence``, ``stamp_ns`` and ``frame_id`` are those that the frame was sent with. ``time``: when it is shown, in
    seconds. ``size``: its width and height. ``map``: float32 (h, w) in 0..1 over the whole frame, None where it was not
    asked for. ``focus``: the most salient point in pixels, y down; ``focus_unit``: in 0..1, y down; ``focus_centred``:
    in -1..1 from the middle, x to the right and y *up*. ``focus_value``: of the map there. ``entropy``: of the map, in
    bits. ``why``: by cue, the share of the map's mass that it moves, None without contributions. ``gates``: None where
    the fusion has none. ``cut``: a shot begins. ``failed``: there is no proper map. ``diagnostics``: seconds "waited",
    "decoded" and "computed", "events" that went wrong since the result before, "time_shifted", "began_anew".
    ``arrays``: the others that were asked for: "contributions" (cues, h, w) with the cues' names in
    ``contribution_names``, "baseline" (h, w), and "cue:<name>". ``message``: all of it as it came, to be passed on.
    """

    sequence: int
    stamp_ns: int | None
    frame_id: str
    time: float
    size: tuple[int, int]
    map: NDArray[np.float32] | None = field(repr=False)
    focus: tuple[float, float]
    focus_unit: tuple[float, float]
    focus_centred: tuple[float, float]
    focus_value: float
    entropy: float
    why: dict[str, float] | None
    gates: dict[str, float] | None
    faces: list[NodeFace]
    cut: bool
    failed: bool
    diagnostics: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(repr=False)
    contribution_names: tuple[str, ...] = ()
    message: Message | None = field(default=None, repr=False)

    @classmethod
    def from_message(cls, message: Message) -> NodeResult:
        """The result in a message of the kind "result". Raises :class:`ProtocolError`."""
        body, arrays = message.body, {name: message.array(name) for name in message.arrays}
        try:
            values: dict[str, Any] = {name: body[name] for name in _SAME}
            values |= {name: tuple(body[name]) for name in _TUPLES}
            return cls(
                **values,
                faces=[NodeFace(**{**face, "box": tuple(face["box"])}) for face in body["faces"]],
                map=arrays.pop("map", None),
                arrays=arrays,
                contribution_names=tuple(body.get("contributions", {}).get("names", ())),
                message=message,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(f"A result that is not what the protocol says: {error}.") from error


_SAME = (
    *("sequence", "stamp_ns", "frame_id", "time", "focus_value", "entropy", "why", "gates"),
    *("cut", "failed", "diagnostics"),
)
_TUPLES = ("size", "focus", "focus_unit", "focus_centred")


@dataclass(frozen=True, slots=True)
class NodeReply:
    """What came of a frame. ``kind``: "result", "accepted" (none is complete yet), "dropped" or "busy".

    ``answers``: the sequence of the frame that was sent; ``result``: that of an earlier frame where the pipeline looks
    ahead, None with the other kinds.
    """

    kind: str
    answers: int | None
    result: NodeResult | None = None


class NodeClient:
    """A connection to a node, whose frames are one stream; a context manager.

    Args:
        address: of the node.
        name: shown in the node's status.
        fps: frames per second that will be sent.
        arrays: which come with each result: "map", "contributions", "cues".
        policy: what the node does with a frame that is sent while two wait, by :meth:`send`: "newest" drops the older
            one, "every" answers "busy".
        timeout: seconds to wait for the node.
        quality: send pictures as JPEG of this quality (1..100); None: as they are.
        keys: folder with client.key_secret and server.key, where the node asks for keys.

    Raises:
        ConnectionLostError: No node answers.
        NodeError: It serves too many clients already.
        UsageError: ZeroMQ is missing, or an argument does not fit.

    After the connection was lost, or a time-out, the next request connects anew, with a new stream.
    ``welcome`` is what the node said of itself: its pipeline, cues, latency in frames, sound_rate, and limits.
    """

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        name: str = "",
        fps: float = 25.0,
        arrays: tuple[str, ...] = ("map",),
        policy: Policy = "newest",
        timeout: float = 10.0,
        quality: int | None = None,
        keys: str | Path | None = None,
    ) -> None:
        self._zmq = load_zmq()
        self.address = check_address(address)
        self._hello = {"name": name, "fps": fps, "arrays": list(arrays), "policy": policy}
        self._timeout = timeout
        self._quality = quality
        self._keys = None if keys is None else Path(keys)
        self._context = self._zmq.Context()
        self._socket: Any = None
        self._monitor: Any = None
        self._count = 0
        self._early: deque[Message] = deque()
        self.welcome: dict[str, Any] = {}
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> NodeClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye, so that the node forgets this stream at once."""
        if self._socket is not None:
            with suppress(self._zmq.ZMQError):  # nobody is there who could forget
                self._socket.send_multipart(pack(Message("bye")), self._zmq.NOBLOCK)
            self._hang_up(linger=200)
        self._context.destroy(linger=200)

    def step(
        self,
        image: NDArray[np.uint8],
        *,
        sequence: int | None = None,
        stamp_ns: int | None = None,
        time: float | None = None,
        frame_id: str = "",
        sound: NDArray[np.float32] | None = None,
        sound_rate: int | None = None,
    ) -> NodeResult | None:
        """Send a frame and wait for what comes of it.

        Args:
            image: uint8 RGB (h, w, 3).
            sequence: its number; counted from 0 where it is left out.
            stamp_ns: nanoseconds on a clock of yours, handed back with the result.
            time: seconds at which it is shown; else ``stamp_ns`` tells, else ``fps``.
            frame_id: handed back with the result.
            sound: float32 (n,) or (n, channels) from this frame to the next.
            sound_rate: its samples per second, where that is not the node's ``welcome["sound_rate"]``.

        Returns:
            The next result, of this frame or, where the pipeline looks ahead, of an earlier one; None while none is
            complete.

        Raises:
            ConnectionLostError: The node does not answer in time, or ended.
            NodeError: It refuses the frame.
        """
        message = self._frame(image, sequence, stamp_ns, time, frame_id, sound, sound_rate)
        try:
            return self._ask(message).result
        except NodeError as error:
            if error.code != "hello":
                raise
        # We were silent for so long that the node has forgotten us.
        self._hang_up()
        return self._ask(message).result

    def send(
        self,
        image: NDArray[np.uint8],
        *,
        sequence: int | None = None,
        stamp_ns: int | None = None,
        time: float | None = None,
        frame_id: str = "",
        sound: NDArray[np.float32] | None = None,
        sound_rate: int | None = None,
    ) -> int:
        """Send a frame as :meth:`step` does and do not wait; its number.

        Every frame has one reply, for :meth:`receive`. Not to be mixed with :meth:`step`, which pays no heed to replies
        to other frames.
        """
        message = self._frame(image, sequence, stamp_ns, time, frame_id, sound, sound_rate)
        self._send(message, self._deadline())
        return int(message.body["sequence"])

    def receive(self, timeout: float | None = None) -> NodeReply:
        """The next reply to a frame that was sent; waits at most ``timeout`` seconds.

        Raises:
            ConnectionLostError: None came in time, or the connection is lost.
            NodeError: A frame was refused.
        """
        return self._receive(self._deadline(timeout))

    def flush(self) -> list[NodeResult]:
        """Results of all frames that were sent and have none yet; what is sent afterwards begins a new stream."""
        results: list[NodeResult] = []
        asked = False
        while True:
            deadline = self._deadline()
            if not asked:
                self._send(Message("flush"), deadline)
            reply = self._receive(deadline)
            # Frames that were sent before are answered first.
            asked = reply.answers is not None
            if reply.result is not None:
                results.append(reply.result)
            if reply.kind == "done":
                return results

    def status(self) -> dict[str, Any]:
        """How the node is doing: clients, results per second, delays, load."""
        deadline = self._deadline()
        self._send(Message("status"), deadline)
        while (message := self._receive_new(deadline)).kind != "status":
            self._early.append(message)
        return message.body

    def _frame(
        self,
        image: NDArray[np.uint8],
        sequence: int | None,
        stamp_ns: int | None,
        time: float | None,
        frame_id: str,
        sound: NDArray[np.float32] | None,
        sound_rate: int | None,
    ) -> Message:
        check_picture(image)
        sequence = self._count if sequence is None else int(sequence)
        self._count = sequence + 1
        body: dict[str, Any] = {"sequence": sequence, "frame_id": frame_id}
        for name, value in (("stamp_ns", stamp_ns), ("time", time), ("sound_rate", sound_rate)):
            if value is not None:
                body[name] = value
        arrays: dict[str, NDArray[Any] | Encoded] = {
            "image": image if self._quality is None else Encoded(image, "jpeg", self._quality)
        }
        if sound is not None:
            arrays["sound"] = np.asarray(sound, np.float32)
        return Message("frame", body, arrays)

    def _ask(self, message: Message) -> NodeReply:
        """Send a frame, and wait for its own reply: late ones to frames whose time was up may come first."""
        deadline = self._deadline()
        self._send(message, deadline)
        sequence = message.body["sequence"]
        while True:
            try:
                reply = self._receive(deadline)
            except NodeError as error:
                if error.sequence in (sequence, None):
                    raise
                continue
            if reply.answers == sequence:
                return reply

    def _deadline(self, timeout: float | None = None) -> float:
        return time.monotonic() + (self._timeout if timeout is None else timeout)

    def _send(self, message: Message, deadline: float) -> None:
        self._hear_monitor()
        if self._socket is None:
            self._connect()
        parts = pack(message)
        size, most = sum(len(part) for part in parts), self.welcome["limits"]["message"]
        if size > most:
            raise InputError(
                f"A message of {size} bytes; the node takes at most {most}: send smaller pictures, use quality=90, or "
                "start the node with a larger --limit."
            )
        self._wait(self._zmq.POLLOUT, deadline)
        self._socket.send_multipart(parts)

    def _receive(self, deadline: float) -> NodeReply:
        while True:
            message = self._receive_message(deadline)
            body = message.body
            if message.kind == "error":
                raise NodeError(str(body.get("reason")), str(body.get("code")), body.get("answers"))
            if message.kind == "result":
                return NodeReply("result", body.get("answers"), NodeResult.from_message(message))
            if message.kind in ("accepted", "dropped", "busy", "done"):
                return NodeReply(message.kind, body.get("answers"))

    def _receive_message(self, deadline: float) -> Message:
        return self._early.popleft() if self._early else self._receive_new(deadline)

    def _receive_new(self, deadline: float) -> Message:
        if self._socket is None:
            raise ConnectionLostError(f"There is no connection to {self.address}: send something first.")
        self._wait(self._zmq.POLLIN, deadline)
        return unpack([frame.buffer for frame in self._socket.recv_multipart(copy=False)], _LIMITS)

    # The connection.

    def _connect(self) -> None:
        zmq = self._zmq
        socket = self._context.socket(zmq.DEALER)
        set_options(
            socket,
            linger=0,
            immediate=1,  # nothing is queued for a node that is not there
            ipv6="[" in self.address,
            heartbeat_ivl=5000,
            heartbeat_timeout=15000,
        )
        if self._keys is not None:
            own = read_key(self._keys / f"{CLIENT}.key_secret", secret=True)
            server = read_key(self._keys / f"{SERVER}.key", secret=False)
            set_options(
                socket,
                curve_publickey=own.public,
                curve_secretkey=own.secret,
                curve_serverkey=server.public,
            )
        self._socket = socket
        self._monitor = socket.get_monitor_socket(
            zmq.EVENT_DISCONNECTED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        deadline = self._deadline()
        try:
            socket.connect(self.address)
        except zmq.ZMQError as error:
            self._hang_up()
            raise UsageError(f"{self.address} cannot be reached: {error.strerror or error}") from error
        self._wait(zmq.POLLOUT, deadline, greeting=True)
        socket.send_multipart(pack(Message("hello", self._hello)))
        while True:
            self._wait(zmq.POLLIN, deadline, greeting=True)
            message = unpack(socket.recv_multipart(), _LIMITS)
            if message.kind == "welcome":
                self.welcome = message.body
                return
            if message.kind == "error":
                self._hang_up()
                raise NodeError(str(message.body.get("reason")), str(message.body.get("code")))

    def _wait(self, event: int, deadline: float, *, greeting: bool = False) -> None:
        """Until the socket can be read or written. Raises :class:`ConnectionLostError`."""
        zmq = self._zmq
        poller = zmq.Poller()
        poller.register(self._socket, event)
        poller.register(self._monitor, zmq.POLLIN)
        while True:
            left = deadline - time.monotonic()
            ready = dict(poller.poll(max(0, 1000 * left)))
            if self._socket in ready:
                return
            if self._monitor in ready:
                self._hear_monitor(greeting=greeting)
                if self._socket is None:
                    raise ConnectionLostError(
                        f"The connection to the node at {self.address} was lost: it has ended, or what was sent was no "
                        "message that it takes. The next request connects again."
                    )
            elif left <= 0:
                self._hang_up()
                raise ConnectionLostError(
                    f"No node answers at {self.address}: start one with gasp node."
                    if greeting
                    else f"The node at {self.address} did not answer within {self._timeout:g} s."
                )

    def _hear_monitor(self, *, greeting: bool = False) -> None:
        """Take notice of what happened to the connection. While it is being made it is tried again and again."""
        if self._monitor is None:
            return
        from zmq.utils.monitor import recv_monitor_message

        zmq = self._zmq
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_DISCONNECTED and greeting:
                continue
            self._hang_up()
            if event in (zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL):
                raise ConnectionLostError(
                    f"The node at {self.address} does not let us in: it wants other keys (keys=FOLDER)."
                )
            return

    def _hang_up(self, linger: int = 0) -> None:
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(linger)
            self._socket = self._monitor = None
        self._early.clear()
