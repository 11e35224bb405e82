"""Pictures of clips, predictions, attention and gates, and where they are stored."""

from __future__ import annotations

import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gasp import create_model
from gasp.config.experiments import read_experiment
from gasp.fusion.inputs import normalise_maps
from gasp.training.batch import ClipBatch
from gasp.training.loggers import open_logs
from gasp.training.pictures import (
    ATTENTION,
    GATES,
    INPUTS,
    PREDICTIONS,
    PictureSamples,
    draw_attention,
    draw_gates,
    draw_inputs,
    draw_predictions,
)
from gasp.weights.preprocessing import GASP_2021

JET = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, ::-1]


def ramp(height, width):
    """From 0 at the left to 1 at the right."""
    return np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))


def cells(sheet, rows, columns, size):
    """The pictures on a sheet, (rows, columns, size, size, 3)."""
    left = sheet.shape[1] - columns * (size + 4)
    top = sheet.shape[0] - rows * (size + 4)
    grid = sheet[top:, left:].reshape(rows, size + 4, columns, size + 4, 3)
    return grid[:, :size, :, :size].swapaxes(1, 2)


def test_every_frame_has_its_target_and_its_pictures():
    maps = np.random.default_rng(0).integers(0, 256, (3, 6, 120, 120), np.uint8)
    targets = [None, np.zeros((60, 60), np.float32), ramp(60, 60)]
    sheet = draw_inputs(maps, targets, 5 * ramp(60, 60) - 3, ["captured", "dave"])
    grid = cells(sheet, 3, 4, 120)
    for frame in range(3):
        for modality in range(2):
            expected = maps[frame, 3 * modality : 3 * modality + 3].transpose(1, 2, 0)
            np.testing.assert_array_equal(grid[frame, 1 + modality], expected)
    assert (grid[1, 0] == 0).all()
    assert (np.diff(grid[2, 0][60, :, 0].astype(int)) >= 0).all()
    assert tuple(grid[2, 0][60, -1]) == (255, 255, 255)
    assert len(np.unique(grid[0, 0].reshape(-1, 3), axis=0)) == 1, "no target"
    assert len(np.unique(grid[1, 3].reshape(-1, 3), axis=0)) == 1, "the prediction is of the last frame"
    np.testing.assert_array_equal(grid[2, 3][60, 0], JET[0])
    np.testing.assert_array_equal(grid[2, 3][60, -1], JET[255])


def test_predictions_are_shown_raw_and_as_sigmoids():
    raw, sigmoid, shifted = cells(draw_predictions(4 * ramp(60, 60) + 3), 1, 3, 120)[0]
    np.testing.assert_array_equal(raw[60, [0, -1]], JET[[0, 255]])
    expected = [round(255 / (1 + np.exp(-x))) for x in (3, 7)]
    np.testing.assert_array_equal(sigmoid[60, [0, -1]], JET[expected])
    expected = [round(255 / (1 + np.exp(-x))) for x in (-2, 2)]
    np.testing.assert_array_equal(shifted[60, [0, -1]], JET[expected])


@pytest.mark.parametrize("logits", [np.zeros((60, 60), np.float32), np.full((60, 60), np.nan, np.float32)])
def test_flat_and_broken_predictions_can_be_drawn(logits):
    raw = cells(draw_predictions(logits), 1, 3, 120)[0, 0]
    np.testing.assert_array_equal(raw[60, 60], JET[0])


def test_attention_is_shown_below_its_targets():
    logits = np.stack([ramp(60, 60), ramp(60, 60)[:, ::-1]])
    grid = cells(draw_attention([None, ramp(60, 60)], logits), 2, 2, 120)
    np.testing.assert_array_equal(grid[1, 0][60, [0, -1]], JET[[0, 255]])
    np.testing.assert_array_equal(grid[1, 1][60, [0, -1]], JET[[255, 0]])
    assert tuple(grid[0, 1][60, -1]) == (255, 255, 255)


def test_bars_are_as_long_as_gates_are_open():
    picture = draw_gates({"captured": 0.25, "dave": 1.0, "esr9": 0.0})
    lengths = []
    for place in range(3):
        row = picture[4 + 26 * place + 13, 110:370].astype(int)
        lengths.append(int((row.max(1) - row.min(1) > 30).sum()))
    assert lengths == [65, 260, 0]


class _Network(pl.LightningModule):
    """A random network with what the callback asks of the training module."""

    def __init__(self, experiment):
        super().__init__()
        self.experiment = experiment
        self.network = create_model(experiment.network, **experiment.network_options)

    def forward(self, maps):
        inputs = normalise_maps(maps, GASP_2021)
        return self.network(inputs if self.experiment.sequence else inputs[:, -1])

    def training_step(self, batch, _index):
        return self(batch.maps).logits.mean()

    def validation_step(self, batch, _index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def validated(tmp_path, name, logger, frames):
    """Two epochs with a random network of a preset."""
    experiment = read_experiment(name).replaced(logging={"logger": logger})
    logs = open_logs(experiment, tmp_path)
    maps = torch.randint(0, 256, (3, frames, 15, 24, 24), dtype=torch.uint8)
    targets = torch.rand(3, frames, 1, 12, 12)
    batch = ClipBatch(maps, targets[:, -1], targets[:, -1], targets if frames > 1 else None, ("a", "b", "c"))
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=logs.loggers, enable_checkpointing=False, num_sanity_val_steps=1,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[PictureSamples(logs.folder)],
    )  # fmt: skip
    loader = torch.utils.data.DataLoader([batch, batch], batch_size=None)
    trainer.fit(_Network(experiment), loader, loader)
    return logs


@pytest.mark.slow
def test_samples_become_files_where_nothing_else_shows_pictures(tmp_path):
    logs = validated(tmp_path, "GASPExp002_SeqDAMALSTMGMU1x1Conv_2", "csv", 2)
    what = ("gt-inputs-logits", "raw-sigmoid-shifted_sigmoid", "gt-directed_attention", "gates")
    for epoch in range(2):
        folder = logs.folder / f"pictures/epoch_{epoch:04d}"
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            f"{one}_{clip}.png" for one in what for clip in (1, 2)
        )
    with Image.open(folder / "gt-inputs-logits_1.png") as picture:
        assert picture.size == (34 + 7 * 100, 22 + 2 * 100), "pictures of 24 pixels, four times as large"


def test_samples_go_to_tensorboard(tmp_path):
    logs = validated(tmp_path, "GASPExp001_1x1Conv", "tensorboard", 1)
    events = EventAccumulator(str(logs.folder), size_guidance={"images": 0}).Reload()
    names = {f"{what} {clip}" for what in (INPUTS, PREDICTIONS) for clip in (1, 2)}
    assert set(events.Tags()["images"]) == names, f"without {ATTENTION} and {GATES}"
    assert [one.step for one in events.Images(f"{INPUTS} 1")] == [2, 4]
    assert not (logs.folder / "pictures").exists()
