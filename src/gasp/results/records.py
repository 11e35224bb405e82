"""What is kept of a prediction when the pictures are gone: numbers for tables and the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.faces.face import Box
from gasp.metrics.density import as_density as as_density
from gasp.metrics.density import sums_within
from gasp.pipeline.prediction import Prediction


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """One face in one frame.

    ``box``: x1, y1, x2, y2 in pixels. ``attention``: share (0..1) of the map's mass within the box.
    ``found``: what cues say of the face, e.g. ``gaze_yaw`` in degrees. ``baseline``: the share of attention that is
    expected there without cues, None without contributions; ``why``: by cue, what it adds, in percentage points.
    """

    track_id: int
    box: tuple[float, float, float, float]
    score: float
    attention: float
    found: dict[str, float | str]
    baseline: float | None = None
    why: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame in numbers.

    ``frame`` counts from 0, ``time`` is in seconds, ``focus_x`` and ``focus_y`` in pixels, ``focus_value`` the map's
    value there. Pixels are those of the predicted picture until :meth:`scaled` makes them those of the file.
    ``entropy``: see :func:`entropy_of`. ``gates``: by modality, empty without gates. ``why``: by cue, the share
    (0..1) of the map's mass that it moves, empty without contributions.
    """

    frame: int
    time: float
    focus_x: float
    focus_y: float
    focus_value: float
    entropy: float
    gates: dict[str, float]
    people: list[PersonRecord]
    why: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def scaled(self, across: float, down: float) -> FrameRecord:
        """The record in other pixels: so many of them for one, across and down."""
        if across == down == 1:
            return self
        people = [replace(person, box=_scaled(person.box, across, down)) for person in self.people]
        return replace(
            self,
            focus_x=round(self.focus_x * across, 1),
            focus_y=round(self.focus_y * down, 1),
            people=people,
        )

    @classmethod
    def from_json(cls, line: str) -> FrameRecord:
        """The record of a line written by :meth:`to_json`."""
        values: dict[str, Any] = json.loads(line)
        people = [PersonRecord(**{**person, "box": tuple(person["box"])}) for person in values.pop("people")]
        return cls(**values, people=people)


def record_of(prediction: Prediction) -> FrameRecord:
    """The numbers of a prediction, rounded to the digits that mean something."""
    density = as_density(prediction.saliency)
    height, width = prediction.image.shape[:2]
    focus = prediction.focus
    contributions = prediction.contributions
    return FrameRecord(
        frame=prediction.index,
        time=round(prediction.time, 4),
        focus_x=round(focus.x, 1),
        focus_y=round(focus.y, 1),
        focus_value=round(focus.value, 4),
        entropy=round(entropy_of(density), 4),
        gates={name: round(gate, 4) for name, gate in (prediction.gates or {}).items()},
        people=[
            PersonRecord(
                track_id=face.track_id,
                box=tuple(round(float(side), 1) for side in face.box),  # type: ignore[arg-type]
                score=round(face.score, 4),
                attention=round(mass_within(density, face.box, height, width), 4),
                found={key: _rounded(value) for key, value in face.found.items()},
                # More digits than of the share itself, so that they add up to it to four.
                baseline=(
                    None
                    if contributions is None
                    else round(contributions.baseline_share(face.box, height, width), 5)
                ),
                why={name: round(points, 3) for name, points in face.why.items()},
            )
            for face in prediction.faces
        ],
        why={name: round(share, 4) for name, share in (prediction.why or {}).items()},
    )


def entropy_of(density: NDArray[np.float64]) -> float:
    """Shannon entropy in bits of a map (h, w) with sum 1: from 0 (one cell) to log2(h * w) (uniform)."""
    positive = density[density > 0]
    return max(0.0, float(-(positive * np.log2(positive)).sum()))


def mass_within(density: NDArray[np.float64], box: Box, height: int, width: int) -> float:
    """Share of the mass of ``density`` (h, w), sum 1, within ``box`` in pixels of a ``height`` x ``width``
    picture.

    Cells that the box covers in part count in part.
    """
    return min(1.0, float(sums_within(density, box, height, width)))


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else round(float(value), 4)


def read_records(path: Path) -> Iterator[FrameRecord]:
    """The frames in a file with one line of :meth:`FrameRecord.to_json` for each."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield FrameRecord.from_json(line)


def _scaled(
    box: tuple[float, float, float, float], across: float, down: float
) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return round(x1 * across, 1), round(y1 * down, 1), round(x2 * across, 1), round(y2 * down, 1)
