"""A run over time in bounded memory: what the report draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from gasp.results.records import FrameRecord

_MOST_POINTS = 2000
_Key = TypeVar("_Key", int, str)


@dataclass(slots=True)
class Point:
    """Sums over ``frames`` successive frames, the first being at ``time`` seconds."""

    time: float
    frames: int = 0
    focus_x: float = 0.0
    focus_y: float = 0.0
    entropy: float = 0.0
    why: dict[str, float] = field(default_factory=dict)
    attention: dict[int, float] = field(default_factory=dict)

    def add(self, other: Point) -> None:
        """Take in the frames that follow."""
        self.frames += other.frames
        self.focus_x += other.focus_x
        self.focus_y += other.focus_y
        self.entropy += other.entropy
        _add_to(self.why, other.why.items())
        _add_to(self.attention, other.attention.items())


@dataclass(slots=True)
class Person:
    """A person over a run: seen from ``first`` to ``last`` seconds.

    ``attention``, its ``baseline`` (None without contributions) and what cues add to it, ``why``, are summed over
    frames.
    """

    first: float
    last: float
    frames: int = 0
    attention: float = 0.0
    speaking: float | None = None
    baseline: float | None = None
    why: dict[str, float] = field(default_factory=dict)


class Summary:
    """Adds up records; at most 2000 points over time, however long the video.

    ``points``: means over equal numbers of frames. ``people``: by track id. ``frames``: count.
    """

    def __init__(self, most_points: int = _MOST_POINTS) -> None:
        self.points: list[Point] = []
        self.people: dict[int, Person] = {}
        self.frames = 0
        self._most_points = most_points
        self._stride = 1

    def add(self, record: FrameRecord) -> None:
        """Take in the next frame."""
        point = Point(record.time, 1, record.focus_x, record.focus_y, record.entropy, dict(record.why))
        for person in record.people:
            _add_to(point.attention, [(person.track_id, person.attention)])
            known = self.people.setdefault(person.track_id, Person(record.time, record.time))
            known.last = record.time
            known.frames += 1
            known.attention += person.attention
            if person.baseline is not None:
                known.baseline = (known.baseline or 0.0) + person.baseline
            _add_to(known.why, person.why.items())
            speaking = person.found.get("speaking")
            if isinstance(speaking, float | int):
                known.speaking = (known.speaking or 0.0) + speaking
        if self.points and self.points[-1].frames < self._stride:
            self.points[-1].add(point)
        else:
            self.points.append(point)
        self.frames += 1
        if len(self.points) > self._most_points:
            self._halve()

    def mean_why(self) -> dict[str, float]:
        """By cue, the mean share of the map's mass that it moves; empty without contributions."""
        sums: dict[str, float] = {}
        for point in self.points:
            _add_to(sums, point.why.items())
        return {name: total / self.frames for name, total in sums.items()}

    def ranking(self) -> list[tuple[int, Person]]:
        """Track ids with the most attention in all first."""
        return sorted(self.people.items(), key=lambda item: -item[1].attention)

    def _halve(self) -> None:
        """Join neighbours."""
        joined = self.points[::2]
        for point, other in zip(joined, self.points[1::2], strict=False):
            point.add(other)
        self.points = joined
        self._stride *= 2


def _add_to(sums: dict[_Key, float], values: Iterable[tuple[_Key, float]]) -> None:
    for key, value in values:
        sums[key] = sums.get(key, 0.0) + value
