"""Requests to end: steps that Ctrl-C must not cut in two, and SIGTERM treated like it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Interruptions that arrive within the block take effect right after it.

    Python delivers signals to the main thread only; elsewhere nothing needs to be done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        waiting.append(number)

    handlers = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
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
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    handlers = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
