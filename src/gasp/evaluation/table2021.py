"""The tables of 2021: one row per video, and the mean scores of the gates.

``video_id,dataset,frames_len`` and then one column per metric; gates in a second file whose name ends in
``_gate_scores``, with columns numbered from 0. An existing table of metrics is continued: a video that is there already
gets its new row in place of the old one.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gasp.datasets.columns import read_csv
from gasp.errors import InputError
from gasp.work.files import replacing

KEYS_2021 = ("sim", "aucj", "aucs", "aucb", "nss", "cc", "kld", "ifg")
"""Metrics in the order of the tables of 2021."""

_FIRST = ("video_id", "dataset", "frames_len")


@dataclass(frozen=True, slots=True)
class Row2021:
    """One video: ``frames_len`` evaluated frames, their mean scores by key, their mean gates in modality order."""

    video_id: str
    dataset: str
    frames_len: int
    scores: Mapping[str, float]
    gates: Sequence[float] = ()


def write_table_2021(path: Path, rows: Sequence[Row2021], keys: Sequence[str] = KEYS_2021) -> None:
    """Writes or continues the table at ``path``, atomically; NaN is an empty field.

    Gates go to ``<path without .csv>_gate_scores.csv`` when any row has some; that file is written anew, and a mean of
    exactly 0 is left empty, as in 2021. Raises :class:`~gasp.errors.InputError` when ``path`` holds another table.
    """
    columns = (*_FIRST, *keys)
    lines = {(line[1], line[0]): line for line in _existing(path, columns)}
    for row in rows:
        values = [_number(row.scores.get(key, math.nan)) for key in keys]
        lines[row.dataset, row.video_id] = [row.video_id, row.dataset, str(row.frames_len), *values]
    _write(path, columns, lines.values())
    width = max((len(row.gates) for row in rows), default=0)
    if width:
        gates = (
            [
                row.video_id,
                row.dataset,
                str(row.frames_len),
                *(_number(gate or math.nan) for gate in row.gates),
            ]
            for row in rows
        )
        name = f"{path.name.removesuffix('.csv')}_gate_scores.csv"
        _write(path.with_name(name), (*_FIRST, *map(str, range(width))), gates)


def _existing(path: Path, columns: Sequence[str]) -> list[list[str]]:
    if not path.is_file():
        return []
    rows = read_csv(path, columns)
    if rows and set(rows[0]) != set(columns):
        raise InputError(f"{path} has other columns than {', '.join(columns)}; remove it or write elsewhere")
    return [[row[name] for name in columns] for row in rows]


def _write(path: Path, columns: Sequence[str], lines: object) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)  # type: ignore[arg-type]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.17g}"
