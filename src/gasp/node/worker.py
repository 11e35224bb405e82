"""The thread of a node that computes, one client's job after another's."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gasp.errors import GaspError, InputError
from gasp.messages import Limits, Message
from gasp.node.meter import Meter
from gasp.node.protocol import Hello, RefusedError, error_reply
from gasp.node.stream import Stream
from gasp.node.turns import Job, Turns
from gasp.pipeline.predictor import Predictor

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Client:
    """Somebody who said hello. ``delimited``: its socket puts an empty frame before a message, as REQ does.

    ``stream`` belongs to the worker; ``seen`` is on :func:`time.monotonic`; ``open`` counts requests without a reply.
    """

    identity: bytes
    delimited: bool
    hello: Hello
    seen: float = field(default_factory=time.monotonic)
    open: int = 0
    frames: int = 0
    results: int = 0
    dropped: int = 0
    errors: int = 0
    stream: Stream | None = None


Reply: TypeAlias = Callable[[Client, Message], None]


class Worker(threading.Thread):
    """Takes jobs in turns until they are over, and gives each exactly one reply."""

    def __init__(
        self, predictor: Predictor, turns: Turns[Client], limits: Limits, meter: Meter, reply: Reply
    ) -> None:
        super().__init__(name="gasp-node-worker", daemon=True)
        self._predictor = predictor
        self._turns = turns
        self._limits = limits
        self._meter = meter
        self._reply = reply

    def run(self) -> None:
        """Until :meth:`Turns.close`."""
        while (turn := self._turns.take()) is not None:
            client, job = turn
            try:
                reply = self._serve(client, job)
            except InputError as error:
                client.errors += 1
                reply = error_reply(error, None if job.tag is None else job.tag.sequence)
            except Exception as error:
                # Whatever it was, one frame of one client: the others go on.
                log.exception("a request could not be served")
                client.errors += 1
                what = str(error) if isinstance(error, GaspError) else f"{type(error).__name__}: {error}"
                refusal = RefusedError("failed", f"The request could not be served ({what}).")
                reply = error_reply(refusal, None if job.tag is None else job.tag.sequence)
            if job.tag is not None and job.tag.sequence is not None:
                reply.body["answers"] = job.tag.sequence
            self._reply(client, reply)

    def _serve(self, client: Client, job: Job) -> Message:
        taken = time.perf_counter()
        if client.stream is None:
            client.stream = Stream(self._predictor, client.hello)
        if job.tag is None:
            result = client.stream.flush()
            client.results += result is not None
            return Message("done") if result is None else result
        message = job.decode(self._limits)
        # Decoding is often over before the frame's turn comes; it counts once all the same.
        waited = max(0.0, taken - job.arrived - job.decoding)
        result = client.stream.step(message, job.tag, waited, job.decoding)
        now = time.perf_counter()
        self._meter.note(now - job.arrived, now - taken)
        client.results += result is not None
        return Message("accepted", {"sequence": job.tag.sequence}) if result is None else result
