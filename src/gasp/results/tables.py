"""``frames.csv`` and ``people.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from gasp.pipeline.prediction import Prediction
from gasp.results.records import FrameRecord
from gasp.results.sink import Pieces, Sink
from gasp.video import VideoSource

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
    """One row per frame: :data:`FRAME_COLUMNS`, ``why_<cue>``, ``gate_<modality>``, ``faces`` (how many)."""

    def __init__(self, path: Path, cues: Iterable[str], modalities: Iterable[str]) -> None:
        self._cues, self._modalities = tuple(cues), tuple(modalities)
        shares = (f"why_{name}" for name in self._cues)
        gates = (f"gate_{name}" for name in self._modalities)
        super().__init__(path, (*FRAME_COLUMNS, *shares, *gates, "faces"))

    def write(self, record: FrameRecord) -> None:
        """Append a frame."""
        self.row(
            *(getattr(record, column) for column in FRAME_COLUMNS),
            *(record.why.get(name, "") for name in self._cues),
            *(record.gates.get(name, "") for name in self._modalities),
            len(record.people),
        )


class PeopleTable(Table):
    """One row per face per frame: :data:`PERSON_COLUMNS`, ``baseline`` where there are contributions, then what
    ``found`` holds anywhere in the run, then ``why_<cue>``.
    """

    def __init__(self, path: Path, found: Iterable[str], cues: Iterable[str]) -> None:
        names = set(found)
        known = [name for name in FOUND_COLUMNS if name in names]
        self._found, self._cues = (*known, *sorted(names - set(known))), tuple(cues)
        self._baseline = ("baseline",) if self._cues else ()
        shares = (f"why_{name}" for name in self._cues)
        super().__init__(path, (*PERSON_COLUMNS, *self._baseline, *self._found, *shares))

    def write(self, record: FrameRecord) -> None:
        """Append the faces of a frame."""
        for person in record.people:
            self.row(
                *(record.frame, record.time, person.track_id, *person.box, person.score, person.attention),
                *("" if person.baseline is None else person.baseline for _ in self._baseline),
                *(person.found.get(name, "") for name in self._found),
                *(person.why.get(name, "") for name in self._cues),
            )


class TablesSink(Sink):
    """``frames.csv`` and ``people.csv``, made of the numbers that every run keeps of its frames."""

    name = "tables"

    @property
    def files(self) -> tuple[str, ...]:
        """Both tables."""
        return ("frames.csv", "people.csv")

    def begin(self, folder: Path, source: VideoSource) -> None:
        """A piece begins."""
        self._modalities: dict[str, None] = {}
        self._cues: dict[str, None] = {}
        self._found: set[str] = set()

    def write(self, prediction: Prediction) -> None:
        """Notes which columns there will be."""
        self._modalities.update(dict.fromkeys(prediction.gates or {}))
        self._cues.update(
            dict.fromkeys(() if prediction.contributions is None else prediction.contributions.names)
        )
        for face in prediction.faces:
            self._found.update(face.found)

    def piece(self) -> dict[str, list[str]]:
        """The columns."""
        return {
            "modalities": list(self._modalities),
            "found": sorted(self._found),
            "cues": list(self._cues),
        }

    def join(self, pieces: Pieces) -> None:
        """Writes the tables."""
        modalities = dict.fromkeys(name for piece in pieces for name in piece.about["modalities"])
        cues = dict.fromkeys(name for piece in pieces for name in piece.about["cues"])
        found = {name for piece in pieces for name in piece.about["found"]}
        with (
            FramesTable(pieces.into / "frames.csv", cues, modalities) as frames,
            PeopleTable(pieces.into / "people.csv", found, cues) as people,
        ):
            for record in pieces.records():
                frames.write(record)
                people.write(record)
