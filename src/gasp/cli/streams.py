"""Standard input, output and error as a command finds them: closed, full, or of a small alphabet."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO


def mend_streams() -> None:
    """Opens what is closed, before a file of the user's gets its number; output never fails for a letter.

    A process whose standard error is closed (``2>&-``) gives the next file that it opens the number 2, and whatever
    a library prints to standard error goes into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  (they stay open)
    sys.stdout = _lenient(sys.stdout or open(1, "w", closefd=False))  # noqa: SIM115
    sys.stderr = _lenient(sys.stderr or open(2, "w", closefd=False))  # noqa: SIM115


def flush_output() -> str | None:
    """Writes out what was printed; why that cannot be done, or None. Nobody there to read it is no reason."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up_output()
        return output_problem(error)
    return None


def output_problem(error: OSError) -> str | None:
    """Why output cannot be written; None where whoever read it has gone, to whom a complaint would be of no use."""
    if isinstance(error, BrokenPipeError):
        return None
    return f"standard output cannot be written: {error.strerror or error}"


def is_output_error(error: OSError) -> bool:
    """Whether an error that names no file comes from printing."""
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO)


def _give_up_output() -> None:
    """What is left to print goes nowhere: at exit it would be tried, and complained of, again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _lenient(stream: TextIO) -> TextIO:
    reconfigure = getattr(stream, "reconfigure", None)  # a test may have put something simpler there
    if reconfigure is not None:
        with suppress(OSError, ValueError):
            reconfigure(errors="backslashreplace")
    return stream
