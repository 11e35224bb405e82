"""The local record of a training run: a table of what was logged, and its plot."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from gasp.errors import InputError
from gasp.training.extras import extra
from gasp.work.files import replacing

Row = dict[str, float]
"""Name -> value; "epoch" and "step" (both from 0) and whatever was logged there."""

TABLE, PLOT = "history.csv", "history.png"

_PLOT_EVERY = 60.0
"""Seconds between two plots while training: drawing takes about one."""

_WIDE = 30
"""Values that span more than this are drawn on a logarithmic scale (which is linear between -1 and 1, where there are
values below 0)."""

_COLOURS = {"training": "#4287ce", "validation": "#d6505f", "": "#26a082"}


class TableLogger(Logger):
    """A Lightning logger that keeps ``history.csv`` and ``history.png`` in a folder.

    One row per step at which something was logged, one column per name. The file is complete after every call. A run
    that goes on from a checkpoint continues the table: rows from its first step on are replaced.
    """

    def __init__(self, folder: Path, version: str) -> None:
        super().__init__()
        self.folder = folder
        self._version = version
        self._columns: list[str] = []
        self._last: Row = {}
        self._plotted = time.monotonic()

    @property
    def table(self) -> Path:
        """The file of the table."""
        return self.folder / TABLE

    @property
    def save_dir(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def name(self) -> str:
        """No name: the folder is the run's own."""
        return ""

    @property
    def version(self) -> str:
        """The key of the run."""
        return self._version

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration has a file of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds values to the row of this step.

        Values of single batches of validation, which have no epoch and count steps of their own, are left to others.
        """
        if step is None or "epoch" not in metrics:
            return
        if not self._columns:
            self._continue_before(step)
        row: Row = {"step": step} | {name: float(value) for name, value in metrics.items()}
        if self._last.get("step") == step:
            row = self._last | row
        new = [name for name in row if name not in self._columns]
        if new:
            earlier = self._rows()
            self._columns += new
            self._write([*(earlier[:-1] if self._last.get("step") == step else earlier), row])
        else:
            self._put(row)
        self._last = row
        if time.monotonic() - self._plotted > _PLOT_EVERY:
            self._plot()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Draws the plot."""
        if self.table.exists():
            self._plot()

    def _continue_before(self, step: int) -> None:
        """Takes over what an interrupted run wrote before ``step``."""
        self._columns = ["epoch", "step"]
        if self.table.exists():
            rows = [row for row in self._rows() if row["step"] < step]
            self._columns += _names(rows)
            self._write(rows)

    def _rows(self) -> list[Row]:
        return read_history(self.table) if self.table.exists() else []

    def _write(self, rows: Sequence[Row]) -> None:
        with replacing(self.table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(self._columns)
            file.writelines(self._line(row) for row in rows)

    def _put(self, row: Row) -> None:
        """Appends the row; the last one is replaced when it is of the same step."""
        with self.table.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            if self._last.get("step") == row["step"]:
                file.seek(-len(self._line(self._last)), os.SEEK_END)
            file.write(self._line(row).encode())
            file.truncate()

    def _line(self, row: Row) -> str:
        return ",".join(_written(row[name]) if name in row else "" for name in self._columns) + "\n"

    def _plot(self) -> None:
        plot_history(read_history(self.table), self.folder / PLOT)
        self._plotted = time.monotonic()


def _written(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:.8g}"


def read_history(path: str | Path) -> list[Row]:
    """The rows of a ``history.csv`` in order; values that were not logged at a step are left out.

    Raises :class:`~gasp.errors.InputError` when it is no such table.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [{name: float(value) for name, value in row.items() if value} for row in reader]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is no table of a training run: {error}") from None
    return [row for row in rows if "step" in row]


def _names(rows: Sequence[Row]) -> list[str]:
    """Names of what was logged."""
    found = dict.fromkeys(name for row in rows for name in row)
    return [name for name in found if name not in ("epoch", "step")]


def curve(rows: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    """Steps at which ``name`` was logged, and its values."""
    found = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in found], [value for _, value in found]


def plot_history(rows: Sequence[Row], path: Path) -> None:
    """Draws learning curves, one panel per quantity, as PNG; atomically.

    Means over epochs of training and validation are in the same panel, with the values of single steps faint behind
    them. ``rows``: as of :func:`read_history`.
    """
    with extra("train"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    panels = _panels(_names(rows))
    if not panels:
        return
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    # A figure of its own, not pyplot's: that one is global and may want a screen.
    figure = Figure(figsize=(4.4 * columns, 3.0 * lines), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis, (title, curves) in zip(axes, panels.items(), strict=False):
        for one in curves:
            steps, values = curve(rows, one.name)
            style = {"alpha": 0.3, "lw": 1} if one.faint else {"lw": 1.8, "label": one.label or None}
            few = len(steps) < 20 and not one.faint
            axis.plot(steps, values, color=_COLOURS[one.label], marker="o" if few else None, ms=3, **style)
        lows, highs = axis.dataLim.intervaly
        if lows > 0 and highs > _WIDE * lows:
            axis.set_yscale("log")
        elif highs > _WIDE * max(1, -lows):
            axis.set_yscale("symlog", linthresh=1)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.25)
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(frameon=False, fontsize=8)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("step", fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


class _Curve(NamedTuple):
    name: str
    label: str
    faint: bool


def _panels(names: Sequence[str]) -> dict[str, list[_Curve]]:
    """Title -> its curves; what is optimised comes first. Single steps are faint where there are means."""
    panels: dict[str, list[_Curve]] = {}
    for prefix, label in (("train_", "training"), ("val_", "validation")):
        for quantity in dict.fromkeys(name.removeprefix("avg_").removeprefix(prefix) for name in names):
            step, mean = f"{prefix}{quantity}", f"avg_{prefix}{quantity}"
            if step in names:
                panels.setdefault(quantity, []).append(_Curve(step, label, mean in names))
            if mean in names:
                panels.setdefault(quantity, []).append(_Curve(mean, label, False))
    shown = {one.name for curves in panels.values() for one in curves}
    panels |= {name: [_Curve(name, "", False)] for name in names if name not in shown}
    return dict(sorted(panels.items(), key=lambda panel: panel[0] != "loss"))
