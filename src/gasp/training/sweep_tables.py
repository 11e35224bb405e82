"""What a sweep leaves: one table of everything (CSV), and the tables to read (Markdown)."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gasp.config.sweeps import Planned
from gasp.training.scoring import METRICS, Scores, mean_scores
from gasp.work.files import replacing

SHOWN = {"aucj": "AUC-J", "aucs": "sAUC", "cc": "CC", "nss": "NSS", "sim": "SIM"}

_HEAD = (
    "table",
    "row",
    "column",
    "experiment",
    "network",
    "context",
    "inputs",
    "left_out",
    "videos",
    "frames",
)


@dataclass(frozen=True)
class SweepRow:
    """How one experiment went. ``videos``: its scores by video ("diem/talk"); ``failed``: why there are none."""

    planned: Planned
    videos: dict[str, Scores] = field(default_factory=dict)
    failed: str | None = None

    @property
    def scores(self) -> Scores:
        """Means over the videos."""
        return mean_scores(list(self.videos.values()))

    def plain(self) -> dict[str, Any]:
        """Values that JSON knows; what is not defined is None."""
        planned = self.planned
        return {
            "table": planned.table,
            "row": planned.row,
            "column": planned.column,
            "experiment": planned.name,
            "scores": _plain_scores(self.scores),
            "videos": {video: _plain_scores(scores) for video, scores in self.videos.items()},
            "failed": self.failed,
        }


def _plain_scores(scores: Scores) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in scores.items()}


def write_tables(rows: Sequence[SweepRow], folder: Path) -> None:
    """Writes ``scores.csv`` and ``tables.md``, each atomically."""
    with (
        replacing(folder / "scores.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*_HEAD, *METRICS, "failed"))
        writer.writerows(_line(row) for row in rows)
    with replacing(folder / "tables.md") as temporary:
        temporary.write_text(markdown(rows), encoding="utf-8")


def _line(row: SweepRow) -> list[str]:
    planned, experiment, scores = row.planned, row.planned.experiment, row.scores
    values = [
        planned.table, planned.row, planned.column, experiment.name, experiment.network, experiment.context,
        "+".join(experiment.clips.inputs), planned.left_out or "", len(row.videos), int(scores["frames"]),
    ]  # fmt: skip
    means = ["" if math.isnan(scores[name]) else f"{scores[name]:.10g}" for name in METRICS]
    return [*map(str, values), *means, row.failed or ""]


def markdown(rows: Sequence[SweepRow]) -> str:
    """Every table of the sweep; the best value of each metric is bold where networks are compared.

    Where a table has columns, such as the context, there is one for each metric; else the metrics are the columns.
    """
    parts = []
    for table in dict.fromkeys(row.planned.table for row in rows):
        of_table = [row for row in rows if row.planned.table == table]
        parts.append(f"## {table}\n")
        if any(row.planned.column for row in of_table):
            parts += [_pivot(of_table, metric) for metric in METRICS]
        else:
            parts.append(_plain(of_table))
        parts += [f"* {row.planned.name} failed: {row.failed}\n" for row in of_table if row.failed]
    return "\n".join(parts)


def _plain(rows: Sequence[SweepRow]) -> str:
    cells = {row.planned.row: [row.scores[metric] for metric in METRICS] for row in rows}
    left_out = rows[0].planned.left_out is not None
    # Videos do not compete with each other.
    best = [math.nan if left_out else _best(column) for column in zip(*cells.values(), strict=True)]
    lines = [[label, *map(_say, values, best)] for label, values in cells.items()]
    if left_out:
        mean = mean_scores([row.scores for row in rows])
        lines.append(["mean", *(_say(mean[metric]) for metric in METRICS)])
    return _grid(["", *SHOWN.values()], lines)


def _pivot(rows: Sequence[SweepRow], metric: str) -> str:
    labels = list(dict.fromkeys(row.planned.row for row in rows))
    columns = list(dict.fromkeys(row.planned.column for row in rows))
    values = {(row.planned.row, row.planned.column): row.scores[metric] for row in rows}
    best = _best(values.values())
    lines = [
        [label, *(_say(values.get((label, column), math.nan), best) for column in columns)]
        for label in labels
    ]
    return _grid([SHOWN[metric], *columns], lines)


def _best(values: Iterable[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def _say(value: float, best: float = math.nan) -> str:
    if math.isnan(value):
        return "-"
    return f"**{value:.3f}**" if value == best else f"{value:.3f}"


def _grid(head: list[str], lines: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
