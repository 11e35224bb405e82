"""Saying what somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def nearest(wrong: str, valid: Iterable[str], most: int = 12) -> str:
    """ "; did you mean 'x'?", or "; there are ..." where nothing is near."""
    names = list(valid)
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(wrong.lower(), list(lower), n=1)
    if near:
        return f"; did you mean {lower[near[0]]!r}?"
    if not names:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"; there are {', '.join(names[:most])}{more}"


def printable(path: str | Path) -> str:
    """A path as text that every terminal and file takes: names that are not UTF-8 come as lone surrogates."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
