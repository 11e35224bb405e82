"""Batches made in the background while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(make: Callable[[int], T], steps: Iterable[int], *, ahead: int = 4) -> Iterator[tuple[int, T]]:
    """(step, make(step)) for every step in order, up to ``ahead`` of them made early by one other thread.

    A thread and not a process: OpenCV's and PyTorch's own threads do not survive a fork, and most of the work is
    done in libraries that let other threads run.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
        waiting: deque[tuple[int, Future[T]]] = deque()
        try:
            for step in steps:
                waiting.append((step, worker.submit(make, step)))
                if len(waiting) > ahead:
                    first, batch = waiting.popleft()
                    yield first, batch.result()
            while waiting:
                first, batch = waiting.popleft()
                yield first, batch.result()
        finally:
            for _, batch in waiting:
                batch.cancel()
