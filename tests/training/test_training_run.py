"""Training runs: what they leave, how they go on, and what stops them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gasp import create_model, load_checkpoint
from gasp.config.experiments import Experiment
from gasp.datasets.split import SplitRow, write_split
from gasp.datasets.store import PackSettings, pack
from gasp.errors import GaspError, OutputError, UsageError, WeightsError
from gasp.fusion.packaged import make_fusion
from gasp.training import fitting
from gasp.training.module import TrainingError, relative_rate
from gasp.training.train import TrainingRun, check, train
from gasp.weights.open import open_weights
from gasp.work.progress import Progress
from helpers.training import make_training_set, tiny_experiment


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_training_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    """A folder of its own for runs on the prepared set."""
    for name in ("frames", "train.csv", "validation.csv"):
        (tmp_path / name).symlink_to(prepared / name)
    return tmp_path


def weights(run: TrainingRun) -> dict[str, torch.Tensor]:
    return torch.load(run.last_model, weights_only=True)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], atol: float = 0.0) -> None:
    assert list(one) == list(other)
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


# --- what a run leaves -----------------------------------------------------------------------------------


def test_a_run_leaves_weights_checkpoints_logs_and_a_record(root: Path) -> None:
    seen: list[tuple[float, float | None]] = []
    experiment = tiny_experiment(trainer={"checkpoint_best": 2})
    run = train(experiment, root, report=lambda event: seen.append((event.done, event.total)))
    assert run.folder == root / "checkpoints" / "tiny" / "version_0"
    assert seen == [(step, 8) for step in range(1, 9)]
    assert run.epochs == 4
    network = create_model(experiment.network, **experiment.network_options)
    load_checkpoint(network, run.last_model)
    fusion = make_fusion(open_weights(run.folder / "model.safetensors"))
    assert fusion.modalities == ("captured", "dave", "esr9", "videogaze", "gaze360")
    assert (fusion.preprocessing.height, fusion.preprocessing.width) == (32, 32)
    assert_same(network.state_dict(), fusion.network.state_dict())
    assert len(run.best) == 2
    load_checkpoint(network, run.best[0])
    record = json.loads((run.folder / "run.json").read_text())
    assert record["state"] == "complete"
    assert record["versions"]["torch"] == torch.__version__
    assert Experiment.read(record["experiment"]) == experiment
    assert not (run.folder / fitting.STATE).exists()
    logged = (run.log_folder / "history.csv").read_text().splitlines()[0]
    for name in ("avg_train_loss", "avg_train_dam_bce_loss", "avg_val_cc", "avg_val_nss"):
        assert name in logged
    assert "weights:" in run.summary()
    json.dumps(run.plain())


def test_a_complete_run_is_not_repeated_unless_asked_for(root: Path) -> None:
    experiment = tiny_experiment(trainer={"max_epochs": 1})
    first = train(experiment, root)
    again = train(experiment, root)
    assert again.unchanged
    assert again.last_model == first.last_model
    assert again.metrics == first.metrics
    other = train(experiment, root, anew=True)
    assert other.folder != first.folder
    assert_same(weights(first), weights(other))
    changed = train(experiment.replaced(trainer={"seed": 1}), root)
    assert not changed.unchanged
    assert any((weights(changed)[name] != tensor).any() for name, tensor in weights(first).items())


def test_a_run_on_other_data_is_another_run(root: Path) -> None:
    experiment = tiny_experiment(trainer={"max_epochs": 1})
    train(experiment, root)
    (root / "train.csv").unlink()
    write_split(
        root / "train.csv", [SplitRow("v0", 25, "Social", "diem"), SplitRow("v1", 25, "Social", "diem")]
    )
    assert not train(experiment, root).unchanged


def test_learning_makes_the_loss_smaller(root: Path) -> None:
    experiment = tiny_experiment(
        losses={"form": "corrected"},
        optimiser={"learning_rate": 5e-3, "schedule": "onecycle", "clip": 1.0},
        trainer={"max_epochs": 12, "validate_every": 12, "average": 0.5},
        clips={"peeks": 2},
    )
    losses: list[float | str] = []
    train(experiment, root, report=lambda event: losses.append(event.values["train_loss"]))
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.5


def test_a_store_gives_the_same_run_as_the_folders(root: Path) -> None:
    options = PackSettings(size=(32, 32), target_size=(16, 16), fixations_above=None)
    pack(root / "frames", root / "store", options)
    experiment = tiny_experiment(trainer={"max_epochs": 2})
    assert_same(
        weights(train(experiment, root)),
        weights(train(experiment.replaced(clips={"source": "store"}), root)),
    )


def test_without_validation_there_is_still_a_checkpoint(root: Path) -> None:
    run = train(tiny_experiment(clips={"validation": None}, trainer={"max_epochs": 2}), root)
    assert len(run.best) == 1
    assert not any("val" in name for name in run.metrics)


def test_a_static_network_learns_from_single_frames(root: Path) -> None:
    experiment = tiny_experiment(
        network="GASPDAMEncGMUConv",
        options={"encoder_widths": [4, 6, 6, 4], "latent_channels": 4, "dam_channels": 8},
        trainer={"max_epochs": 1},
    )
    run = train(experiment, root)
    assert "train_dam_bce_loss" in run.metrics
    assert np.isfinite(run.metrics["val_loss"])


def test_accumulated_batches_give_the_gradient_of_one_large_batch(root: Path) -> None:
    plain = tiny_experiment(
        options={**tiny_experiment().options, "sequence_norm": False}, trainer={"max_epochs": 2}
    )
    whole = train(plain, root)
    halves = train(plain.replaced(trainer={"batch": 1, "accumulate": 2}), root)
    assert_same(weights(whole), weights(halves), atol=2e-5)


# --- going on --------------------------------------------------------------------------------------------

SCRIPT = """
import json, os, signal, sys
from gasp.config.experiments import Experiment
from gasp.training import fitting
from gasp.training.train import train
fitting.SAVE_EVERY = 0.0
die_at = int(sys.argv[3])

def die(event):
    if event.done == die_at:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    train(Experiment.read(json.loads(sys.argv[1])), sys.argv[2], report=die)
"""


def in_a_process(experiment: Experiment, root: Path, die_at: int = -1) -> int:
    """Train in a process that kills itself at a step; its exit status."""
    script = root / "train.py"
    script.write_text(SCRIPT)
    words = [
        sys.executable,
        str(script),
        json.dumps(experiment.model_dump(mode="json")),
        str(root),
        str(die_at),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(words, env=environment, timeout=300, check=False).returncode


@pytest.mark.slow
@pytest.mark.parametrize("validation", ["validation.csv", None])
def test_a_killed_run_goes_on_to_the_same_weights(root: Path, validation: str | None) -> None:
    experiment = tiny_experiment(
        clips={"validation": validation},
        trainer={"max_epochs": 5, "average": 0.9, "threads": 1},
        optimiser={"schedule": "cosine", "warmup": 0.1},
    )
    assert in_a_process(experiment, root, die_at=7) == -signal.SIGKILL
    [killed] = (root / "checkpoints" / "tiny").iterdir()
    assert json.loads((killed / "run.json").read_text())["state"] == "running"
    steps: list[float] = []
    resumed = train(experiment, root, report=lambda event: steps.append(event.done))
    assert resumed.resumed
    assert resumed.folder == killed
    assert steps == [7, 8, 9, 10]
    through = train(experiment, root, anew=True)
    assert_same(weights(through), weights(resumed), atol=1e-6)
    assert through.metrics.keys() == resumed.metrics.keys()


def test_ctrl_c_leaves_a_state_to_go_on_from(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(event: Progress) -> None:
        if event.done == 5:
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        train(experiment, root, report=interrupt)
    assert signal.getsignal(signal.SIGINT) == handler
    assert train(experiment, root).resumed


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_twice_the_batch(root: Path) -> None:
    plain = tiny_experiment(
        options={**tiny_experiment().options, "sequence_norm": False}, trainer={"max_epochs": 3, "threads": 1}
    )
    assert in_a_process(plain.replaced(name="two", trainer={"batch": 1, "devices": "2"}), root) == 0
    one = train(plain, root)
    [folder] = (root / "checkpoints" / "two").iterdir()
    two = json.loads((folder / "run.json").read_text())["results"]["metrics"]
    assert_same(weights(one), torch.load(folder / "last_model.pt", weights_only=True), atol=2e-5)
    for name in ("avg_train_loss", "avg_val_loss", "avg_train_dam_bce_loss"):
        assert two[name] == pytest.approx(one.metrics[name], rel=1e-5)


# --- what stops a run ------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_the_clips(root: Path) -> None:
    experiment = tiny_experiment(
        optimiser={"learning_rate": 10.0}, trainer={"max_epochs": 60, "validate_every": 60}
    )
    with pytest.raises(TrainingError, match=r"not a number.*diem/v\d, frames"):
        train(experiment, root)


def test_a_full_disk_stops_the_run_and_keeps_the_checkpoint_before(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = torch.save, []

    def save_two_states(content: object, path: Path) -> None:
        if fitting.STATE in Path(path).name:
            saved.append(path)
            if len(saved) > 2:
                Path(path).write_bytes(b"half")
                raise OSError(28, "No space left on device")
        save(content, path)

    monkeypatch.setattr(torch, "save", save_two_states)
    monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0)
    experiment = tiny_experiment()
    with pytest.raises(OutputError, match="No space left"):
        train(experiment, root)
    monkeypatch.undo()
    [folder] = (root / "checkpoints" / "tiny").iterdir()
    assert {path.name for path in folder.glob("*.tmp")} == set()
    assert torch.load(folder / fitting.STATE, weights_only=True)["epoch"] == 1
    assert train(experiment, root).resumed


def test_a_damaged_state_is_named(root: Path) -> None:
    experiment = tiny_experiment(trainer={"max_epochs": 2})
    with pytest.raises(KeyboardInterrupt):
        train(experiment, root, report=lambda event: _interrupt_at(event.done, 3))
    [state] = (root / "checkpoints" / "tiny").glob(f"*/{fitting.STATE}")
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(GaspError, match=r"last\.ckpt cannot be read.*Delete it"):
        train(experiment, root)


def _interrupt_at(done: float, step: int) -> None:
    if done == step:
        raise KeyboardInterrupt


def test_starting_from_weights_and_freezing(root: Path) -> None:
    first = train(tiny_experiment(trainer={"max_epochs": 1}), root)
    start = str(first.last_model)
    experiment = tiny_experiment(
        name="fine", trainer={"max_epochs": 1, "start_from": start, "freeze": ("enc_list", "dam")}
    )
    tuned = weights(train(experiment, root))
    for name, tensor in weights(first).items():
        same = bool((tuned[name] == tensor).all())
        assert same == name.startswith(("enc_list", "dam")), name


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"trainer": {"freeze": ("encoder",)}}, UsageError, "no parameter begins with 'encoder'.*enc_list"),
        ({"trainer": {"freeze": ("",)}}, UsageError, "nothing to learn"),
        ({"trainer": {"start_from": "nowhere.pt"}}, WeightsError, "start_from: nowhere.pt: no such file"),
        ({"trainer": {"devices": "two"}}, UsageError, "trainer.devices = 'two'"),
        ({"trainer": {"accelerator": "abacus"}}, UsageError, "trainer.accelerator = 'abacus'"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_epoch(
    changes: dict, error: type[GaspError], said: str, root: Path
) -> None:
    experiment = tiny_experiment(**changes)
    with pytest.raises(error, match=said):
        check(experiment, root)
    with pytest.raises(error, match=said):
        train(experiment, root)


def test_stopping_early_needs_validation() -> None:
    with pytest.raises(UsageError, match="patience needs"):
        tiny_experiment(trainer={"patience": 2}, clips={"validation": None})


def test_weights_of_another_variant_are_refused(root: Path) -> None:
    first = train(tiny_experiment(trainer={"max_epochs": 1}), root)
    other = tiny_experiment(
        network="SequenceGASPDAMEncALSTMGMUConv", trainer={"start_from": str(first.last_model)}
    )
    with pytest.raises(WeightsError, match="start_from"):
        train(other, root)


def test_maps_that_are_missing_in_the_middle_do_not_stop_training(root: Path, prepared: Path) -> None:
    (root / "frames").unlink()
    make_training_set(root / "own")
    (root / "own" / "frames").rename(root / "frames")
    for frame in (3, 4):
        (root / "frames" / "diem" / "v0" / str(frame) / "det_transformed_dave_1.jpg").unlink()
    Image.new("L", (1, 1)).save(root / "frames" / "diem" / "v1" / "2" / "transformed_salmap_1.jpg")
    assert train(tiny_experiment(trainer={"max_epochs": 2}), root).epochs == 2


# --- schedules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle"])
@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_learning_rates_rise_to_one_and_stay_within_it(schedule: str, warmup: float) -> None:
    config = tiny_experiment(optimiser={"schedule": schedule, "warmup": warmup}).optimiser
    rates = [relative_rate(config, step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[-1] == (1 if schedule == "constant" else pytest.approx(0, abs=0.01))
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
