"""Who is who from one piece of a video to the next.

Pieces are tracked on their own, each from some frames before its beginning. Where a face of a piece lies on one that
the piece before it has at the same frame, they are the same person. A person who comes into view later is recognised
by looks among those of earlier pieces, as the tracker does within a piece. Everybody else is new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.faces.face import Box, Face
from gasp.faces.geometry import iou_matrix
from gasp.faces.tracker import TrackerSettings, likeness_matrix

SAME_PLACE = 0.5
"""Intersection over union from which two boxes in one frame are the same face."""

Seen = tuple[int, list[tuple[int, Box]]]
"""The index of a frame, and number and box of each person in it."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was seen: when last, in seconds, and the looks (see :class:`~gasp.faces.face.Face`)."""

    time: float
    looks: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class People:
    """Everybody who was seen up to the end of a piece. ``highest``: the highest number given so far."""

    highest: int = 0
    known: Mapping[int, Person] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        people = {str(n): [p.time, [round(float(v), 5) for v in p.looks]] for n, p in self.known.items()}
        return {"highest": self.highest, "people": people}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> People:
        """From :meth:`plain`. Raises ValueError, KeyError or TypeError for anything else."""
        known = {
            int(number): Person(float(time), np.asarray(looks, np.float32))
            for number, (time, looks) in values["people"].items()
        }
        return cls(int(values["highest"]), known)


class FaceJoiner:
    """Gives the people of one piece the numbers that they have in the whole video.

    Args:
        before: What was seen in the frames before, newest last: number and box of everybody, by frame. It may grow
            while this piece begins.
        settings: Those of the tracker, for recognition by looks.
    """

    def __init__(self, before: deque[Seen], settings: TrackerSettings | None = None) -> None:
        self._before = before
        self._settings = settings or TrackerSettings()
        self._numbers: dict[int, int] = {}
        self._people = People()
        self._highest = 0
        self._seen: dict[int, Person] = {}

    def learn(self, index: int, faces: Sequence[Face]) -> None:
        """Compare the faces of a frame before the piece's beginning with those that the piece before has in it."""
        there = next((people for at, people in self._before if at == index), [])
        overlap = iou_matrix([face.box for face in faces], [box for _, box in there])
        while overlap.size and overlap.max() >= SAME_PLACE:
            row, column = (int(place) for place in np.unravel_index(overlap.argmax(), overlap.shape))
            number = there[column][0]
            self._numbers = {track: known for track, known in self._numbers.items() if known != number}
            self._numbers[faces[row].track_id] = number
            overlap[row], overlap[:, column] = 0, 0

    def begin(self, people: People) -> None:
        """The piece begins: ``people`` are those of all pieces before it."""
        self._people = people
        self._highest = people.highest

    def rename(self, index: int, time: float, faces: Sequence[Face]) -> list[Face]:
        """The faces of the next frame with their numbers in the whole video."""
        renamed = [replace(face, track_id=self._number(face, time)) for face in faces]
        for face in renamed:
            if face.looks is not None:
                self._seen[face.track_id] = Person(time, face.looks)
        return renamed

    def end(self) -> People:
        """Everybody who was seen up to the end of this piece; of those long gone only the latest are kept."""
        known = {**self._people.known, **self._seen}
        latest = sorted(known, key=lambda number: (known[number].time, number))[-self._settings.remembered :]
        return People(self._highest, {number: known[number] for number in sorted(latest)})

    def _number(self, face: Face, time: float) -> int:
        if not self._people.highest:  # the first piece: its numbers are those of the video
            self._highest = max(self._highest, face.track_id)
            return face.track_id
        if face.track_id not in self._numbers:
            recognised = self._recognise(face, time)
            if recognised is None:
                self._highest += 1
            self._numbers[face.track_id] = self._highest if recognised is None else recognised
        return self._numbers[face.track_id]

    def _recognise(self, face: Face, time: float) -> int | None:
        """Somebody of the pieces before who looks like this and is not somebody else here; None if nobody does."""
        taken = set(self._numbers.values())
        candidates = [
            number
            for number, person in self._people.known.items()
            if number not in taken and time - person.time <= self._settings.memory
        ]
        if face.looks is None or not candidates:
            return None
        likeness = likeness_matrix([face.looks], [self._people.known[number].looks for number in candidates])[
            0
        ]
        order = np.argsort(-likeness, kind="stable")
        best = float(likeness[order[0]])
        second = float(likeness[order[1]]) if len(order) > 1 else 0.0
        chosen = self._settings
        sure = best >= chosen.same_person
        likely = best >= chosen.likely_person and best - second >= chosen.margin
        return candidates[int(order[0])] if sure or likely else None


def seen(index: int, faces: Sequence[Face]) -> Seen:
    """What is remembered of a frame for the piece that follows: boxes in tenths of a pixel, as tables have them."""
    return index, [(face.track_id, Box(*(round(float(side), 1) for side in face.box))) for face in faces]
