"""Which frames make up the window of a frame, and which windows are complete.

Frames count from 0. Numbers below 0 and behind the last frame stand for the first and the last frame: borders are
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Plan:
    """How windows follow frames.

    ``frames(k)`` are the numbers of the frames in the window of frame k, oldest first, at most ``past`` before it.
    ``needs(k)`` is the frame that must have come before the window is complete, at most ``future`` after k.
    """

    frames: Callable[[int], list[int]]
    needs: Callable[[int], int]
    past: int
    future: int


def window_around(size: int, source: int, *, step: int = 1) -> Plan:
    """Windows of ``size`` frames, every ``step``-th, in which the map's own frame has index ``source``."""
    past, future = source * step, (size - 1 - source) * step
    return Plan(
        frames=lambda k: [k + (i - source) * step for i in range(size)],
        needs=lambda k: k + future,
        past=past,
        future=future,
    )


def reversed_start(size: int) -> Plan:
    """Windows that end with their frame, except at the beginning, as the originals of TASED-Net and ViNet have it:
    the window of a frame before number ``size`` - 1 begins with that frame and runs backwards in time.
    """
    ahead = size - 1
    return Plan(
        frames=lambda k: list(range(k + ahead, k - 1, -1)) if k < ahead else list(range(k - ahead, k + 1)),
        needs=lambda k: k + ahead if k < ahead else k,
        past=ahead,
        future=ahead,
    )


def published_positions(size: int, available: int, valid: int | None = None) -> list[int]:
    """Which of the ``available`` newest frames (0: the oldest) the published integration feeds a network.

    One frame fewer than ``size``, the first of them doubled; only the first ``valid`` frames count (DAVE: those that
    have sound).
    """
    end = available if valid is None else min(available, valid)
    chosen = list(range(max(0, end - size + 1), end))
    return chosen[:1] * (size - len(chosen)) + chosen


def published_window(k: int, size: int, *, buffer: int | None = None, valid: int | None = None) -> list[int]:
    """The window of frame ``k`` in the published integration.

    Its buffer holds the newest ``buffer`` frames (default: ``size``) and is filled up to ``size`` behind the newest;
    of that :func:`published_positions` are fed.
    """
    held = min(k + 1, buffer or size)
    return [k + 1 - held + min(p, held - 1) for p in published_positions(size, size, valid)]


def published_plan(size: int, *, buffer: int | None = None) -> Plan:
    """Windows as :func:`published_window` makes them; they look back only."""
    return Plan(lambda k: published_window(k, size, buffer=buffer), lambda k: k, past=size - 1, future=0)


class Windows(Generic[Item]):
    """Holds what is known of the newest frames and tells which windows are complete."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.items: dict[int, Item] = {}
        self._count = 0
        self._next = 0

    def add(self, item: Item) -> None:
        """Takes the next frame."""
        self.items[self._count] = item
        self._count += 1

    def complete(self, *, ended: bool = False) -> Iterator[tuple[int, list[int]]]:
        """The frames whose windows are complete now, each with its window; all of them when the video has ended."""
        while self._next < self._count and (ended or self._plan.needs(self._next) < self._count):
            k = self._next
            self._next += 1
            yield k, [min(max(frame, 0), self._count - 1) for frame in self._plan.frames(k)]

    def forget(self) -> None:
        """Drop what no later window needs."""
        for k in [k for k in self.items if k < self._next - self._plan.past]:
            del self.items[k]
