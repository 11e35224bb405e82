"""Recipes ``default-saliency`` and ``default-stills``: train :class:`gasp.networks.glance.Glance` on sets of pictures.

Pictures of all sets are mixed; saliency is learnt from every picture, faces from those sets that have boxes.
A crop keeps its place in the whole picture (``View.position``), so that the centre bias of observers, who saw
the whole picture, is learnt apart from what attracts them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gasp.config.recipes import GlanceRecipe
from gasp.datasets.images import Picture
from gasp.networks.glance import STRIDE, Glance
from gasp.training import losses
from gasp.training.augment import View, random_colour, random_view, whole_view
from gasp.training.steps import StepData, fit_steps
from gasp.work.progress import Report

log = logging.getLogger(__name__)

SIZES = ((240, 320), (208, 368), (272, 272))
"""Heights and widths of training pictures: 4:3, 16:9 and square at about the same number of pixels."""


OPTIONS: dict[str, dict[str, Any]] = {
    "residual": {},
    "lite0": {"backbone": "lite0", "pyramid": 64, "fine": 32},
}
"""Of the network, by the recipe's backbone."""


class GlanceBatches:
    """The training batch of every step, drawn at random from ``pictures`` with the recipe's seed."""

    def __init__(self, pictures: Sequence[Picture], recipe: GlanceRecipe) -> None:
        self.pictures = pictures
        self.recipe = recipe
        has_faces = np.array([picture.faces is not None for picture in pictures])
        share = np.where(has_faces, recipe.late_faces / max(1, has_faces.sum()), 0)
        share += np.where(has_faces, 0, (1 - recipe.late_faces) / max(1, (~has_faces).sum()))
        self._late_shares = share / share.sum()

    def make(self, step: int) -> dict[str, Tensor]:
        """The batch of a step, one entry per key of :func:`example`."""
        rng = np.random.default_rng([self.recipe.seed, step])
        height, width = SIZES[rng.choice(len(SIZES), p=(0.6, 0.25, 0.15))]
        if step < self.recipe.decay_from:
            height, width = (round(side * self.recipe.small_scale / 16) * 16 for side in (height, width))
        late = step >= self.recipe.decay_from
        shares = self._late_shares if late else None
        chosen = rng.choice(len(self.pictures), size=self.recipe.batch, p=shares)
        samples = [sample(self.pictures[i], rng, height, width) for i in chosen]
        return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


def sample(picture: Picture, rng: np.random.Generator, height: int, width: int) -> dict[str, NDArray]:
    """One augmented training example from a picture."""
    source_height, source_width = picture.image.shape[:2]
    zoom = (0.6, 5.0) if picture.faces is not None and rng.random() < 0.5 else (0.75, 2.2)
    view = random_view(rng, source_height, source_width, height, width, zoom=zoom)
    return example(picture, view, rng)


def example(picture: Picture, view: View, rng: np.random.Generator | None = None) -> dict[str, NDArray]:
    """What the network is given and should answer for one view of a picture; colours vary if ``rng`` is given."""
    image = view.warp(picture.image, fill=114)
    if rng is not None:
        image = random_colour(rng, image)
    source_height, source_width = picture.image.shape[:2]
    cells = view.scaled(1 / STRIDE)
    density = cv2.resize(
        view.warp(picture.density), (cells.width, cells.height), interpolation=cv2.INTER_AREA
    )
    centres, boxes, mask, valid = face_targets(picture, cells)
    return {
        "image": image.transpose(2, 0, 1),
        "position": cells.position(source_height, source_width),
        "density": density[None].astype(np.float32),
        "fixations": count_points(*cells.points(picture.x, picture.y), cells.height, cells.width)[None],
        "centres": centres,
        "boxes": boxes,
        "mask": mask,
        "valid": valid,
    }


def count_points(x: NDArray, y: NDArray, height: int, width: int) -> NDArray[np.float32]:
    """How many points fall into each cell, (height, width)."""
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    counts = np.zeros((height, width), np.float32)
    np.add.at(counts, (y[inside].astype(int), x[inside].astype(int)), 1)
    return counts


def face_targets(picture: Picture, cells: View) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Centres (1, h, w) with Gaussian skirts, box values (4, h, w), where they count, and where all is known.

    Backs of heads and faces under two cells are neither faces nor background.
    """
    shape = (cells.height, cells.width)
    centres, boxes = np.zeros((1, *shape), np.float32), np.zeros((4, *shape), np.float32)
    mask, valid = np.zeros((1, *shape), np.float32), np.ones((1, *shape), np.float32)
    if picture.faces is None or picture.face_known is None:
        return centres, boxes, mask, valid * 0
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for (x1, y1, x2, y2), known in zip(picture.faces, picture.face_known, strict=True):
        xs, ys = cells.points(np.array([x1, x2]), np.array([y1, y2]))
        left, right, top, bottom = xs.min(), xs.max(), ys.min(), ys.max()
        x, y, w, h = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        column, row = int(np.floor(x)), int(np.floor(y))
        if not (0 <= column < shape[1] and 0 <= row < shape[0]):
            # Its centre lies outside, but part of it may show: that part is not background.
            valid[
                0, max(0, int(top)) : max(0, int(bottom) + 1), max(0, int(left)) : max(0, int(right) + 1)
            ] = 0
            continue
        if not known or min(w, h) < 2:
            valid[0, max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1] = 0
            continue
        skirt = np.exp(
            -((columns - column) ** 2 / (2 * (w / 6) ** 2) + (rows - row) ** 2 / (2 * (h / 6) ** 2))
        )
        centres[0] = np.maximum(centres[0], skirt)
        near = skirt > 0.6
        for plane, value in enumerate((x - columns[near] - 0.5, y - rows[near] - 0.5, np.log(w), np.log(h))):
            boxes[plane][near] = value
        mask[0][near] = 1
        valid[0, row, column] = 1
    return centres, boxes, mask, valid


class GlanceModule(pl.LightningModule):
    """The network learning by its recipe; batches are those of :class:`GlanceBatches`, validated on single pictures.

    ``half`` computes in bfloat16 where that is exact enough.
    """

    def __init__(self, recipe: GlanceRecipe, network: Glance, *, half: bool = True) -> None:
        super().__init__()
        self.recipe, self.in_half = recipe, half
        self.network: Glance = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._scores: dict[str, list[tuple[float, float]]] = {}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The weighted sum of the three losses."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_half):
            outputs = self.network(_unit(batch["image"]), batch["position"])
        saliency = losses.map_loss(outputs.saliency, batch["density"], batch["fixations"])
        centres = losses.face_centre_loss(outputs.face_centres, batch["centres"], batch["valid"])
        boxes = losses.face_box_loss(outputs.face_boxes, batch["boxes"], batch["mask"])
        face_weight, box_weight = self.recipe.weights_of_faces(self.global_step)
        loss = saliency + face_weight * centres + box_weight * boxes
        for name, value in (("loss", loss), ("saliency", saliency), ("centres", centres), ("boxes", boxes)):
            self.log(f"train_{name}", value.detach(), batch_size=len(batch["image"]))
        return loss

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Pictures stay where they are."""
        if isinstance(batch, Picture):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def validation_step(self, picture: Picture, batch_idx: int) -> None:
        """CC and NSS on a held-back picture."""
        self._scores.setdefault(picture.set_name, []).append(_scores(self.network, picture))

    def on_validation_epoch_end(self) -> None:
        """Says the means per set."""
        for name, values in self._scores.items():
            cc, nss = (float(mean) for mean in np.nanmean(values, 0))
            log.info(
                "step %d of %d, %s: CC %.3f NSS %.2f", self.global_step, self.recipe.steps, name, cc, nss
            )
            self.log(f"val_cc_{name}", cc)
            self.log(f"val_nss_{name}", nss)
        self._scores.clear()

    def configure_optimizers(self) -> Any:
        """AdamW, with the learning rate of the recipe."""
        recipe = self.recipe
        backbone, rest = split_parameters(self.network)
        optimiser = torch.optim.AdamW(
            [
                *_decayed(rest, recipe.weight_decay, recipe.learning_rate),
                *_decayed(backbone, recipe.weight_decay, recipe.learning_rate * recipe.backbone_rate),
            ]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.recipe.relative_rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train_glance(
    pictures: Sequence[Picture],
    recipe: GlanceRecipe,
    *,
    backbone: Mapping[str, Tensor] | None = None,
    held_back: Sequence[Picture] = (),
    folder: Path | None = None,
    every: int = 500,
    half: bool = True,
    report: Report | None = None,
) -> Glance:
    """Trains a new network and returns the moving average of its weights, in eval mode.

    ``backbone``: the entries of :class:`~gasp.networks.blocks.efficientnet_lite.EfficientNetLite0` that it begins with,
    for a recipe that has it.
    ``half``: see :class:`GlanceModule`. With ``folder`` the state is kept there every ``every`` steps, and training
    goes on from it when it exists.
    """
    torch.manual_seed(recipe.seed)
    data = StepData(GlanceBatches(pictures, recipe).make, recipe.steps, every, held_back)
    network = Glance(**OPTIONS[recipe.backbone])
    if backbone is not None:
        network.backbone.load_state_dict(dict(backbone))
        network.backbone.freeze(recipe.frozen_blocks)
    module = GlanceModule(recipe, network, half=half)
    fit_steps(module, data, average=recipe.average_decay, clip=5.0, folder=folder, report=report)
    return module.network.eval()


def predict_whole(network: Glance, image: NDArray[np.uint8], height: int, width: int) -> Tensor:
    """Probability of fixation per cell for one whole picture, (1, 1, h, w)."""
    view = whole_view(image.shape[0], image.shape[1], height, width)
    pixels = torch.from_numpy(view.warp(image).transpose(2, 0, 1)[None].copy())
    device = next(network.parameters()).device
    with torch.inference_mode():
        logits = network(_unit(pixels.to(device))).saliency.cpu()
    return torch.softmax(logits.flatten(1), 1).view_as(logits)


def _scores(network: Glance, picture: Picture) -> tuple[float, float]:
    """CC and NSS on one whole picture."""
    height, width = picture.image.shape[:2]
    truth = example(picture, whole_view(height, width, 240, 320))
    prediction = predict_whole(network, picture.image, 240, 320)
    density, fixations = (torch.from_numpy(truth[k]).flatten(1) for k in ("density", "fixations"))
    standard = losses.standardise(prediction.flatten(1))
    cc = (standard * losses.standardise(density)).mean()
    nss = (standard * fixations).sum() / fixations.sum()
    return float(cc), float(nss)


def _unit(images: Tensor) -> Tensor:
    return images.float().div_(255).contiguous(memory_format=torch.channels_last)


def split_parameters(network: Glance) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What learns of a backbone that came with weights, and all other parameters."""
    named = [(name.startswith("backbone."), p) for name, p in network.named_parameters() if p.requires_grad]
    return [p for inside, p in named if inside], [p for inside, p in named if not inside]


def _decayed(parameters: Sequence[nn.Parameter], weight_decay: float, rate: float) -> list[dict[str, object]]:
    """Weight decay for the kernels; none for biases and normalisation."""
    kernels = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [
        {"params": kernels, "weight_decay": weight_decay, "lr": rate},
        {"params": others, "weight_decay": 0.0, "lr": rate},
    ]
