"""Serves a program's answers at an address, to several pipelines at once."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from gasp.errors import GaspError, UsageError
from gasp.messages.message import Limits, Message, Part, ProtocolError, pack, unpack
from gasp.messages.zeromq import check_address, check_free, is_local, load_zmq, set_options

STREAMS = 64
"""How many streams are served at once."""

IDLE = 600.0
"""Seconds of silence after which a stream is forgotten."""

_POLL_MS = 1000
_LAST_WORDS_MS = 500
_STUCK_MS = 1000
"""How long one that does not read its answers may hold up the others, once."""


class Stream(Protocol):
    """The answers to one pipeline's frames, with what they remember."""

    def greet(self) -> Message:
        """The answer to its greeting."""
        ...

    def take(self, message: Message) -> Iterable[Message]:
        """The answers that a frame completes. Raises :class:`ProtocolError` where the message is not a proper one."""
        ...

    def end(self) -> Iterable[Message]:
        """The answers that were held back."""
        ...


class _GoneError(Exception):
    """A peer is not there any more, or does not read what it is sent."""


class _EndedError(BaseException):
    """A signal asks us to end; no Exception, so that what looks at frames does not catch it."""


def serve_streams(begin: Callable[[], Stream], address: str, *, trusted_network: bool = False) -> None:
    """Serves until the process is interrupted or told to end.

    Args:
        begin: makes the stream of a pipeline that greets us.
        address: ``tcp://127.0.0.1:port`` or ``ipc://path``.
        trusted_network: whether an address that other machines reach is served too: everybody there may use it.

    Raises:
        UsageError: It is no address, others reach it and ``trusted_network`` is not set, or ZeroMQ is not installed.
        GaspError: It cannot be bound.
    """
    zmq = load_zmq()
    if not is_local(check_address(address)) and not trusted_network:
        raise UsageError(
            f"{address} can be reached from other machines, and nobody is asked who he is: serve tcp://127.0.0.1:5580 "
            "(ssh -L brings it elsewhere), or say trusted_network=True where everybody on the network may use it"
        )
    with suppress(_EndedError), _ended_by_signals():
        context = zmq.Context()
        try:
            _Server(zmq, _bind(zmq, context, address), begin).serve()
        finally:
            context.destroy(linger=_LAST_WORDS_MS)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise :class:`_EndedError`, where signals can be caught: in the main thread."""

    def end(_number: int, _frame: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # once is enough
        raise _EndedError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bind(zmq: Any, context: Any, address: str) -> Any:
    check_free(address)
    socket = context.socket(zmq.ROUTER)
    set_options(
        socket,
        linger=_LAST_WORDS_MS,
        # Of each part, before memory is taken for it.
        maxmsgsize=Limits().message,
        # What waits in ZeroMQ's own queues is bounded per peer.
        rcvhwm=8,
        sndhwm=64,
        sndtimeo=_STUCK_MS,
        # One that is gone, or that reads nothing, is an error and not silence.
        router_mandatory=1,
        handshake_ivl=5000,
        heartbeat_ivl=5000,
        heartbeat_timeout=15000,
        ipv6="[" in address,
    )
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        reason = (
            "it is in use: end the other program, or choose another address"
            if error.errno == zmq.EADDRINUSE
            else error.strerror or error
        )
        raise GaspError(f"{address} cannot be served: {reason}.") from error
    _say(f"serving {socket.getsockopt_string(zmq.LAST_ENDPOINT)}")
    return socket


@dataclass(slots=True)
class _Served:
    """A stream, and when it was heard last."""

    stream: Stream
    heard: float = field(default_factory=time.monotonic)


class _Server:
    """Answers what comes in at a socket, one message after another."""

    def __init__(self, zmq: Any, socket: Any, begin: Callable[[], Stream]) -> None:
        self._zmq = zmq
        self._socket = socket
        self._begin = begin
        self._served: dict[bytes, _Served] = {}

    def serve(self) -> None:
        while True:
            if self._socket.poll(_POLL_MS):
                identity, *parts = self._socket.recv_multipart(copy=False)
                self._receive(identity.bytes, [part.buffer for part in parts])
            self._forget_idle()

    def _receive(self, identity: bytes, parts: list[Part]) -> None:
        """One message. What is wrong with it, or with the work on it, costs its own stream only."""
        try:
            for answer in self._answer(identity, unpack(parts)):
                self._send(identity, answer)
        except ProtocolError as error:
            self._refuse(identity, str(error))
        except _GoneError:
            self._served.pop(identity, None)
        except Exception as error:
            _say(traceback.format_exc())
            self._refuse(identity, f"{type(error).__name__}: {error}")

    def _answer(self, identity: bytes, message: Message) -> Iterable[Message]:
        if message.kind == "bye":
            self._served.pop(identity, None)
            return ()
        if message.kind == "hello":
            return (self._greet(identity),)
        if message.kind not in ("frame", "end"):
            known = "hello, frame, end and bye"
            raise ProtocolError(f"A message of the kind {message.kind[:60]!r}; known are {known}.")
        served = self._served.get(identity)
        if served is None:
            raise ProtocolError("Say hello first; one that is silent for long is forgotten.")
        served.heard = time.monotonic()
        if message.kind == "frame":
            return served.stream.take(message)
        del self._served[identity]
        return served.stream.end()

    def _greet(self, identity: bytes) -> Message:
        self._served.pop(identity, None)
        if len(self._served) >= STREAMS:
            raise ProtocolError(f"{STREAMS} streams are served already, and no more.")
        served = _Served(self._begin())
        self._served[identity] = served
        return served.stream.greet()

    def _refuse(self, identity: bytes, reason: str) -> None:
        self._served.pop(identity, None)
        shown = reason[:1000].encode(errors="replace").decode()
        _say(f"an error for a stream: {shown}")
        with suppress(_GoneError):
            self._send(identity, Message("error", {"reason": shown}))

    def _send(self, identity: bytes, message: Message) -> None:
        parts = [identity, *pack(message)]
        try:
            self._socket.send_multipart(parts)
        except self._zmq.ZMQError as error:
            raise _GoneError from error

    def _forget_idle(self) -> None:
        oldest = time.monotonic() - IDLE
        for identity in [name for name, served in self._served.items() if served.heard < oldest]:
            del self._served[identity]


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it
        print(text, file=sys.stderr, flush=True)
