from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gasp import metrics
from gasp.config.experiments import Experiment
from gasp.datasets.store import PackSettings, pack
from gasp.errors import InputError, UsageError
from gasp.networks.gasp import GASPOutput
from gasp.training.scoring import METRICS, mean_scores, score
from gasp.training.sources import open_source
from helpers.grouped_frames import MAPS, make_grouped

SIZES = {"size": (64, 64), "target_size": (32, 32)}
FRAMES = 6


def experiment(context: int = 3) -> Experiment:
    return Experiment.read(
        {
            "network": "SequenceGASPEncALSTMConv",
            "options": {"sequence_len": context},
            "clips": SIZES,
        }
    )


class FirstMap(nn.Module):
    """Predicts what the first channel of the newest frame shows; keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.given: list[Tensor] = []

    def forward(self, maps: Tensor) -> GASPOutput:
        self.given.append(maps)
        logits = nn.functional.avg_pool2d(maps[:, -1, :1], 2) * self.scale
        return GASPOutput(logits, None, None)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for video in ("one", "two"):
        make_grouped(folder, "diem", video, FRAMES, size=64)
        for frame in range(1, FRAMES + 1):
            place = folder / "diem" / video / str(frame)
            # The frame shows where people look.
            (place / "captured_1.jpg").write_bytes((place / "transformed_salmap_1.jpg").read_bytes())
    return folder


def test_scores_of_a_network_that_knows_the_truth(frames: Path) -> None:
    source = open_source(frames, **SIZES)
    found = score(FirstMap(), source, source.videos, experiment())
    for row in found.values():
        assert row["frames"] == FRAMES
        assert row["cc"] > 0.97
        assert row["sim"] > 0.9
        # The fixated point lies outside of the square.
        assert row["nss"] < 0
    truth = source.truth(("diem", "one"), experiment().clips.targets)
    expected = metrics.cc(truth.targets[0, 0], truth.targets[0, 0].astype(np.float32))
    assert found[("diem", "one")]["cc"] == pytest.approx(float(expected), abs=0.03)
    # Both videos are fixated at one point: the negatives of the shuffled AUC are the positives.
    assert found[("diem", "one")]["aucs"] == pytest.approx(0.5)


def test_windows_are_those_of_inference(frames: Path) -> None:
    source = open_source(frames, **SIZES)
    network = FirstMap()
    score(network, source, [("diem", "one")], experiment(), every=4)
    given = torch.cat(network.given)
    assert given.shape == (2, 3, 15, 64, 64)
    maps = source.window(("diem", "one"), 0, FRAMES, MAPS, ()).maps
    # The second modality's brightness tells the frame: the first alone, and three up to the fifth.
    levels = maps[:, 3, 32, 32].tolist()
    spread = given[:, :, 3, 32, 32]
    assert spread[0].tolist() == [spread[0, 0].item()] * 3
    steps = np.diff(spread[1].numpy())
    assert levels == sorted(levels)
    assert (steps > 0).all()


def test_store_and_folders_give_the_same_scores(frames: Path, tmp_path: Path) -> None:
    pack(frames, tmp_path / "store", PackSettings(MAPS, **SIZES))
    results = []
    for folder in (frames, tmp_path / "store"):
        source = open_source(folder, **SIZES)
        results.append(score(FirstMap(), source, source.videos, experiment(), every=2))
    assert results[0] == results[1]


def test_what_cannot_be_scored(frames: Path, tmp_path: Path) -> None:
    pack(frames, tmp_path / "hazy", PackSettings(MAPS, **SIZES, fixations_above=None))
    source = open_source(tmp_path / "hazy", **SIZES)
    with pytest.raises(UsageError, match="packed with the haze"):
        score(FirstMap(), source, source.videos, experiment())
    make_grouped(tmp_path / "bare", "diem", "one", 3, size=64)
    for path in (tmp_path / "bare").rglob("transformed_fixmap_1.jpg"):
        path.unlink()
    bare = open_source(tmp_path / "bare", **SIZES)
    with pytest.raises(InputError, match="no frame of 1 videos"):
        score(FirstMap(), bare, bare.videos, experiment())


def test_a_single_video_has_no_shuffled_auc(frames: Path) -> None:
    source = open_source(frames, **SIZES)
    row = score(FirstMap(), source, [("diem", "one")], experiment())["diem", "one"]
    assert np.isnan(row["aucs"])
    assert np.isnan(mean_scores([row])["aucs"])
    row = score(FirstMap(), source, [("diem", "one")], experiment(), others=[("diem", "two")])["diem", "one"]
    assert row["aucs"] == pytest.approx(0.5)


def test_means_over_videos() -> None:
    nothing = {"frames": 0.0} | dict.fromkeys(METRICS, float("nan"))
    rows = [{"frames": 3.0} | dict.fromkeys(METRICS, 0.5), {"frames": 1.0} | dict.fromkeys(METRICS, 0.3)]
    assert mean_scores([*rows, nothing]) == {"frames": 4.0} | dict.fromkeys(METRICS, 0.4)
    assert np.isnan(mean_scores([])["cc"])
