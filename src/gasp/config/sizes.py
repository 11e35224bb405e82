"""Sizes in pixels as people write them."""

from __future__ import annotations

from gasp.errors import UsageError

MOST_PIXELS = 16384
"""Of a side."""


def read_size(text: str, option: str) -> tuple[int, int]:
    """(height, width) from "WxH"; ``option`` is what the text was given for. Raises :class:`gasp.errors.UsageError`."""
    width, _, height = text.lower().partition("x")
    if not (_is_side(width) and _is_side(height)):
        allowed = f"each 1 to {MOST_PIXELS}, for example 640x360"
        raise UsageError(f"{option} = {text!r}: write width x height in pixels, {allowed}")
    return int(height), int(width)


def _is_side(text: str) -> bool:
    # Python refuses to read numbers of thousands of digits.
    return text.isdecimal() and len(text) <= 9 and 0 < int(text) <= MOST_PIXELS
