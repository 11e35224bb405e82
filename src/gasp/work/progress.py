"""How far something is: one event for every command, page and worker, and one way to tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is.

    Attributes:
        task: its name, as people read it: a video, a file, an experiment. Events of one task follow each other.
        done: how much of it is done, in ``unit``.
        total: how much there is to do, None where that is not known.
        values: what is worth knowing right now by name, such as losses.
        unit: what is counted, in the plural.
    """

    task: str
    done: float
    total: float | None = None
    values: Mapping[str, float | str] = field(default_factory=dict)
    unit: str = "frames"


Report = Callable[[Progress], None]
"""Hears of every step. It may be called in another thread than the one that asked for the work, and it may raise
:class:`KeyboardInterrupt` to stop it.
"""


def silent(progress: Progress) -> None:
    """Nobody wants to hear of it."""
