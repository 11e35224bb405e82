"""Who is served next: one bounded queue per client, one job of each in turn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from threading import Condition, Lock
from typing import Generic, TypeVar

from gasp.messages import Limits, Message, ProtocolError, unpack
from gasp.messages.message import Part
from gasp.node.protocol import Policy, Tag

C = TypeVar("C", bound=Hashable)

DEPTH = 2
"""Frames of one client that wait."""


@dataclass(eq=False)
class Job:
    """One request that has to wait its turn: a frame (with its tag), or to give what is left (without).

    ``arrived`` is on :func:`time.perf_counter`. The parts are decoded once, by whoever has time for it first.
    """

    parts: list[Part]
    tag: Tag | None
    arrived: float = field(default_factory=time.perf_counter)
    decoding: float = 0.0
    _decoded: Message | ProtocolError | None = None
    _lock: Lock = field(default_factory=Lock)

    def decode(self, limits: Limits) -> Message:
        """The request. Raises :class:`gasp.messages.ProtocolError`."""
        with self._lock:
            if self._decoded is None:
                began = time.perf_counter()
                try:
                    self._decoded = unpack(self.parts, limits)
                except ProtocolError as error:
                    self._decoded = error
                self.parts = []
                self.decoding = time.perf_counter() - began
            if isinstance(self._decoded, ProtocolError):
                raise self._decoded
            return self._decoded

    @property
    def decoded(self) -> bool:
        """Whether the request has been decoded or is being decoded just now."""
        return self._decoded is not None or self._lock.locked()


class Turns(Generic[C]):
    """Jobs of many clients, given to one worker; clients with jobs take turns, whatever they push."""

    def __init__(self) -> None:
        self._queues: dict[C, deque[Job]] = {}
        self._order: deque[C] = deque()
        self._changed = Condition()
        self._closed = False

    def offer(self, client: C, job: Job, policy: Policy) -> Job | None:
        """Put a job at the end of its client's queue.

        Returns:
            None, or the job that has no place: this one, or with the policy "newest" the oldest frame that waited.
        """
        with self._changed:
            queue = self._queues.setdefault(client, deque())
            waiting = [other for other in queue if (other.tag is None) == (job.tag is None)]
            dropped = None
            if len(waiting) >= DEPTH:
                if job.tag is None or policy == "every":
                    return job
                dropped = waiting[0]
                queue.remove(dropped)
            queue.append(job)
            if client not in self._order:
                self._order.append(client)
            self._changed.notify()
            return dropped

    def take(self) -> tuple[C, Job] | None:
        """The next client's oldest job; waits for one. None when it is over."""
        with self._changed:
            while not self._order and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            client = self._order.popleft()
            queue = self._queues[client]
            job = queue.popleft()
            if queue:
                self._order.append(client)
            else:
                del self._queues[client]
            return client, job

    def undecoded(self) -> Job | None:
        """A frame that will soon be taken and that nobody has decoded yet."""
        with self._changed:
            heads = (self._queues[client][0] for client in self._order)
            return next((job for job in heads if job.tag is not None and not job.decoded), None)

    def waiting(self, client: C) -> int:
        """Jobs of a client that wait."""
        with self._changed:
            return len(self._queues.get(client, ()))

    def forget(self, client: C) -> list[Job]:
        """Take all jobs of a client away."""
        with self._changed:
            if client in self._order:
                self._order.remove(client)
            return list(self._queues.pop(client, ()))

    def close(self) -> list[tuple[C, Job]]:
        """Nothing is given any more; the jobs that waited."""
        with self._changed:
            self._closed = True
            left = [(client, job) for client, queue in self._queues.items() for job in queue]
            self._queues.clear()
            self._order.clear()
            self._changed.notify_all()
            return left
