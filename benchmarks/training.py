"""Where the time of a training step goes: loading, forward, backward, optimiser.

Trains the published DAM + LARGMU (context 10, batch 4, five maps of 120 x 120) for a few steps on a store made of
noise, and on a GPU also in bfloat16 and compiled. Prints a table.

    python benchmarks/training.py --steps 6
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gasp.config.experiments import Experiment
from gasp.config.presets2021 import INPUTS
from gasp.datasets.split import SplitRow, write_split
from gasp.datasets.store import pack
from gasp.training.profiling import PHASES, PhaseTimes
from gasp.training.train import train


def make_store(root: Path, videos: int, frames: int) -> None:
    """A store of coloured noise with random fixations."""
    rng = np.random.default_rng(0)
    for video in range(videos):
        for frame in range(frames):
            place = root / "Grouped_frames" / "noise" / f"v{video}" / str(frame + 1)
            place.mkdir(parents=True)
            for name in INPUTS:
                Image.fromarray(rng.integers(0, 256, (120, 120, 3), np.uint8)).save(place / f"{name}_1.jpg")
            density = rng.integers(0, 256, (60, 60), np.uint8)
            Image.fromarray(density).save(place / "transformed_salmap_1.jpg")
            points = np.where(density > 250, 255, 0).astype(np.uint8)
            Image.fromarray(points).save(place / "transformed_fixmap_1.jpg")
    pack(root / "Grouped_frames", root / "store")
    write_split(root / "list.csv", [SplitRow(f"v{video}", 25, "Social", "noise") for video in range(videos)])


def measure(root: Path, steps: int, **trainer: object) -> PhaseTimes:
    """Phases of ``steps`` steps after two to warm up."""
    experiment = Experiment.read(
        {
            "network": "SequenceGASPDAMEncALSTMGMUConv",
            "options": {"sequence_len": 10, "sequence_norm": True},
            "clips": {"source": "store", "train": "list.csv", "validation": None, "test": None, "peeks": 50},
            "trainer": {"max_epochs": 1000, "max_steps": steps + 2, "checkpoint_best": 0, **trainer},
        }
    )
    times = train(experiment, root, anew=True, profile=True).times
    assert times is not None
    return times


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=6, help="steps that are measured (%(default)s)")
    options = parser.parse_args()
    forms: dict[str, dict[str, object]] = {"CPU, 1 thread": {"accelerator": "cpu", "threads": 1}}
    forms["CPU, 2 threads"] = {"accelerator": "cpu", "threads": 2}
    if torch.cuda.is_available():
        forms |= {
            "GPU, float32": {"accelerator": "gpu"},
            "GPU, bfloat16": {"accelerator": "gpu", "precision": "bfloat16"},
            "GPU, bfloat16, compiled": {"accelerator": "gpu", "precision": "bfloat16", "compile": True},
        }
    print(f"| | clips per second | {' | '.join(PHASES)} |")
    print(f"|---|---:|{'---:|' * len(PHASES)}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_store(root, videos=4, frames=30)
        for name, trainer in forms.items():
            times = measure(root, options.steps, **trainer)
            shares = " | ".join(f"{100 * times.share(phase):.1f} %" for phase in PHASES)
            print(f"| {name} | {times.samples / times.total:.3f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
