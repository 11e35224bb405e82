"""Sizes in pixels as people write them."""

from __future__ import annotations

from gasp.errors import UsageError

MOST_PIXELS = 8192
"""Of a side, unless the option says otherwise."""


def read_size(text: str, option: str, most: int = MOST_PIXELS) -> tuple[int, int]:
    """(height, width) from "WxH", each at most ``most``; ``option`` is what the text was given for.

    Raises:
        UsageError: It says something else.
    """
    width, _, height = text.lower().partition("x")
    if not (_is_side(width, most) and _is_side(height, most)):
        allowed = f"each 1 to {most}, for example 640x360"
        raise UsageError(f"{option} = {text!r}: write width x height in pixels, {allowed}")
    return int(height), int(width)


def _is_side(text: str, most: int) -> bool:
    # Python refuses to read numbers of thousands of digits.
    return text.isdecimal() and len(text) <= 9 and 0 < int(text) <= most
