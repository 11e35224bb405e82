"""What is said with a program that answers frames: a greeting, frames and results in order, and an end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from gasp.errors import UsageError
from gasp.messages.link import Link
from gasp.messages.message import Message

FAREWELL = 1.0
"""Seconds in which a program that was told the end should leave by itself."""


class Conversation:
    """Asks a program about frames and takes its results, in the order of frames.

    Args:
        link: the way to the program.
        hello: the first message. Where its body declares ``past`` and ``future``, the program's answer, "ready", must
            not declare more.
        timeout: seconds for a result.
        start_timeout: seconds from now for the answer to ``hello`` and the first result.
    """

    def __init__(self, link: Link, hello: dict[str, Any], *, timeout: float, start_timeout: float) -> None:
        self._link = link
        self._hello = hello
        self._timeout = timeout
        self._start_until = time.monotonic() + start_timeout
        self._greeted = self._answered = False
        self._asked: deque[int] = deque()
        link.send(lambda: Message("hello", hello))

    @property
    def waiting(self) -> int:
        """How many frames have no result yet."""
        return len(self._asked)

    def ask(self, number: int, make: Callable[[], Message]) -> None:
        """Asks about the frame of this number with the message that ``make`` makes; never waits."""
        self._asked.append(number)
        self._link.send(make)

    def end(self) -> None:
        """Says that no more frames come: the program should answer what it has held back."""
        self._link.send(lambda: Message("end"), answered=False)

    def answer(self) -> Message:
        """The result of the oldest frame that has none yet.

        Raises:
            ProgramError: The program fails, gives no answer in time, or another one than that.
            UsageError: It needs other frames than the pipeline says.
        """
        if not self._greeted:
            self._check_ready(self._receive())
            self._greeted = True
        result = self._receive()
        self._answered = True
        number = self._asked.popleft()
        if result.kind != "result":
            raise self._link.failure(
                "wrong answer", f"a message of the kind {result.kind!r} in place of a result"
            )
        told = result.body.get("number")
        if told != number:
            raise self._link.failure("out of order", f"a result of frame {told!r} in place of frame {number}")
        return result

    def close(self, patience: float = 0.0) -> None:
        """Ends the program."""
        self._link.close(patience)

    def _receive(self) -> Message:
        rest = 0.0 if self._answered else self._start_until - time.monotonic()
        return self._link.receive(max(rest, self._timeout))

    def _check_ready(self, ready: Message) -> None:
        if ready.kind != "ready":
            raise self._link.failure(
                "wrong answer", f'a message of the kind {ready.kind!r} in place of "ready"'
            )
        for name in ("past", "future"):
            declared = self._hello.get(name)
            needed = ready.body.get(name, declared)
            if declared is not None and (not isinstance(needed, int) or needed > declared):
                raise UsageError(
                    f"{self._hello.get('name')}: the program says that it needs {name}: {needed!r}, but the pipeline "
                    f"says {name}: {declared}; write the program's number into the pipeline's file"
                )
