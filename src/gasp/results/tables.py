"""``frames.csv`` and ``people.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from gasp.results.records import FrameRecord

FRAME_COLUMNS = ("frame", "time", "focus_x", "focus_y", "focus_value", "entropy")
PERSON_COLUMNS = ("frame", "time", "track_id", "x1", "y1", "x2", "y2", "score", "attention")
FOUND_COLUMNS = (
    *("gaze_yaw", "gaze_pitch", "expression", "expression_score"),
    *("valence", "arousal", "speaking"),
)
"""Columns that are there only where a cue found such a thing; others that cues bring follow by name."""


_AnyTable = TypeVar("_AnyTable", bound="Table")


class Table:
    """A CSV file that is written row by row (UTF-8, a header line, ``\\n`` line ends)."""

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(columns)

    def row(self, *values: object) -> None:
        """Append a row."""
        self._rows.writerow(values)

    def __enter__(self: _AnyTable) -> _AnyTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class FramesTable(Table):
    """One row per frame: :data:`FRAME_COLUMNS`, ``gate_<modality>`` in their order, ``faces`` (how many)."""

    def __init__(self, path: Path, modalities: Iterable[str]) -> None:
        self._modalities = tuple(modalities)
        super().__init__(path, (*FRAME_COLUMNS, *(f"gate_{name}" for name in self._modalities), "faces"))

    def write(self, record: FrameRecord) -> None:
        """Append a frame."""
        self.row(
            *(getattr(record, column) for column in FRAME_COLUMNS),
            *(record.gates.get(name, "") for name in self._modalities),
            len(record.people),
        )


class PeopleTable(Table):
    """One row per face per frame: :data:`PERSON_COLUMNS`, then what ``found`` holds anywhere in the run."""

    def __init__(self, path: Path, found: Iterable[str]) -> None:
        names = set(found)
        known = [name for name in FOUND_COLUMNS if name in names]
        self._found = (*known, *sorted(names - set(known)))
        super().__init__(path, (*PERSON_COLUMNS, *self._found))

    def write(self, record: FrameRecord) -> None:
        """Append the faces of a frame."""
        for person in record.people:
            self.row(
                *(record.frame, record.time, person.track_id, *person.box, person.score, person.attention),
                *(person.found.get(name, "") for name in self._found),
            )
