"""Working ahead in a thread: decoding, for one, lets other threads run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int = 4) -> Iterator[T]:
    """Iterate over ``items`` while a thread prepares up to ``depth`` of them ahead.

    Order and errors are those of ``items``. The thread ends with the iteration, also an abandoned one.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(max(1, depth))
    stopped = threading.Event()

    def put(item: T | None, error: BaseException | None) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                ready.put((item, error), timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            iterator = iter(items)
            for item in iterator:
                if not put(item, None):
                    if hasattr(iterator, "close"):
                        iterator.close()
                    return
        except BaseException as error:  # raised again where the items are used
            put(None, error)
        else:
            put(None, StopIteration())

    worker = threading.Thread(target=work, name="prefetch", daemon=True)
    worker.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        worker.join()
