"""DAM + LARGMU finds out which modality tells where people look, and its gates say so.

Its ConvLSTM mixes the modalities before they reach the gates. Left to learn, it moves what matters from one to
another, and gates say little about modalities (measured: they favour the right one in five of ten trainings). Here
it stays as it was initialised.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gasp.config.experiments import Experiment
from gasp.datasets.store import PackSettings, pack
from gasp.networks.gasp import gate_scores
from gasp.training.data import ClipData
from gasp.training.module import SaliencyModule
from gasp.training.train import train
from gasp.weights import load_checkpoint
from helpers.one_modality import INPUTS, make_scenes

SIZE, TARGET_SIZE = (32, 32), (16, 16)


def experiment() -> Experiment:
    return Experiment.read(
        {
            "network": "SequenceGASPDAMEncALSTMGMUConv",
            "options": {
                "sequence_len": 3,
                "sequence_norm": True,
                "encoder_widths": [8, 12, 12, 8],
                "latent_channels": 8,
                "dam_channels": 16,
            },
            "clips": {
                "source": "store",
                "train": "train.csv",
                "validation": "test.csv",
                "test": "test.csv",
                "inputs": INPUTS,
                "size": SIZE,
                "target_size": TARGET_SIZE,
                "peeks": 4,
                "validation_choice": "all",
            },
            "losses": {"form": "corrected", "gates": 0.3},
            "optimiser": {"learning_rate": 3e-3, "schedule": "onecycle", "clip": 1.0},
            "trainer": {
                "max_epochs": 16,
                "batch": 8,
                "validate_every": 16,
                "freeze": ("att_lstm",),
                "checkpoint_best": 0,
                "accelerator": "cpu",
            },
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("telling", [1, 2])
def test_gates_favour_the_modality_that_tells_where_people_look(telling: int, tmp_path: Path) -> None:
    make_scenes(tmp_path, INPUTS[telling])
    pack(
        tmp_path / "Grouped_frames",
        tmp_path / "store",
        PackSettings(maps=INPUTS, size=SIZE, target_size=TARGET_SIZE),
    )
    run = train(experiment(), tmp_path)
    assert run.metrics["avg_val_cc"] > 0.9
    module = SaliencyModule(experiment())
    load_checkpoint(module.network, run.last_model)
    data = ClipData(experiment(), tmp_path)
    data.check()
    batch = next(iter(data.val_dataloader()[0]))
    with torch.inference_mode():
        gates = gate_scores(module.eval()(batch.maps), len(INPUTS))
    assert gates is not None
    assert int(gates.mean(0).argmax()) == telling
