"""One training run, from an experiment to its weights; an interrupted one goes on."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from gasp.config.experiments import Experiment
from gasp.errors import UsageError
from gasp.training.data import ClipData
from gasp.training.fitting import STATE, fit, make_trainer, quiet_lightning
from gasp.training.loggers import RunLogs, log_folder, open_logs
from gasp.training.module import SaliencyModule, begin
from gasp.training.pictures import PictureSamples
from gasp.training.profiling import PhaseTimes, Profile
from gasp.training.runs import LAST_MODEL, MODEL, Run, find_run, runs_folder, write_model, write_record
from gasp.work.progress import Report

log = logging.getLogger(__name__)

_RUN = "GASP_TRAINING_RUN"
"""Tells processes that Lightning starts which run they belong to."""


@dataclass(frozen=True)
class TrainingRun:
    """What a run left.

    ``folder``: of its checkpoints. ``log_folder``: of its logs. ``last_model``: the final weights, a bare state dict.
    ``best``: checkpoints with the least validation loss, best first. ``metrics``: the last value of everything that was
    logged. ``epochs``: how many were done. ``times``: where the time went, if asked for. ``resumed``: whether it went
    on from an interrupted run; ``unchanged``: whether there was nothing left to do.
    """

    folder: Path
    log_folder: Path
    last_model: Path
    best: list[Path] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    times: PhaseTimes | None = None
    resumed: bool = False
    unchanged: bool = False

    def summary(self) -> str:
        """What came of it, in lines for people."""
        how = (
            "complete already" if self.unchanged else "went on and completed" if self.resumed else "complete"
        )
        lines = [f"{how}: {self.epochs} epochs"]
        for phase, name in (("training", "avg_train_"), ("validation", "avg_val_")):
            found = {
                one.removeprefix(name): value for one, value in self.metrics.items() if one.startswith(name)
            }
            if found:
                lines.append(f"{phase}: {', '.join(f'{one} {value:.4g}' for one, value in found.items())}")
        lines.append(f"weights: {self.last_model}")
        lines.append(
            f"         {self.last_model.with_name(MODEL)} (for a pipeline: fusion: {{weights: FILE}})"
        )
        lines += [f"best: {path}" for path in self.best]
        lines.append(f"logs: {self.log_folder}")
        return "\n".join([*lines, "", self.times.table()] if self.times else lines)

    def plain(self) -> dict[str, Any]:
        """The same as plain values."""
        times = None if self.times is None else {"steps": self.times.steps, "seconds": self.times.seconds}
        return {
            "folder": str(self.folder),
            "log_folder": str(self.log_folder),
            "last_model": str(self.last_model),
            "best": [str(path) for path in self.best],
            "epochs": self.epochs,
            "metrics": self.metrics,
            "resumed": self.resumed,
            "unchanged": self.unchanged,
            "times": times,
        }


def check(experiment: Experiment, root: str | Path = ".") -> str:
    """Look for everything that would stop training: data, weights to begin with, devices. What was found, in lines.

    Raises :class:`~gasp.errors.GaspError` for what is wrong.
    """
    data, module = _prepare(experiment, Path(root))
    with quiet_lightning():
        make_trainer(experiment.trainer, Path(root))
    assert data.train is not None
    parameters = list(module.network.parameters())
    learnt = sum(p.numel() for p in parameters if p.requires_grad)
    lines = [
        f"{experiment.network}: {sum(p.numel() for p in parameters):,} parameters, {learnt:,} of them learn",
        f"{len(data.train.videos)} videos to learn from, {len(data.train)} clips of {experiment.context} frames "
        "an epoch",
    ]
    if data.validation is not None:
        lines.append(f"{len(data.validation.videos)} videos to validate on, {len(data.validation)} clips")
    return "\n".join(lines)


def _prepare(experiment: Experiment, root: Path) -> tuple[ClipData, SaliencyModule]:
    data = ClipData(experiment, root)
    data.check()
    module = SaliencyModule(experiment)
    begin(module.network, experiment)
    return data, module


def train(
    experiment: Experiment,
    root: str | Path = ".",
    *,
    anew: bool = False,
    profile: bool = False,
    report: Report | None = None,
) -> TrainingRun:
    """Trains a network.

    Paths of the experiment are relative to ``root``. An interrupted run of exactly this experiment goes on, a complete
    one is only reported; ``anew`` begins another one beside it. ``profile`` measures the phases of every step.
    Raises :class:`~gasp.errors.GaspError` before the first epoch for what is wrong with data, weights or devices;
    :class:`~gasp.training.module.TrainingError` when the loss is not a number;
    :class:`~gasp.errors.OutputError` when a checkpoint cannot be written (the one before it stays).
    """
    root = Path(root)
    first = getattr(rank_zero_only, "rank", 0) == 0
    earlier = _earlier(experiment, root, anew, first)
    if earlier is not None and earlier.complete and first:
        return _as_it_is(earlier, experiment, root)
    pl.seed_everything(experiment.trainer.seed, workers=True, verbose=False)
    data, module = _prepare(experiment, root)
    logs = open_logs(experiment, root, key=None if earlier is None else earlier.key)
    folder = runs_folder(experiment, root) / logs.key
    resumed = (folder / STATE).is_file()
    if first:
        write_record(folder, experiment, root, "running")
        os.environ[_RUN] = str(folder)
    try:
        return _train(experiment, root, module, data, logs, folder, profile, report, resumed)
    finally:
        if first:
            os.environ.pop(_RUN, None)


def _train(
    experiment: Experiment,
    root: Path,
    module: SaliencyModule,
    data: ClipData,
    logs: RunLogs,
    folder: Path,
    profile: bool,
    report: Report | None,
    resumed: bool,
) -> TrainingRun:
    phases = Profile()
    kept = _best_checkpoints(experiment, folder)
    callbacks = [*_callbacks(experiment, logs), *([phases] if profile else []), *([kept] if kept else [])]
    trainer = fit(
        module,
        data,
        experiment.trainer,
        folder,
        loggers=logs.loggers,
        callbacks=callbacks,
        clip=experiment.optimiser.clip,
        report=report,
        learning_rate_search=experiment.optimiser.find_rate,
    )
    best = _ranked(kept)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if trainer.is_global_zero:
        last = write_model(folder, module.network, experiment, _data_of(experiment))
        results = {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "metrics": metrics,
            "best": [path.name for path in best],
        }
        write_record(folder, experiment, root, "complete", results)
        (folder / STATE).unlink(missing_ok=True)
    else:
        last = folder / LAST_MODEL
    return TrainingRun(
        folder,
        logs.folder,
        last,
        best,
        metrics,
        trainer.current_epoch,
        phases.times if profile else None,
        resumed,
    )


def _callbacks(experiment: Experiment, logs: RunLogs) -> list[Callback]:
    callbacks: list[Callback] = []
    if experiment.trainer.patience:
        callbacks.append(EarlyStopping("val_loss", patience=experiment.trainer.patience, check_finite=False))
    if experiment.logging.pictures:
        callbacks.append(PictureSamples(logs.folder))
    return callbacks


def _best_checkpoints(experiment: Experiment, folder: Path) -> ModelCheckpoint | None:
    """Keeps the checkpoints with the least validation loss (without validation: the newest).

    Validations count, of which there is one every ``validate_every`` epochs: the published recipe wants checkpoints
    every 50 and validation every 49 epochs, which together would be hardly ever.
    """
    config = experiment.trainer
    if not config.checkpoint_best:
        return None
    validated = experiment.clips.validation is not None
    rounds = max(1, round(config.checkpoint_every / config.validate_every))
    return ModelCheckpoint(
        dirpath=folder,
        filename="model-epoch={epoch:02d}" + ("-val_loss={val_loss:.2f}" if validated else ""),
        auto_insert_metric_name=False,
        monitor="val_loss" if validated else None,
        save_top_k=config.checkpoint_best if validated else 1,
        every_n_epochs=rounds * config.validate_every if validated else config.checkpoint_every,
        save_on_train_epoch_end=not validated,
    )


def _ranked(kept: ModelCheckpoint | None) -> list[Path]:
    if kept is None:
        return []
    if not kept.best_k_models:
        return [Path(kept.best_model_path)] if kept.best_model_path else []
    return [
        Path(path) for path in sorted(kept.best_k_models, key=lambda path: float(kept.best_k_models[path]))
    ]


def _data_of(experiment: Experiment) -> str:
    return f"videos of the list {experiment.clips.train}, maps in {experiment.clips.source}"


# --- going on --------------------------------------------------------------------------------------------


def _earlier(experiment: Experiment, root: Path, anew: bool, first: bool) -> Run | None:
    """The run to go on with."""
    if first:
        return None if anew else find_run(experiment, root)
    # Another process leads; it has begun, or is about to begin, the run.
    if told := os.environ.get(_RUN):
        return Run(Path(told), {})
    return _await_run(experiment, root)


def _await_run(experiment: Experiment, root: Path, seconds: float = 300.0) -> Run:
    """The run that the first process leads, where all were started at the same time by somebody else."""
    waited_until = time.monotonic() + seconds
    while time.monotonic() < waited_until:
        run = find_run(experiment, root)
        if run is not None and not run.complete:
            return run
        time.sleep(0.5)
    raise UsageError(
        f"no run appeared in {runs_folder(experiment, root)} within {seconds:.0f} s; "
        "all processes must see the same folder"
    )


def _as_it_is(run: Run, experiment: Experiment, root: Path) -> TrainingRun:
    """A complete run, reported again."""
    results: dict[str, Any] = dict(run.record.get("results") or {})
    best = [run.folder / name for name in results.get("best", ())]
    log.info("%s is complete; nothing is left to do", run.folder)
    return TrainingRun(
        run.folder, log_folder(experiment, root, run.key), run.folder / LAST_MODEL, best, results.get("metrics", {}),
        results.get("epochs", 0), unchanged=True,
    )  # fmt: skip


__all__ = ["TrainingRun", "check", "train"]
