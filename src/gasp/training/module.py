"""A GASP network learning: what one step and one validation do, for Lightning."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from gasp.config.experiments import Experiment, OptimiserSettings
from gasp.errors import GaspError, UsageError, WeightsError
from gasp.fusion.inputs import normalise_maps
from gasp.networks import create_model
from gasp.networks.gasp import GASP, GASPOutput, gate_scores
from gasp.training.batch import ClipBatch
from gasp.training.losses import SaliencyLosses, dam_loss, saliency_losses
from gasp.weights.open import open_weights
from gasp.weights.preprocessing import preprocessing_2021


class TrainingError(GaspError):
    """Training cannot go on: a loss that is not a number, for example."""


class SaliencyModule(pl.LightningModule):
    """The network of an experiment with its losses and its optimiser.

    Batches are :class:`~gasp.training.batch.ClipBatch`. Logged values have the published names (``train_loss``,
    ``val_cc``, ``avg_train_nss``, ...) and are plain quantities: means over samples, free of weights and signs;
    ``loss`` is the weighted sum divided by the number of samples. (The published code divides ``dam_bce_loss``, a
    mean already, once more; this one does not.)
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self.experiment = experiment
        self.learning_rate = experiment.optimiser.learning_rate
        network = create_model(experiment.network, **experiment.network_options)
        assert isinstance(network, GASP)
        self.network = network.train()
        self.preprocessing = preprocessing_2021(*experiment.clips.size)
        if experiment.trainer.compile:
            self.network.compile()

    def forward(self, maps: Tensor) -> GASPOutput:
        """The network's output for uint8 clips (N, T, K, H, W)."""
        inputs = normalise_maps(maps, self.preprocessing)
        output: GASPOutput = self.network(inputs if self.experiment.sequence else inputs[:, -1])
        return output

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """The loss that is optimised."""
        output = self(batch.maps)
        found = saliency_losses(output.logits, batch.density, batch.fixations, self.experiment.losses)
        plain = dict(found.plain)
        loss = self._over_all(found.loss)
        if output.dam_logits is not None:
            target = batch.frame_density if output.dam_logits.ndim == 5 else batch.density
            assert target is not None
            plain["dam_bce_loss"] = dam_loss(output.dam_logits, target)
            loss = loss + self.experiment.losses.dam * plain["dam_bce_loss"]
        if self.experiment.losses.gates:
            scores = gate_scores(output, self.network.modalities)
            assert scores is not None
            plain["gates"] = scores.mean()
            loss = loss + self.experiment.losses.gates * plain["gates"]
        if not torch.isfinite(loss):
            raise TrainingError(_not_a_number(plain, batch, self.global_step))
        self._log("train", plain | {"loss": self._per_sample(found, batch)}, len(batch.names))
        return loss

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """The loss without directed attention, as published."""
        found = saliency_losses(
            self(batch.maps).logits, batch.density, batch.fixations, self.experiment.losses
        )
        self._log("val", found.plain | {"loss": self._per_sample(found, batch)}, len(batch.names))

    def _over_all(self, loss: Tensor) -> Tensor:
        """Sums over samples go on over processes and accumulated batches, whose gradients Lightning averages."""
        if self.experiment.losses.form == "corrected":
            return loss
        return loss * (self.trainer.world_size * self.trainer.accumulate_grad_batches)

    def _per_sample(self, found: SaliencyLosses, batch: ClipBatch) -> Tensor:
        loss = found.loss.detach()
        return loss if self.experiment.losses.form == "corrected" else loss / len(batch.names)

    def _log(self, phase: str, values: dict[str, Tensor], samples: int) -> None:
        several = self.trainer.world_size > 1
        for name, value in values.items():
            value = value.detach()
            if phase == "train":
                self.log(f"train_{name}", value, on_step=True, on_epoch=False, batch_size=samples)
            else:
                # What checkpoints and stopping look at.
                self.log(
                    f"val_{name}", value, on_step=False, on_epoch=True, batch_size=samples, sync_dist=several
                )
            self.log(
                f"avg_{phase}_{name}",
                value,
                on_step=False,
                on_epoch=True,
                batch_size=samples,
                sync_dist=several,
            )

    def configure_optimizers(self) -> Any:
        """Adam as published, or AdamW; with a schedule over all steps where one is asked for."""
        config = self.experiment.optimiser
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
        optimiser = kind(parameters, lr=self.learning_rate, weight_decay=config.weight_decay)
        if config.schedule == "constant" and not config.warmup:
            return optimiser
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: relative_rate(config, step, steps)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def relative_rate(config: OptimiserSettings, step: int, steps: int) -> float:
    """The learning rate at ``step`` (from 0) of ``steps`` as a share of the highest.

    "onecycle" rises to it within the first 30 % (or ``warmup``) and falls to 0, both along a cosine (Smith and Topin,
    "Super-Convergence", 2019).
    """
    warmup = config.warmup or (0.3 if config.schedule == "onecycle" else 0.0)
    rising = warmup * steps
    if step < rising:
        share = (step + 1) / (rising + 1)
        return (1 - math.cos(math.pi * share)) / 2 if config.schedule == "onecycle" else share
    if config.schedule == "constant":
        return 1.0
    share = min(1.0, (step - rising) / max(1.0, steps - rising))
    return (1 + math.cos(math.pi * share)) / 2


def begin(network: nn.Module, experiment: Experiment) -> None:
    """Fill the network with the weights that the experiment starts from, and freeze what it names.

    Raises :class:`~gasp.errors.WeightsError` for weights of another network and :class:`~gasp.errors.UsageError` when
    nothing is named so, or nothing is left to learn.
    """
    trainer = experiment.trainer
    if trainer.start_from is not None:
        try:
            open_weights(trainer.start_from, network=experiment.network).fill(network)
        except WeightsError as error:
            raise WeightsError(f"trainer.start_from: {error}") from None
        network.train()
    for beginning in trainer.freeze:
        frozen = [p for name, p in network.named_parameters() if name.startswith(beginning)]
        if not frozen:
            groups = sorted({name.partition(".")[0] for name, _ in network.named_parameters()})
            raise UsageError(
                f"trainer.freeze: no parameter begins with {beginning!r}; there are {', '.join(groups)}"
            )
        for parameter in frozen:
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in network.parameters()):
        raise UsageError("trainer.freeze leaves nothing to learn")


def _not_a_number(values: dict[str, Tensor], batch: ClipBatch, step: int) -> str:
    wrong = [name for name, value in values.items() if not torch.isfinite(value)]
    return (
        f"the loss of step {step} is not a number ({', '.join(wrong) or 'loss'}), for the clips "
        f"{'; '.join(batch.names)}. Look at their maps and targets; a lower learning rate, optimiser.clip, or "
        "losses.form: corrected may help."
    )
