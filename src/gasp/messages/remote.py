"""Programs that run already, in another process or on another machine, and are spoken to over ZeroMQ.

One thread owns the socket of each, so that neither a program that does not read nor one that is not there can hold us
up; what waits in memory is bounded by what was asked.
"""

from __future__ import annotations

import os
import socket as sockets
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from gasp.messages.link import ProgramError
from gasp.messages.message import Limits, Message, ProtocolError, pack, unpack
from gasp.messages.zeromq import check_reachable, load_zmq, set_options

_HELD = 8
"""Messages to the program that ZeroMQ holds; the others wait unmade."""

_ANSWERS = 64
"""Answers that ZeroMQ holds before the program is held up."""

_GOODBYE_MS = 100
"""In which a last message should reach the program."""

_LEAVING = 2.0
"""Seconds in which the thread should end after that."""


class Remote:
    """A program that serves an address, a :class:`~gasp.messages.link.Link` over a ZeroMQ socket.

    It is looked for until an answer is due, so it may be started after us. When the connection is lost, the link is of
    no use any more; another one has a stream of its own at the program. The program itself goes on when it is closed.

    Args:
        address: ``tcp://host:port`` or ``ipc://path``.

    Raises:
        UsageError: That is no address, or ZeroMQ is not installed.
    """

    def __init__(self, address: str) -> None:
        self._line = _Line(check_reachable(address), load_zmq())
        self._line.thread.start()
        # The thread holds only what they share, so that a link that nobody uses any more is closed.
        self._end = weakref.finalize(self, self._line.end, 0.0)

    def send(self, make: Callable[[], Message], *, answered: bool = True) -> None:
        """Sends what ``make`` makes; never waits."""
        self._line.put(make, int(answered))

    def receive(self, timeout: float) -> Message:
        """The next answer."""
        try:
            answer = self._line.answers.get(timeout=max(0.0, timeout))
        except Empty:
            there = "it" if self._line.connected else "nobody is there, or no such program; it"
            raise self.failure("does not answer", f"{there} gave no answer within {timeout:.3g} s") from None
        if isinstance(answer, ProgramError):
            raise answer
        return answer

    def failure(self, fault: str, details: str) -> ProgramError:
        """An error that names the address."""
        return self._line.failure(fault, details)

    def close(self, patience: float = 0.0) -> None:
        """Says goodbye and closes the socket; may be called again."""
        if self._end.detach() is not None:
            self._line.end(patience)


class _Line:
    """What the thread of a link shares with those who use it."""

    def __init__(self, address: str, zmq: Any) -> None:
        self.address = address
        self.answers: SimpleQueue[Message | ProgramError] = SimpleQueue()
        self.connected = False
        self.thread = threading.Thread(target=self._run, name="link to a program", daemon=True)
        self._zmq = zmq
        self._limits = Limits()
        self._outgoing: deque[Callable[[], Message]] = deque()
        self._owner = os.getpid()
        self._expected = 0
        self._lock = threading.Lock()
        self._until: float | None = None
        # Unlike a socket of ZeroMQ, any thread may ring this one.
        self._bell, self._rope = sockets.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)

    def put(self, make: Callable[[], Message], answers: int) -> None:
        """One more message to send, and so many more answers to expect."""
        with self._lock:
            self._expected += answers
        self._outgoing.append(make)
        self._ring()

    def failure(self, fault: str, details: str) -> ProgramError:
        """As :meth:`Remote.failure`."""
        return ProgramError(fault, f"{self.address}: {details}")

    def end(self, patience: float) -> None:
        """Sends what waits within so many seconds, and ends the thread."""
        if os.getpid() != self._owner:
            return  # a fork of us, which has no such thread
        self._until = time.monotonic() + patience
        self._ring()
        if self.thread is not threading.current_thread():
            self.thread.join(patience + _LEAVING)
        self._rope.close()

    def _ring(self) -> None:
        with suppress(OSError):  # it has rung often enough, or nobody hears it any more
            self._rope.send(b"!")

    def _run(self) -> None:
        context = self._zmq.Context()
        try:
            self._converse(*self._connect(context))
        except ProgramError as error:
            self.answers.put(error)
        except Exception as error:  # a fault of ours must not be silence
            self.answers.put(self.failure("cannot be reached", f"it cannot be reached: {error}"))
        finally:
            self._outgoing.clear()  # what it holds may be forgotten
            self._bell.close()
            context.destroy(linger=_GOODBYE_MS)

    def _connect(self, context: Any) -> tuple[Any, Any]:
        """The socket, and one that tells what becomes of its connection."""
        zmq = self._zmq
        socket = context.socket(zmq.DEALER)
        set_options(
            socket,
            linger=_GOODBYE_MS,
            sndhwm=_HELD,
            rcvhwm=_ANSWERS,
            # Of each part, before memory is taken for it.
            maxmsgsize=self._limits.message,
            immediate=1,  # nothing is queued for a program that is not there
            reconnect_ivl_max=1000,
            handshake_ivl=5000,
            heartbeat_ivl=5000,
            heartbeat_timeout=15000,
            ipv6="[" in self.address,
        )
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        socket.connect(self.address)
        return socket, monitor

    def _converse(self, socket: Any, monitor: Any) -> None:
        """Sends and receives until the end. Raises :class:`ProgramError` where it is none that was asked for."""
        zmq = self._zmq
        poller = zmq.Poller()
        poller.register(monitor, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        while not self._is_over():
            poller.register(socket, zmq.POLLIN | (zmq.POLLOUT if self._outgoing else 0))
            ready = dict(poller.poll(self._patience_ms()))
            if self._bell.fileno() in ready:
                self._bell.recv(4096)
            if ready.get(socket, 0) & zmq.POLLIN:
                self._receive(socket)
            if monitor in ready and self._is_lost(monitor):
                self._receive(socket)
                raise self.failure(
                    "connection lost",
                    "the connection is lost: the program ended, or it sent a part of more than "
                    f"{self._limits.message} bytes",
                )
            if ready.get(socket, 0) & zmq.POLLOUT:
                self._send(socket, self._outgoing.popleft())
        self._say_goodbye(socket)

    def _is_over(self) -> bool:
        return self._until is not None and (not self._outgoing or time.monotonic() >= self._until)

    def _patience_ms(self) -> float | None:
        return None if self._until is None else max(0.0, 1000 * (self._until - time.monotonic()))

    def _is_lost(self, monitor: Any) -> bool:
        """Whether a connection that was there is not there any more; before, it is tried again and again."""
        from zmq.utils.monitor import recv_monitor_message

        while monitor.poll(0):
            if recv_monitor_message(monitor)["event"] == self._zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected = True
            elif self.connected:
                return True
        return False

    def _send(self, socket: Any, make: Callable[[], Message]) -> None:
        try:
            parts = pack(make())
        except Exception as error:
            raise self.failure("cannot be told", f"a message to it cannot be made: {error}") from error
        size = sum(len(part) for part in parts)
        if size > self._limits.message:
            most = f"at most {self._limits.message} are taken; give a smaller size"
            raise self.failure("cannot be told", f"a message of {size} bytes; {most}")
        # The connection may be lost since it was asked; the monitor tells.
        with suppress(self._zmq.Again):
            socket.send_multipart(parts, self._zmq.NOBLOCK)

    def _receive(self, socket: Any) -> None:
        """Takes what has come."""
        while True:
            try:
                parts = socket.recv_multipart(self._zmq.NOBLOCK, copy=False)
            except self._zmq.Again:
                return
            try:
                message = unpack([part.buffer for part in parts], self._limits)
            except ProtocolError as problem:
                raise self.failure(
                    "writes no messages", f"what it writes is no message: {problem}"
                ) from problem
            self._take(message)

    def _take(self, message: Message) -> None:
        if message.kind == "error":
            raise self.failure("failed there", f"it says: {str(message.body.get('reason'))[:8192]}")
        with self._lock:
            self._expected -= 1
            unasked = self._expected < 0
        if unasked:
            raise self.failure("answers unasked", f"an answer ({message.kind!r}) that nobody asked for")
        self.answers.put(message)

    def _say_goodbye(self, socket: Any) -> None:
        if self.connected:
            with suppress(self._zmq.ZMQError):  # nobody is there who could forget us
                socket.send_multipart(pack(Message("bye")), self._zmq.NOBLOCK)
