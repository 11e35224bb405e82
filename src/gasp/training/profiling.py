"""Where the time of training goes: loading, forward, backward, optimiser."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

PHASES = ("loading", "forward and loss", "backward", "optimiser", "other")


@dataclass
class PhaseTimes:
    """Seconds per phase, summed over ``steps`` training steps."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    steps: int = 0
    samples: int = 0

    @property
    def total(self) -> float:
        """Seconds in all."""
        return sum(self.seconds.values())

    def share(self, phase: str) -> float:
        """A phase's part of the whole, 0..1."""
        return self.seconds[phase] / self.total if self.total else 0.0

    def table(self) -> str:
        """The phases with milliseconds per step and shares, in lines."""
        if not self.steps:
            return "no step was measured"
        width = max(map(len, PHASES))
        lines = [f"{'phase':{width}}  ms per step  share"]
        lines += [
            f"{phase:{width}}  {1000 * self.seconds[phase] / self.steps:11.2f}  {100 * self.share(phase):4.1f} %"
            for phase in PHASES
        ]
        rate = self.samples / self.total
        lines.append(
            f"{self.steps} steps, {1000 * self.total / self.steps:.1f} ms each, {rate:.2f} clips per second"
        )
        return "\n".join(lines)


class Profile(Callback):
    """Measures the phases of training steps after the first ``warmup`` ones.

    On a GPU it waits for the device at every border between phases, which slows training a little.
    """

    def __init__(self, warmup: int = 2) -> None:
        self.times = PhaseTimes()
        self.warmup = warmup
        self._last: float | None = None
        self._seen = 0

    def _reach(self, phase: str, module: pl.LightningModule) -> None:
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        now = time.perf_counter()
        if self._last is not None and self._seen > self.warmup:
            self.times.seconds[phase] += now - self._last
        self._last = now

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What lies between epochs, validation for example, is not measured."""
        self._last = None
        self._reach("other", pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is here."""
        self._seen += 1
        self._reach("loading", pl_module)

    def on_before_zero_grad(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """The loss is known; Lightning empties gradients after it."""
        self._reach("forward and loss", pl_module)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Any) -> None:
        """Gradients are empty."""
        self._reach("other", pl_module)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gradients are known."""
        self._reach("backward", pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The optimiser is done."""
        self._reach("optimiser", pl_module)
        if self._seen > self.warmup:
            self.times.steps += 1
            self.times.samples += len(batch.names)
