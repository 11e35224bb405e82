"""Pictures of what a network sees and predicts while it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gasp.config.experiments import Experiment
from gasp.datasets.grouped import modality_name
from gasp.networks.gasp import GASPOutput, gate_scores
from gasp.training.batch import ClipBatch
from gasp.training.loggers import CometLogger
from gasp.visualize.colours import modality_colour
from gasp.visualize.shapes import Picture, draw_text, fit_text
from gasp.work.files import replacing

Map = NDArray[np.float32]

INPUTS, PREDICTIONS, ATTENTION, GATES = (
    "GT : INPUTS : LOGITS",
    "RAW : SIGMOID : SHIFTED SIGMOID",
    "GT : DIRECTED ATTENTION",
    "GATES",
)
"""Names of the pictures; the first is that of 2021."""

_SMALLEST = 96
_GAP, _CAPTION, _MARGIN = 4, 18, 34
_PAPER, _INK, _EMPTY = (24, 24, 28), (235, 235, 240), (44, 44, 50)


# --- drawing ---------------------------------------------------------------------------------------------


def draw_inputs(
    maps: NDArray[np.uint8], targets: Sequence[Map | None], logits: Map, names: Sequence[str]
) -> Picture:
    """A row per frame: its target and the picture of each modality; in the last row the prediction, too.

    ``maps``: (T, K, H, W), as they are stored, 3 channels per modality. ``targets``: (h, w) in 0..1 for each frame,
    None where there is none. ``logits`` (h, w) are stretched to the whole scale and drawn in the colours "jet".
    ``names``: of the modalities. (In the published code the maps of networks with directed attention and a sequence
    were shown after scaling, since the network changed its input; here they are shown as they are.)
    """
    frames = maps.shape[0]
    rows: list[list[Picture | None]] = []
    for frame, target in enumerate(targets):
        pictures = [maps[frame, k : k + 3].transpose(1, 2, 0) for k in range(0, maps.shape[1], 3)]
        prediction = _jet(_stretched(logits)) if frame == frames - 1 else None
        rows.append([None if target is None else _grey(target), *pictures, prediction])
    return _sheet(rows, ["target", *names, "prediction"], _ages(frames), maps.shape[-2:])


def draw_predictions(logits: Map) -> Picture:
    """The prediction (h, w) three times: logits stretched to the whole scale; their sigmoid as it is; and the sigmoid
    of logits that are shifted to a mean of 0, where a saturated prediction still shows its shape.
    """
    low, high = float(logits.min()), float(logits.max())
    shifted = _sigmoid(logits - logits.mean())
    row: list[Picture | None] = [_jet(_stretched(logits)), _jet(_sigmoid(logits)), _jet(shifted)]
    return _sheet([row], [f"{low:.3g} .. {high:.3g}", "sigmoid", "shifted"], [""], _doubled(logits.shape))


def draw_attention(targets: Sequence[Map | None], logits: Map) -> Picture:
    """Targets (h, w) of each frame, and what directed attention predicts for it, (T, h, w), each stretched to the whole
    scale and drawn in the colours "jet".
    """
    rows: list[list[Picture | None]] = [
        [None if target is None else _grey(target) for target in targets],
        [_jet(_stretched(one)) for one in logits],
    ]
    return _sheet(rows, _ages(len(logits)), ["GT", "DAM"], _doubled(logits.shape[-2:]))


def draw_gates(scores: Mapping[str, float]) -> Picture:
    """A bar per modality: how far the gated unit lets it through, 0..1."""
    height, name_width, bar_width = 26, 110, 260
    canvas = np.full((height * len(scores) + 2 * _GAP, name_width + bar_width + 60, 3), _PAPER, np.uint8)
    for place, (name, score) in enumerate(scores.items()):
        top = _GAP + place * height
        middle = top + height // 2
        draw_text(canvas, fit_text(name, name_width - 12, 14), 8, middle, 14, _INK)
        left, right = name_width, name_width + bar_width
        canvas[top + 5 : top + height - 5, left:right] = _EMPTY
        filled = left + round(bar_width * float(np.clip(score, 0, 1)))
        canvas[top + 5 : top + height - 5, left:filled] = modality_colour(place)
        draw_text(canvas, f"{score:.2f}", right + 10, middle, 14, _INK)
    return canvas


def _sheet(
    rows: Sequence[Sequence[Picture | None]],
    columns: Sequence[str],
    labels: Sequence[str],
    size: tuple[int, ...],
) -> Picture:
    """Pictures in rows with captions above and labels at the left; None leaves a place empty."""
    scale = max(1, -(-_SMALLEST // min(size)))
    height, width = size[0] * scale, size[1] * scale
    margin = _MARGIN if any(labels) else _GAP
    canvas = np.full(
        (
            _CAPTION + _GAP + len(rows) * (height + _GAP),
            margin + len(columns) * (width + _GAP),
            3,
        ),
        _PAPER,
        np.uint8,
    )
    for column, caption in enumerate(columns):
        left = margin + column * (width + _GAP)
        draw_text(canvas, fit_text(caption, width - 4, 13), left + 2, _CAPTION // 2 + 1, 13, _INK)
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        top = _CAPTION + _GAP + place * (height + _GAP)
        draw_text(canvas, label, _GAP, top + height // 2, 12, _INK)
        for column, picture in enumerate(row):
            left = margin + column * (width + _GAP)
            canvas[top : top + height, left : left + width] = (
                _EMPTY
                if picture is None
                else cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
            )
    return canvas


def _ages(frames: int) -> list[str]:
    """What the frames of a clip are called: how long before the newest."""
    return [f"t-{age}" if age else "t" for age in range(frames - 1, -1, -1)]


def _doubled(shape: Sequence[int]) -> tuple[int, int]:
    """Maps are half as high and wide as pictures."""
    return 2 * shape[0], 2 * shape[1]


def _stretched(values: Map) -> Map:
    low, high = float(values.min()), float(values.max())
    return np.zeros_like(values) if high <= low else (values - low) / np.float32(high - low)


def _sigmoid(values: Map) -> Map:
    return np.asarray(torch.from_numpy(np.ascontiguousarray(values)).sigmoid().numpy(), np.float32)


def _grey(values: Map) -> Picture:
    return np.repeat(_bytes(values)[..., None], 3, 2)


def _jet(values: Map) -> Picture:
    return np.ascontiguousarray(cv2.applyColorMap(_bytes(values), cv2.COLORMAP_JET)[..., ::-1], np.uint8)


def _bytes(values: Map) -> NDArray[np.uint8]:
    return np.rint(np.nan_to_num(values).clip(0, 1) * 255).astype(np.uint8)


# --- samples of a batch ----------------------------------------------------------------------------------


def draw_sample(
    batch: ClipBatch, output: GASPOutput, index: int, experiment: Experiment
) -> dict[str, Picture]:
    """The pictures of one clip of a batch by their names; of attention and gates where the network has them."""
    names = [modality_name(name) for name in experiment.clips.inputs]
    frames = batch.maps.shape[1]
    targets: list[Map | None] = [None] * (frames - 1) + [_array(batch.density[index, 0])]
    if batch.frame_density is not None:
        targets = list(_array(batch.frame_density[index, :, 0]))
    logits = _array(output.logits[index, 0])
    pictures = {
        INPUTS: draw_inputs(batch.maps[index].cpu().numpy(), targets, logits, names),
        PREDICTIONS: draw_predictions(logits),
    }
    if output.dam_logits is not None:
        attention = _array(output.dam_logits[index])
        pictures[ATTENTION] = draw_attention(targets, attention.reshape(-1, *attention.shape[-2:]))
    scores = gate_scores(output, len(names))
    if scores is not None:
        pictures[GATES] = draw_gates(dict(zip(names, scores[index].tolist(), strict=True)))
    return pictures


def _array(values: Tensor) -> Map:
    return values.detach().float().cpu().numpy()


class PictureSamples(Callback):
    """Draws the first ``samples`` clips of every validation, and gives them to TensorBoard and Comet where they are in
    use; otherwise they are written as ``pictures/epoch_<n>/<what>_<clip>.png`` below ``folder``.
    """

    def __init__(self, folder: Path, samples: int = 2) -> None:
        self.folder = folder / "pictures"
        self.samples = samples

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """After the first batch, in the first process."""
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        # Once more, the whole batch: compiled networks know its shape.
        output = pl_module(batch.maps)
        experiment = pl_module.experiment
        assert isinstance(experiment, Experiment)
        for index in range(min(self.samples, len(batch.names))):
            for name, picture in draw_sample(batch, output, index, experiment).items():
                self._store(trainer, f"{name} {index + 1}", picture)

    def _store(self, trainer: pl.Trainer, name: str, picture: Picture) -> None:
        stored = False
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, picture, trainer.global_step, dataformats="HWC")
                stored = True
            elif isinstance(logger, CometLogger):
                logger.log_picture(name, picture, trainer.global_step)
                stored = True
        if not stored:
            file = name.lower().replace(" : ", "-").replace(" ", "_")
            path = self.folder / f"epoch_{trainer.current_epoch:04d}" / f"{file}.png"
            with replacing(path) as temporary:
                Image.fromarray(picture).save(temporary, format="png")
