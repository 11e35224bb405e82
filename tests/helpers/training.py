"""A tiny training set and experiments that learn from it in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gasp.config.experiments import Experiment
from gasp.datasets.split import SplitRow, write_split
from helpers.grouped_frames import make_grouped


def make_training_set(root: Path, videos: int = 5, frames: int = 8) -> Path:
    """``frames/`` in the 2021 layout with ``train.csv`` (all but one video) and ``validation.csv`` (that one)."""
    for video in range(videos):
        make_grouped(root / "frames", "diem", f"v{video}", frames=frames)
    rows = [SplitRow(f"v{video}", 25, "Social", "diem") for video in range(videos)]
    write_split(root / "train.csv", rows[:-1])
    write_split(root / "validation.csv", rows[-1:])
    return root


def tiny_experiment(**parts: Any) -> Experiment:
    """A small DAM + ARGMU over three frames; ``parts`` as :meth:`Experiment.replaced` takes them."""
    experiment = Experiment.read(
        {
            "name": "tiny",
            "network": "SequenceGASPDAMEncGMUALSTMConv",
            "options": {
                "sequence_len": 3,
                "sequence_norm": True,
                "encoder_widths": [4, 6, 6, 4],
                "latent_channels": 4,
                "dam_channels": 8,
            },
            "clips": {
                "source": "frames",
                "train": "train.csv",
                "validation": "validation.csv",
                "test": "validation.csv",
                "size": (32, 32),
                "target_size": (16, 16),
            },
            "trainer": {"max_epochs": 4, "batch": 2, "checkpoint_every": 1, "accelerator": "cpu"},
        }
    )
    return experiment.replaced(**parts)
