"""Training by steps instead of epochs: the recipes of the packaged weights draw a new batch for every step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import lightning.pytorch as pl
from torch.utils.data import DataLoader, Dataset

from gasp.config.experiments import TrainerSettings
from gasp.training.fitting import fit
from gasp.video.prefetch import prefetch
from gasp.work.progress import Report

Module = TypeVar("Module", bound=pl.LightningModule)


class StepData(pl.LightningDataModule):
    """``make(step)`` is the batch of a step; what is made depends on the step alone, so that a run can go on anywhere.

    After every ``every`` steps the ``held_back`` examples are looked at, one by one, and the state is saved: that is an
    epoch to the trainer.
    """

    def __init__(
        self, make: Callable[[int], Any], steps: int, every: int, held_back: Sequence[Any] = ()
    ) -> None:
        super().__init__()
        self.make, self.steps, self.every, self.held_back = make, steps, every, held_back

    def train_dataloader(self) -> _Steps:
        """Batches of the epoch that begins."""
        return _Steps(self)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """What was held back."""
        return (
            [DataLoader(_Examples(self.held_back), batch_size=None, collate_fn=_as_it_is)]
            if self.held_back
            else []
        )


@dataclass(frozen=True)
class _Steps:
    data: StepData

    def __len__(self) -> int:
        return min(self.data.every, self.data.steps - self._first)

    @property
    def _first(self) -> int:
        return self.data.trainer.global_step if self.data.trainer else 0

    def __iter__(self) -> Iterator[Any]:
        assert self.data.trainer is not None
        first = self.data.trainer.global_step
        return prefetch(
            self.data.make(step) for step in range(first, min(first + len(self), self.data.steps))
        )


class _Examples(Dataset[Any]):
    def __init__(self, examples: Sequence[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Any:
        return self.examples[index]


def _as_it_is(example: Any) -> Any:
    return example


def fit_steps(
    module: Module,
    data: StepData,
    *,
    average: float,
    clip: float,
    folder: Path | None,
    report: Report | None = None,
) -> Module:
    """Fit ``module`` and return it, on the CPU, with the moving average of its weights.

    With ``folder`` the state is kept there after every ``data.every`` steps, and training goes on from it.
    """
    epochs = -(-data.steps // data.every)
    config = TrainerSettings(max_epochs=epochs, max_steps=data.steps, average=average)
    with tempfile.TemporaryDirectory() as temporary:
        fit(
            module,
            data,
            config,
            folder or Path(temporary),
            clip=clip,
            report=report,
            save_every=0.0,
            new_loaders=True,
        )
    return module.cpu()
