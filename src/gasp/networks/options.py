"""Checks the options of a network before it is made, so that mistakes are told in words and cost nothing."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gasp.errors import UsageError

LARGEST = 65_536
"""Whole numbers among the options (channels, frames, pixels) are at most this."""

LONGEST = 64
"""Lists among the options (widths, depths) have at most this many entries."""

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "none"}


def names_of(maker: Callable[..., Any]) -> set[str]:
    """Names of the options that a class takes."""
    parameters = inspect.signature(maker).parameters.values()
    return {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def check_options(network: str, maker: type, options: Mapping[str, Any]) -> None:
    """Compare options with the types that the class declares, and whole numbers and lists with limits.

    Raises:
        UsageError: A value is of another type, or larger than any network needs.
    """
    hints = get_type_hints(maker.__init__)  # type: ignore[misc]
    for name, value in options.items():
        if name in hints and not _is(value, hints[name]):
            raise UsageError(
                f"The network {network}: {name} must be {_describe(hints[name])}, not {_short(value)}."
            )
        _check_size(network, name, value)


def _is(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind in (Union, types.UnionType):
        return any(_is(value, part) for part in parts)
    if kind is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if kind in (Sequence, list, tuple):
        several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return several and (not parts or all(_is(one, parts[0]) for one in value))
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind or hint)


def _describe(hint: Any) -> str:
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe(part) for part in parts))
    if kind is Literal:
        return " or ".join(repr(part) for part in parts)
    if kind in (Sequence, list, tuple):
        return "a list of whole numbers" if parts and parts[0] is int else "a list"
    return _WORDS.get(hint, str(hint))


def _check_size(network: str, name: str, value: Any) -> None:
    values = [value]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) > LONGEST:
            raise UsageError(
                f"The network {network}: {name} has {len(value)} entries; at most {LONGEST} are possible."
            )
        values = list(value)
    for one in values:
        if isinstance(one, Integral) and abs(int(one)) > LARGEST:
            raise UsageError(
                f"The network {network}: {name} = {_short(one)} is too large; at most {LARGEST} is possible."
            )


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."
