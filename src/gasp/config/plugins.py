"""Cues, face detectors and sinks of other installed packages, found through their entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Literal

from gasp.errors import UsageError

Group = Literal["gasp.cues", "gasp.faces", "gasp.sinks"]


def plugin_names(group: Group) -> list[str]:
    """Names that other packages offer in a group, sorted."""
    return sorted({entry.name for entry in entry_points(group=group)})


def load_plugin(group: Group, name: str) -> Callable[..., Any]:
    """What the entry point of that name leads to: a class, or a function that makes an object.

    Raises :class:`gasp.errors.UsageError` when it cannot be imported, naming its package.
    """
    [entry, *_] = entry_points(group=group, name=name)
    package = entry.dist.name if entry.dist is not None else "an unknown package"
    try:
        found = entry.load()
    except Exception as error:
        # Anything can happen while somebody else's code is imported.
        raise UsageError(
            f"{name!r} of the package {package} cannot be imported from {entry.value} ({type(error).__name__}: {error})"
        ) from error
    if not callable(found):
        raise UsageError(f"{name!r} of the package {package}: {entry.value} is no class or function")
    return found


def create_plugin(group: Group, name: str, *arguments: Any, **options: Any) -> Any:
    """The object that the entry point makes. Raises :class:`UsageError` when it does not take these options."""
    return make(name, load_plugin(group, name), *arguments, **options)


def make(name: str, maker: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What ``maker`` makes with options that somebody wrote down for ``name``; :class:`UsageError` when it refuses."""
    try:
        return maker(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name!r} cannot be made with the options {options}: {error}") from error
