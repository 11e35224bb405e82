"""The one way in which networks are fitted here: Lightning's trainer with what every training needs.

State is saved so that a run that is stopped, killed or out of disk space goes on where it was; files are written
atomically; a moving average of the weights, progress and the time of each phase are callbacks.
"""

from __future__ import annotations

import logging
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint, EMAWeightAveraging
from lightning.pytorch.plugins import TorchCheckpointIO

from gasp.config.experiments import TrainerSettings
from gasp.errors import InputError, UsageError
from gasp.training.denormals import denormals_as_zero
from gasp.work.files import replacing
from gasp.work.progress import Progress, Report

STATE = "last.ckpt"
"""The file from which a run goes on."""

SAVE_EVERY = 30.0
"""Seconds that pass at least between two saves of the state."""

_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


def fit(
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    config: TrainerSettings,
    folder: Path,
    *,
    loggers: Sequence[Any] = (),
    callbacks: Sequence[Callback] = (),
    clip: float = 0.0,
    report: Report | None = None,
    learning_rate_search: bool = False,
    save_every: float | None = None,
    new_loaders: bool = False,
) -> pl.Trainer:
    """Fit ``module`` to ``data``, going on from the state in ``folder`` where there is one.

    ``clip``: greatest norm of gradients, 0 for none. ``save_every``: seconds between saves of the state, else
    :data:`SAVE_EVERY`. ``new_loaders``: ask ``data`` for them in every epoch, since their lengths differ. Returns the
    trainer; the module holds the final weights (their moving average where ``config.average`` is set). Raises
    :class:`KeyboardInterrupt` when interrupted, with the state kept.
    """
    state = folder / STATE
    _set_threads(config)
    with quiet_lightning():
        kept = [*callbacks, SavedState(folder, SAVE_EVERY if save_every is None else save_every)]
        trainer = make_trainer(config, folder, loggers, kept, clip, report, new_loaders)
        if learning_rate_search and not state.is_file():
            _search_learning_rate(trainer, module, data)
        with denormals_as_zero(), _interruptions(trainer):
            trainer.fit(module, datamodule=data, ckpt_path=str(state) if state.is_file() else None)
    return trainer


def make_trainer(
    config: TrainerSettings,
    folder: Path,
    loggers: Sequence[Any] = (),
    callbacks: Sequence[Callback] = (),
    clip: float = 0.0,
    report: Report | None = None,
    new_loaders: bool = False,
) -> pl.Trainer:
    """Lightning's trainer. Raises :class:`~gasp.errors.UsageError` for devices that are not there."""
    own = list(callbacks)
    if config.average:
        own.append(EMAWeightAveraging(decay=config.average))
    if report is not None:
        own.append(_Told(report))
    devices = _devices(config.devices)
    several = config.nodes > 1 or (len(devices) if isinstance(devices, list) else devices) not in (1, "auto")
    try:
        return pl.Trainer(
            accelerator=config.accelerator,
            devices=devices,
            num_nodes=config.nodes,
            strategy="ddp" if several else "auto",
            precision=_PRECISION[config.precision],  # type: ignore[arg-type]
            max_epochs=config.max_epochs,
            max_steps=config.max_steps or -1,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=clip or None,
            check_val_every_n_epoch=config.validate_every,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            logger=list(loggers) or False,
            callbacks=own,
            plugins=[AtomicCheckpointIO()],
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=int(new_loaders),
            default_root_dir=str(folder),
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UsageError(
            f"trainer.accelerator = {config.accelerator!r}, trainer.devices = {config.devices!r}: {error}"
        ) from None


def _devices(text: str) -> int | list[int] | str:
    """Two devices for the text 2, those with these numbers for 0,1 or 0, and whatever there is for auto."""
    if text == "auto":
        return text
    try:
        if "," in text:
            return [int(part) for part in text.split(",") if part.strip()]
        return int(text)
    except ValueError:
        raise UsageError(f"trainer.devices = {text!r}: give a number, numbers such as 0,1 or auto") from None


def _set_threads(config: TrainerSettings) -> None:
    if config.threads:
        torch.set_num_threads(config.threads)


def _search_learning_rate(
    trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule
) -> None:
    from lightning.pytorch.tuner.tuning import Tuner

    Tuner(trainer).lr_find(module, datamodule=data, num_training=60)


# --- callbacks -------------------------------------------------------------------------------------------


class SavedState(Checkpoint):
    """Saves everything that a run needs to go on, to ``last.ckpt``: after the first epoch, and then after epochs that
    end at least ``seconds`` later than the last save. A derivative of Lightning's Checkpoint so that it comes last.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.path = folder / STATE
        self.seconds = seconds
        self._saved = -float("inf")
        self._saving = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves when it is time."""
        due = time.monotonic() - self._saved >= self.seconds
        if trainer.strategy.broadcast(due):
            self._saving = True
            try:
                trainer.save_checkpoint(self.path)
            finally:
                self._saving = False
            self._saved = time.monotonic()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Says that the epoch is over, which Lightning writes down only later: it would finish it again, and without
        validation count it twice.
        """
        if not self._saving:
            return
        loop = checkpoint["loops"]["fit_loop"]
        for progress in loop["epoch_progress"].values():
            progress["completed"] = progress["processed"]
        batches = loop["epoch_loop.batch_progress"]
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints take their name when they are whole; an earlier file of that name stays where one cannot be written.

    Files are read without running code that they may hold.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Raises :class:`~gasp.errors.OutputError` when the disk is full or refuses."""
        with replacing(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:
                # PyTorch's own writer says so when the disk is full.
                raise OSError(str(error).splitlines()[0]) from None

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, loc: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises :class:`~gasp.errors.InputError` when the file is damaged."""
        try:
            loaded: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        except Exception as error:  # PyTorch raises many kinds
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path} cannot be read ({reason}). Delete it to begin this training anew."
            ) from None
        return loaded


class _Told(Callback):
    """Tells ``report`` how far training is, with the latest losses."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After every step."""
        if trainer.is_global_zero:
            total = trainer.estimated_stepping_batches
            values = {
                name: float(value)
                for name, value in trainer.callback_metrics.items()
                if name in ("train_loss", "train_cc", "train_nss", "val_loss", "val_cc", "val_nss")
            }
            steps = total if total < float("inf") else None
            self.report(Progress("training", trainer.global_step, steps, values, unit="steps"))


# --- Lightning, kept in its place ------------------------------------------------------------------------


@contextmanager
def _interruptions(trainer: pl.Trainer) -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt (Lightning ends the process, and ignores further ones)."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        # Elsewhere than in the main thread no handler was changed either.
        with suppress(ValueError):
            signal.signal(signal.SIGINT, handler)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's advertisements, tips and notes on its own use are not for the user of a command."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
