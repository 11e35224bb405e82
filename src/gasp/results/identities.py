"""Who is who after an interruption."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gasp.faces.face import Box, Face
from gasp.faces.geometry import iou_matrix
from gasp.results.records import FrameRecord


class Identities:
    """Gives the people of a resumed run the numbers that they had before.

    The tracker begins anew some frames before the place where the run was interrupted. Where its faces lie on
    those that were recorded there, they are the same people; anybody else gets a number that was not used.
    """

    def __init__(self, highest_track: int) -> None:
        self._highest = highest_track
        self._known: dict[int, int] = {}

    def learn(self, faces: list[Face], recorded: FrameRecord) -> None:
        """Compare a frame that was predicted twice."""
        now = [face.track_id for face in faces]
        before = [person.track_id for person in recorded.people]
        overlap = iou_matrix([face.box for face in faces], [Box(*person.box) for person in recorded.people])
        while overlap.size and overlap.max() >= 0.5:
            row, column = (int(place) for place in np.unravel_index(overlap.argmax(), overlap.shape))
            self._known = {new: old for new, old in self._known.items() if old != before[column]}
            self._known[now[row]] = before[column]
            overlap[row], overlap[:, column] = 0, 0

    def rename(self, faces: list[Face]) -> list[Face]:
        """The faces with their numbers of the whole run."""
        return [replace(face, track_id=self._number(face.track_id)) for face in faces]

    def _number(self, track_id: int) -> int:
        if track_id not in self._known:
            self._highest += 1
            self._known[track_id] = self._highest
        return self._known[track_id]
