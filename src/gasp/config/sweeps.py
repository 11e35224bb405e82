"""Several experiments that are compared, as data: the paper's tables, lists of presets, grids of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from gasp.config.base import SUFFIXES, FolderName, Settings, read_values
from gasp.config.experiments import Experiment, read_experiment
from gasp.config.presets2021 import training_presets
from gasp.errors import UsageError
from gasp.networks.variants import VARIANTS

Table = Literal["static", "context", "context-norm", "ablation"]

WHAT = "a sweep: it must hold tables, experiments or grid"

ALL_CUES = "111"


@dataclass(frozen=True)
class Planned:
    """One experiment of a sweep and its place: ``row`` and ``column`` of ``table``. ``column`` is empty where the
    columns are the metrics. ``left_out``: the video ("diem/talk") that it is scored on and did not learn from; None:
    it is scored on its test list.
    """

    experiment: Experiment
    table: str
    row: str
    column: str = ""
    left_out: str | None = None

    @property
    def name(self) -> str:
        """Of its results; an experiment may stand in several tables."""
        return self.experiment.name + (f"--{self.left_out.replace('/', '--')}" if self.left_out else "")


class Grid(Settings):
    """Every network with every context (static ones once) and every set of cues.

    ``networks``: class names. ``contexts``: frames. ``cues``: names of pictures in modality order, by a name of each
    set.
    """

    networks: tuple[str, ...] = Field(min_length=1)
    contexts: tuple[int, ...] = Field(default=(10,), min_length=1)
    cues: dict[str, tuple[str, ...]] = Field(min_length=1)


class Sweep(Settings):
    """What is trained and compared.

    ``tables``: of the paper: "static" variants; "context" and "context-norm", sequential variants by context size,
    without and with temporal normalisation; "ablation", cues left out (flags for gaze estimation, gaze following and
    facial expression). ``experiments``: presets, files, or whole experiments. ``grid``: one's own variants, contexts
    and cues.

    ``changes``: fields of :class:`~gasp.config.experiments.Experiment` that are different in all of them, such as
    ``{clips: {source: store}, trainer: {max_epochs: 100}}``; options of the network are added to those that are there.
    ``pictures``: names that stand for others in all inputs, to fill the paper's tables with other cues.
    ``leave_one_out``: instead of a test list, train once for each training video without it, and score it.
    ``every``: one of so many frames is scored. ``folder``: where everything is kept, under ``name``.
    """

    name: FolderName = "sweep"
    tables: tuple[Table, ...] = ()
    experiments: tuple[str | Experiment, ...] = ()
    grid: Grid | None = None
    changes: dict[str, Any] = Field(default_factory=dict)
    pictures: dict[str, str] = Field(default_factory=dict)
    leave_one_out: bool = False
    every: int = Field(default=1, ge=1)
    folder: str = "sweeps"

    @classmethod
    def leaving_one_out(cls, experiment: Experiment) -> Sweep:
        """One experiment, once for each of its training videos without it."""
        kept = {"logging": {"logger": experiment.logging.logger}}
        name = f"{experiment.name}-each-left-out"
        return cls(name=name, experiments=(experiment,), changes=kept, leave_one_out=True)

    def place(self, root: Path) -> Path:
        """The sweep's folder."""
        return root / self.folder / self.name

    def plan(self) -> list[Planned]:
        """The experiments in the order of the tables. Raises :class:`~gasp.errors.UsageError` for what cannot be."""
        planned = [one for table in self.tables for one in _paper(table)]
        planned += [
            Planned(experiment, "experiments", experiment.name)
            for experiment in map(_experiment, self.experiments)
        ]
        planned += _grid(self.grid) if self.grid else []
        if not planned:
            raise UsageError(f"the sweep {self.name} names no tables, experiments or grid")
        planned = [replace(one, experiment=self._changed(one.experiment)) for one in planned]
        by_name = {one.name: one.experiment for one in planned}
        for one in planned:
            if one.experiment != by_name[one.name]:
                raise UsageError(f"two experiments of the sweep {self.name} are named {one.name}")
        return planned

    def _changed(self, experiment: Experiment) -> Experiment:
        changes = dict(self.changes)
        options = experiment.options | changes.pop("options", {})
        inputs = tuple(self.pictures.get(name, name) for name in experiment.clips.inputs)
        tests = experiment.clips.test_inputs
        if tests is not None:
            tests = tuple(self.pictures.get(name, name) for name in tests)
        here = f"{self.folder}/{self.name}"
        kept = experiment.replaced(
            options=options,
            clips={"inputs": inputs, "test_inputs": tests},
            logging={"logger": "csv", "folder": f"{here}/logs"},
            checkpoints=f"{here}/checkpoints",
        )
        return kept.replaced(**changes)


def is_sweep(source: str | Path) -> bool:
    """Whether this is a file that describes a sweep, and not an experiment. Raises
    :class:`~gasp.errors.InputError` for an unreadable file.
    """
    path = Path(source)
    return path.suffix.lower() in SUFFIXES and not {"tables", "experiments", "grid"}.isdisjoint(
        read_values(path, WHAT)
    )


def read_sweep(path: str | Path) -> Sweep:
    """The sweep in a YAML or JSON file. Raises :class:`~gasp.errors.UsageError` naming every wrong field, and
    :class:`~gasp.errors.InputError` for an unreadable file.
    """
    path = Path(path)
    return Sweep.read({"name": path.stem} | read_values(path, WHAT), str(path))


def _experiment(given: str | Experiment) -> Experiment:
    return given if isinstance(given, Experiment) else read_experiment(given)


def _paper(table: Table) -> list[Planned]:
    names = training_presets()
    if table == "static":
        chosen = [name for name in names if name.startswith("GASPExp001_")]
        return [_preset(table, name, "") for name in chosen]
    if table == "ablation":
        left_out = [name for name in names if name.startswith("GASPExp004_")]
        whole = {name.replace("GASPExp004", "GASPExp002").rpartition("_")[0]: ALL_CUES for name in left_out}
        return [
            _preset(table, name, whole.get(name) or name.rpartition("_")[2]) for name in (*left_out, *whole)
        ]
    norm = table == "context-norm"
    chosen = [name for name in names if name.startswith("GASPExp002_") and name.endswith("Norm") == norm]
    return [_preset(table, name, None) for name in chosen]


def _preset(table: str, name: str, column: str | None) -> Planned:
    """``column`` None: the context. Rows of the ablation are networks with their contexts."""
    experiment = read_experiment(name)
    row = VARIANTS[experiment.network].title
    if table == "ablation":
        row += f", {experiment.context} frames"
    column = str(experiment.context) if column is None else column
    return Planned(experiment, table, row, column)


def _grid(grid: Grid) -> list[Planned]:
    planned = []
    for network in grid.networks:
        for cues, inputs in grid.cues.items():
            for context in grid.contexts:
                experiment = _of_grid(network, cues, inputs, context)
                if experiment.sequence or context == grid.contexts[0]:
                    row = f"{VARIANTS[network].title}, {cues}"
                    column = str(experiment.context)
                    planned.append(Planned(experiment, "grid", row, column))
    return planned


def _of_grid(network: str, cues: str, inputs: tuple[str, ...], context: int) -> Experiment:
    values: dict[str, Any] = {"network": network, "clips": {"inputs": inputs}, "name": f"{network}_{cues}"}
    experiment = Experiment.read(values, "grid")
    if experiment.sequence:
        name = f"{network}_{context}_{cues}"
        experiment = experiment.replaced(name=name, options={"sequence_len": context})
    return experiment
