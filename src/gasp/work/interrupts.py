"""Requests to end: steps that Ctrl-C must not cut in two, and SIGTERM treated like it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


Handler: TypeAlias = Callable[[int, FrameType | None], None]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Interruptions that arrive within the block take effect right after it.

    Python delivers signals to the main thread only; elsewhere nothing needs to be done.
    """
    waiting: list[int] = []
    try:
        with _handled(lambda number, _frame: waiting.append(number)):
            yield
    finally:
        for arrived in waiting:
            signal.raise_signal(arrived)


@contextmanager
def stop_politely() -> Iterator[None]:
    """A request to end (SIGTERM) is treated like Ctrl-C: results so far are kept.

    Elsewhere than in the main thread nothing changes: whoever runs us there deals with signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


@contextmanager
def noted_end() -> Iterator[threading.Event]:
    """Requests to end (Ctrl-C and SIGTERM) only set an event, for loops that look at it often.

    Elsewhere than in the main thread nothing sets it: whoever runs us there deals with signals.
    """
    asked = threading.Event()
    with _handled(lambda _number, _frame: asked.set()):
        yield asked


@contextmanager
def told_to_end(end: Callable[[], None]) -> Iterator[None]:
    """The first request to end (Ctrl-C or SIGTERM) calls ``end``; the second one interrupts, like Ctrl-C.

    Elsewhere than in the main thread nothing calls it: whoever runs us there deals with signals.
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        for again in _SIGNALS:
            signal.signal(again, signal.default_int_handler)
        end()

    with _handled(handle):
        yield


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """Both signals go to ``handler`` within the block, where Python delivers them: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier if earlier is not None else signal.SIG_DFL)
