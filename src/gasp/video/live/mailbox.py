"""A short queue between the one who receives frames and the one who computes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Policy = Literal["newest", "every"]
"""What happens to frames that come faster than they are computed: the older ones are dropped, or they have to wait."""


class ClosedError(Exception):
    """Nothing more will come."""


class Mailbox(Generic[T]):
    """At most ``depth`` things wait.

    ``merge(older, newer)``: what is left of the newer one when the older one is dropped. ``received``, ``dropped``
    and ``taken`` count.
    """

    def __init__(self, policy: Policy, merge: Callable[[T, T], T], depth: int = 2) -> None:
        self.received = 0
        self.dropped = 0
        self.taken = 0
        self._keeps = policy == "every"
        self._drops = not self._keeps
        self._merge = merge
        self._depth = depth
        self._waiting: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def full(self) -> bool:
        """Whether nobody takes what came."""
        return len(self._waiting) >= self._depth

    def put(self, item: T) -> None:
        """Leave a thing; waits for room where nothing may be dropped. Nothing happens once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._drops or len(self._waiting) < self._depth or self._closed)
            if self._closed:
                return
            self.received += 1
            self._waiting.append(item)
            while len(self._waiting) > self._depth:
                self._drop()
            self._changed.notify_all()

    def get(self, timeout: float | None = None, *, newest: bool = False) -> T | None:
        """The next thing, or the ``newest`` one, the others dropped; None when none came in time.

        Who asks for the newest one wants no other to wait until the next call, whatever the policy.

        Raises :class:`ClosedError` when there is nothing left and nothing will come.
        """
        with self._changed:
            self._drops = newest or not self._keeps
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._waiting or self._closed, timeout):
                return None
            if not self._waiting:
                raise ClosedError
            while newest and len(self._waiting) > 1:
                self._drop()
            item = self._waiting.popleft()
            self.taken += 1
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Nothing more comes; what waits may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop(self) -> None:
        older = self._waiting.popleft()
        self._waiting[0] = self._merge(older, self._waiting[0])
        self.dropped += 1
