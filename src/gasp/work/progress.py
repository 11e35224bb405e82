"""How far something is: one form for everything that takes long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is.

    ``task``: what it is called. ``done`` of ``total`` (None: unknown) in ``unit``, "frames" or "bytes" for example.
    ``values``: the latest numbers or words to be shown with it, by name.
    """

    task: str
    done: float
    total: float | None = None
    values: Mapping[str, float | str] = field(default_factory=dict)
    unit: str = ""


Report = Callable[[Progress], None]
"""Is told of progress; must be quick, and may be called from the thread that works."""


def silent(_progress: Progress) -> None:
    """For those who want to know nothing."""
