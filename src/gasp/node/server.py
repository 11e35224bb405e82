"""The node: one thread owns the socket and answers at once what can be answered at once, another one computes."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gasp._version import __version__
from gasp.errors import GaspError, InputError
from gasp.messages import VERSION, Limits, Message, ProtocolError, pack
from gasp.messages.message import Part, read_header
from gasp.messages.zeromq import check_free, load_zmq, set_options
from gasp.node.keys import SERVER, allowed_clients, read_key
from gasp.node.meter import Meter
from gasp.node.protocol import AXES, Hello, RefusedError, Tag, error_reply, limits_of
from gasp.node.settings import NodeSettings
from gasp.node.stream import Stream
from gasp.node.turns import Job, Turns
from gasp.node.worker import Client, Worker
from gasp.pipeline.predictor import Predictor

log = logging.getLogger(__name__)

_POLL_MS = 100
_AT_ONCE = 16
"""Messages that are received before replies are sent again."""
_LAST_WORDS_MS = 500


class NodeServer:
    """Serves a predictor over ZeroMQ; a context manager, within which :meth:`serve` runs.

    Raises:
        UsageError: ZeroMQ is missing, or the settings do not fit.
        GaspError: The address is in use or cannot be bound.
    """

    def __init__(self, predictor: Predictor, settings: NodeSettings | None = None) -> None:
        self.settings = settings or NodeSettings()
        self.settings.check()
        self._zmq = load_zmq()
        self._predictor = predictor
        self._limits = limits_of(self.settings.limit)
        self._clients: dict[bytes, Client] = {}
        self._turns: Turns[Client] = Turns()
        self._meter = Meter()
        self._refused = 0
        self._unread = 0
        self._replies: deque[tuple[Client, Message]] = deque()
        self._context = self._zmq.Context()
        self._doorman: Any = None
        self._welcome: dict[str, Any] = {}
        try:
            self._socket = self._bind()
            self.address: str = self._socket.getsockopt_string(self._zmq.LAST_ENDPOINT)
            self._bell, self._rope = self._make_bell()
        except BaseException:
            self._end_context()
            raise
        self._worker = Worker(predictor, self._turns, self._limits, self._meter, self._reply)

    def __enter__(self) -> NodeServer:
        try:
            probe = Stream(self._predictor, Hello())
            # PyTorch takes its time for the first frame; no client should wait for that.
            probe.step(Message("frame", {}, {"image": np.zeros((180, 320, 3), np.uint8)}), Tag(), 0, 0)
        except BaseException:
            self._end_context()
            raise
        self._welcome = self._introduce(probe.latency, probe.sound_rate)
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        refusal = error_reply(RefusedError("ending", "The node is ending."))
        for client, job in self._turns.close():
            said = Message("error", {**refusal.body, **_sequence_of(job)})
            self._send(client.identity, client.delimited, said)
        self._worker.join(10)
        self._send_replies()
        self._refuse_the_rest(refusal)
        self._end_context()

    def serve(
        self,
        ended: threading.Event,
        said: Callable[[dict[str, Any]], None] | None = None,
        every: float = 10.0,
    ) -> None:
        """Answer requests until ``ended`` is set. ``said`` is told the status every so many seconds."""
        poller = self._zmq.Poller()
        poller.register(self._socket, self._zmq.POLLIN)
        poller.register(self._bell, self._zmq.POLLIN)
        due = time.monotonic() + every
        while not ended.is_set():
            if not self._worker.is_alive():
                raise GaspError("The thread that computes has ended. This is a fault of gasp.")
            ahead = self._turns.undecoded()
            events = dict(poller.poll(0 if ahead else _POLL_MS))
            if self._bell in events:
                self._bell.recv()
                self._send_replies()
            if self._socket in events:
                self._receive_some()
            if not events and ahead:
                with suppress(ProtocolError):  # told to the client when its turn comes
                    ahead.decode(self._limits)
            self._forget_idle()
            if said is not None and time.monotonic() >= due:
                due = time.monotonic() + every
                said(self.status())

    def status(self) -> dict[str, Any]:
        """What "status" is answered with."""
        return {
            **self._meter.plain(),
            "clients": [
                {
                    "name": client.hello.name,
                    "frames": client.frames,
                    "results": client.results,
                    "dropped": client.dropped,
                    "errors": client.errors,
                    "waiting": self._turns.waiting(client),
                    "silent": time.monotonic() - client.seen,
                }
                for client in self._clients.values()
            ],
            "refused": self._refused,
            "unread": self._unread,
            "gasp": __version__,
            "protocol": VERSION,
            "zeromq": self._zmq.zmq_version(),
            "pipeline": self._predictor.settings.pipeline.name,
        }

    def _introduce(self, latency: int, sound_rate: int) -> dict[str, Any]:
        settings, limits = self._predictor.settings, self._limits
        return {
            "gasp": __version__,
            "protocol": VERSION,
            "pipeline": settings.pipeline.name,
            "cues": list(settings.cues),
            "latency": latency,
            "sound": settings.sound,
            "sound_rate": sound_rate,
            "limits": {
                "message": limits.message,
                "header": limits.header,
                "arrays": limits.arrays,
                "pixels": limits.pixels,
                "clients": self.settings.clients,
                "idle": self.settings.idle,
            },
            "axes": AXES,
        }

    # Sockets.

    def _bind(self) -> Any:
        zmq, address = self._zmq, self.settings.address
        check_free(address)
        socket = self._context.socket(zmq.ROUTER)
        set_options(
            socket,
            linger=_LAST_WORDS_MS,
            # Of each part, before memory is taken for it; that of the whole message is checked below.
            maxmsgsize=self.settings.limit,
            # What waits in ZeroMQ's own queues is bounded per client too.
            rcvhwm=4,
            sndhwm=32,
            # A client that is gone, or that reads nothing, is an error and not silence.
            router_mandatory=1,
            handshake_ivl=5000,
            heartbeat_ivl=5000,
            heartbeat_timeout=15000,
            ipv6="[" in address,
        )
        if self.settings.keys is not None:
            self._lock(socket, self.settings.keys)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:
                raise GaspError(f"{address} is in use: end the other program, or use --address.") from error
            raise GaspError(f"{address} cannot be served: {error.strerror or error}.") from error
        return socket

    def _lock(self, socket: Any, folder: Path) -> None:
        """Only clients whose keys are in the folder are let in."""
        from zmq.auth.thread import ThreadAuthenticator

        own = read_key(folder / f"{SERVER}.key_secret", secret=True)
        clients = allowed_clients(folder)
        self._doorman = ThreadAuthenticator(self._context)
        self._doorman.start()
        self._doorman.configure_curve(domain="*", location=str(clients))
        set_options(socket, curve_server=True, curve_publickey=own.public, curve_secretkey=own.secret)

    def _make_bell(self) -> tuple[Any, Any]:
        """Two ends of a wire on which the worker rings when there is a reply."""
        bell, rope = self._context.socket(self._zmq.PAIR), self._context.socket(self._zmq.PAIR)
        for end in (bell, rope):
            set_options(end, linger=0)
        bell.bind("inproc://bell")
        rope.connect("inproc://bell")
        return bell, rope

    def _end_context(self) -> None:
        if self._doorman is not None:
            self._doorman.stop()
        self._context.destroy(linger=_LAST_WORDS_MS)

    # Replies.

    def _reply(self, client: Client, message: Message) -> None:
        """Called by the worker."""
        self._replies.append((client, message))
        with suppress(self._zmq.Again):  # it has rung often enough
            self._rope.send(b"", self._zmq.NOBLOCK)

    def _send_replies(self) -> None:
        while self._replies:
            client, message = self._replies.popleft()
            client.open -= 1
            client.seen = time.monotonic()
            self._send(client.identity, client.delimited, message)

    def _send(self, identity: bytes, delimited: bool, message: Message) -> None:
        parts = [identity, *([b""] if delimited else []), *pack(message)]
        try:
            self._socket.send_multipart(parts, self._zmq.NOBLOCK, copy=False)
        except self._zmq.Again:
            self._unread += 1
        except self._zmq.ZMQError as error:
            if error.errno != self._zmq.EHOSTUNREACH:
                raise
            self._forget(identity)

    def _refuse_the_rest(self, refusal: Message) -> None:
        """Requests that came while the node was ending."""
        for _ in range(_AT_ONCE * max(1, len(self._clients))):
            try:
                identity, *parts = self._socket.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            delimited = len(parts) > 1 and not len(parts[0])
            said = dict(refusal.body)
            with suppress(ProtocolError):
                sequence = _checked_header(parts[delimited:], self._limits)["body"].get("sequence")
                if isinstance(sequence, int):
                    said |= {"sequence": sequence, "answers": sequence}
            self._send(identity, delimited, Message("error", said))

    # Requests.

    def _receive_some(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                frames = self._socket.recv_multipart(self._zmq.NOBLOCK, copy=False)
            except self._zmq.Again:
                return
            identity, parts = frames[0].bytes, [frame.buffer for frame in frames[1:]]
            delimited = len(parts) > 1 and not len(parts[0])
            self._receive(identity, delimited, parts[1:] if delimited else parts)

    def _receive(self, identity: bytes, delimited: bool, parts: list[Part]) -> None:
        """One request: answered at once, or put into the queue of its client."""
        body: dict[str, Any] = {}
        try:
            header = _checked_header(parts, self._limits)
            body = header["body"]
            reply = self._handle(identity, delimited, header["kind"], body, parts)
        except InputError as error:
            self._refused += 1
            sequence = body.get("sequence")
            reply = error_reply(error, sequence if isinstance(sequence, int) else None)
            if "sequence" in reply.body:
                reply.body["answers"] = sequence
        except Exception as error:
            # A fault of ours must not end the node for all others.
            log.exception("a request could not be handled")
            self._refused += 1
            reply = error_reply(
                RefusedError("failed", f"A fault of the node: {type(error).__name__}: {error}.")
            )
        if reply is not None:
            self._send(identity, delimited, reply)

    def _handle(
        self, identity: bytes, delimited: bool, kind: str, body: dict[str, Any], parts: list[Part]
    ) -> Message | None:
        """The reply; None where it comes later. Raises :class:`InputError` for what cannot be served."""
        client = self._clients.get(identity)
        if client is not None:
            client.seen = time.monotonic()
        if kind == "hello":
            return self._greet(identity, delimited, body)
        if kind == "status":
            return Message("status", self.status())
        if kind not in ("frame", "flush", "bye"):
            raise RefusedError(
                "message", f"Unknown kind {kind[:60]!r}; known are hello, frame, flush, bye, status."
            )
        if client is None:
            raise RefusedError("hello", "Say hello first; a client that is silent for long is forgotten.")
        if kind == "bye":
            self._forget(identity)
            return Message("bye")
        return self._queue(client, Job(parts, Tag.read(body) if kind == "frame" else None))

    def _greet(self, identity: bytes, delimited: bool, body: dict[str, Any]) -> Message:
        hello = Hello.read(body)
        if identity not in self._clients and len(self._clients) >= self.settings.clients:
            raise RefusedError("full", f"{len(self._clients)} clients are served already, and no more.")
        self._forget(identity)
        self._clients[identity] = Client(identity, delimited, hello)
        log.info("client %r came", hello.name)
        chosen = {"fps": hello.fps, "arrays": list(hello.arrays), "policy": hello.policy}
        return Message("welcome", {**self._welcome, **chosen})

    def _queue(self, client: Client, job: Job) -> Message | None:
        client.frames += job.tag is not None
        refused = self._turns.offer(client, job, client.hello.policy)
        client.open += refused is None
        if refused is None:
            return None
        client.dropped += refused.tag is not None
        if refused is job:
            return Message("busy", _sequence_of(job))
        self._send(client.identity, client.delimited, Message("dropped", _sequence_of(refused)))
        return None

    def _forget(self, identity: bytes) -> None:
        """Release what is remembered of a client. Frames that waited are answered, if it is still there."""
        client = self._clients.pop(identity, None)
        if client is None:
            return
        log.info("client %r is forgotten", client.hello.name)
        for job in self._turns.forget(client):
            self._send(identity, client.delimited, Message("dropped", _sequence_of(job)))

    def _forget_idle(self) -> None:
        """Whoever waits for us is not idle."""
        longest = time.monotonic() - self.settings.idle
        idle = [one for one, client in self._clients.items() if client.seen < longest and not client.open]
        for identity in idle:
            self._forget(identity)


def _sequence_of(job: Job) -> dict[str, Any]:
    if job.tag is None or job.tag.sequence is None:
        return {}
    return {"sequence": job.tag.sequence, "answers": job.tag.sequence}


def _checked_header(parts: list[Part], limits: Limits) -> dict[str, Any]:
    """The header of a message that is within the limits. Raises :class:`ProtocolError`."""
    if not parts:
        raise ProtocolError("An empty message.")
    size = sum(len(part) for part in parts)
    if size > limits.message:
        raise ProtocolError(f"A message of {size} bytes; at most {limits.message} are taken.")
    return read_header(parts[0], limits)
