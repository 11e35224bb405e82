"""How a part of a pipeline reaches its program: by starting it, or at an address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from gasp.errors import UsageError
from gasp.messages.link import Link
from gasp.messages.program import Program, find_program
from gasp.messages.remote import Remote
from gasp.messages.zeromq import check_reachable, load_zmq


def connector(whose: str, command: Sequence[str] | None, address: str | None) -> Callable[[], Link]:
    """What makes a new link to the program that a command starts, or that serves an address.

    Raises :class:`gasp.errors.UsageError`, naming ``whose`` program it is, where there can be none.
    """
    if (command is None) == (address is None):
        raise UsageError(f"{whose}: it needs either a command or an address")
    if command is not None:
        return partial(Program, find_program(command, whose))
    assert address is not None
    try:
        load_zmq()
        return partial(Remote, check_reachable(address))
    except UsageError as error:
        raise UsageError(f"{whose}: {error}") from error
