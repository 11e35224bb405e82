"""What carries messages to a program and back, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gasp.messages.message import Message


class ProgramError(Exception):
    """A program did not do what it was asked. ``fault``: what kind of failure, in two or three words.

    No :class:`~gasp.errors.GaspError`: whoever asked goes on without the program, or starts it again.
    """

    def __init__(self, fault: str, details: str) -> None:
        super().__init__(details)
        self.fault = fault


class Link(Protocol):
    """The connection to one program that answers each message with one."""

    def send(self, make: Callable[[], Message], *, answered: bool = True) -> None:
        """Sends what ``make`` makes, later and in another thread, so that this never waits.

        ``answered``: whether one answer is expected. What is answered beyond that is a fault.
        """
        ...

    def receive(self, timeout: float) -> Message:
        """The next answer, within so many seconds. Raises :class:`ProgramError`; the link is then of no use."""
        ...

    def failure(self, fault: str, details: str) -> ProgramError:
        """An error that names the program, with what it said last."""
        ...

    def close(self, patience: float = 0.0) -> None:
        """Ends the connection and the program, which may take ``patience`` seconds to leave; may be called again."""
        ...
