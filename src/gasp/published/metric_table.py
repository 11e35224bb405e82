"""The metric tables of 2021: one row per video, with the mean of every metric over its frames."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError, UsageError
from gasp.naming import nearest
from gasp.published.measures import METRICS, Map
from gasp.published.plan import MetricsPlan
from gasp.published.truth import Truth
from gasp.work.files import replacing

HEAD = ("video_id", "dataset", "frames_len")


class VideoTable:
    """Collects the scores of one video.

    Predictions are compared at the size of the fixation map; values above 127 of it are fixated. Frames without
    density or fixation map are left out and counted in ``without_truth``.
    """

    def __init__(self, truth: Truth, names: Sequence[str]) -> None:
        for name in names:
            if name not in METRICS:
                raise UsageError(f"metrics_list: there is no metric {name!r}{nearest(name, METRICS)}")
        self.names = list(names)
        self.without_truth = 0
        self._truth = truth
        self._scores: list[list[float]] = []
        self._gates: list[list[float]] = []

    def add(self, number: int, saliency: NDArray[np.float32], gates: Mapping[str, float] | None) -> None:
        """Scores the prediction (h, w), 0..1, of frame ``number`` (from 1)."""
        points, density, baseline = self._truth.at(number)
        if points is None or density is None or not (points > 127).any() or not density.any():
            self.without_truth += 1
            return
        size = points.shape[1], points.shape[0]
        # As the pictures of 2021: 8 bits at the network's size, then enlarged.
        predicted = _resize((saliency * 255).astype(np.uint8), size)
        baseline = None if baseline is None else _resize(baseline, size)
        truth = _resize(density, size)
        row = [METRICS[name](predicted, points > 127, truth, baseline) for name in self.names]
        self._scores.append(row)
        if gates is not None:
            self._gates.append(list(gates.values()))

    @property
    def frames(self) -> int:
        """How many frames were scored."""
        return len(self._scores)

    def finish(self, metrics: MetricsPlan, root: Path, label: str) -> str:
        """Puts the row into the plan's table; what was done with the video, in a sentence that begins with ``label``.

        Raises :class:`~gasp.errors.InputError` when no frame was scored.
        """
        if not self.frames:
            raise InputError(f"{label}: no frame has a density and a fixation map to compare with")
        self.write(root / metrics.table, gates=metrics.gates)
        return f"{label}: {self.frames + self.without_truth} frames, {self.frames} scored"

    def write(self, path: Path, *, gates: bool) -> None:
        """Adds this video's rows to the table and, with ``gates``, to the one beside it."""
        row_id = {"video_id": self._truth.video_id, "dataset": self._truth.dataset}
        row_id["frames_len"] = str(self.frames)
        _put_row(path, self.names, row_id, _means(self._scores, len(self.names)))
        if gates and self._gates:
            means = _means(self._gates, len(self._gates[0]))
            columns = [str(index) for index in range(len(means))]
            _put_row(path.with_name(f"{path.stem}_gate_scores.csv"), columns, row_id, means)


def _means(rows: list[list[float]], columns: int) -> list[float]:
    """Means over frames that leave out NaN; NaN where nothing is left."""
    values = np.array(rows, np.float64).reshape(-1, columns)
    found = np.isfinite(values)
    counts = found.sum(0)
    sums = np.where(found, values, 0).sum(0)
    return [
        float(total / count) if count else float("nan") for total, count in zip(sums, counts, strict=True)
    ]


def _put_row(path: Path, columns: list[str], row_id: dict[str, str], means: list[float]) -> None:
    """A row of the table; an earlier one of the same video is replaced."""
    header = [*HEAD, *columns]
    rows = [row for row in _read_rows(path, header) if row[:2] != [row_id["video_id"], row_id["dataset"]]]
    rows.append(
        [row_id[name] for name in HEAD] + ["" if np.isnan(value) else f"{value:.10g}" for value in means]
    )
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _read_rows(path: Path, header: list[str]) -> list[list[str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if rows and rows[0] != header:
        raise InputError(
            f"{path} is a table of {', '.join(rows[0][3:])}; move it away, or change metrics_save_file"
        )
    return [row for row in rows[1:] if len(row) == len(header)]


def _resize(picture: Map, size: tuple[int, int]) -> Map:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
