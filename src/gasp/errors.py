"""Errors meant for people: what is wrong, with which file or field, and what to do.

Everything that the package raises on purpose derives from :class:`GaspError`; the command line prints
such an error as one readable block and never shows a traceback for it.
"""

from __future__ import annotations

from gasp.naming import printable


class GaspError(Exception):
    """Base of all errors that carry a message for the user. Exit status 1 on the command line."""

    exit_status = 1

    def __str__(self) -> str:
        """The message, in characters that every terminal and file takes.

        Names of files that are not UTF-8 come as lone surrogates, which cannot be written.
        """
        return printable(super().__str__())


class InputError(GaspError):
    """A file or stream cannot be used: missing, empty, truncated, of the wrong kind or size."""


class OutputError(GaspError):
    """A result cannot be written: no permission, no space, something else in the way."""


class WeightsError(GaspError):
    """A checkpoint is missing, damaged, unsafe to load, or does not fit the network."""


class UsageError(GaspError):
    """Wrong options or configuration. Exit status 2 on the command line."""

    exit_status = 2
