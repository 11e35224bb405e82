"""``gasp_train`` with the command lines of 2021."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from gasp.config import presets2021
from gasp.config.experiments import read_experiment
from gasp.config.json2021 import write_preset
from gasp.config.presets2021 import FRAMES, inference_preset, training_preset
from gasp.datasets.split import SplitRow, write_split
from gasp.errors import UsageError
from gasp.published.commands import infer as infer2021
from gasp.published.commands import train as train2021
from gasp.training.history import read_history
from helpers.grouped_frames import make_grouped

VIDEOS = {"train": ("diem", "a"), "validation": ("diem", "b"), "test": ("coutrot1", "c")}
BEST = "GASPExp002_SeqDAMALSTMGMU1x1Conv_10Norm"
MODEL = training_preset(BEST)["model_properties"]
CHECKPOINTS = "gazenet/models/saliency_prediction/gasp/checkpoints"

SMALL = {"inp_img_height": 24, "inp_img_width": 24, "trg_img_height": 12, "trg_img_width": 12}
"""A step of the best network with pictures of 120 x 120 takes half a minute on one core."""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A working directory with a video for each of the three lists."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GASP_OFFLINE", "1")
    for name in ("COMET_KEY", "COMET_WORKSPACE", "COMET_OFFLINE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COMET_MODE", "offline")
    for name, (dataset, video) in VIDEOS.items():
        make_grouped(tmp_path / FRAMES, dataset, video, frames=10)
        rows = [SplitRow(video, 25.0, "Social", dataset)]
        write_split(tmp_path / f"datasets/processed/{name}_ave.csv", rows)
    return tmp_path


def options(*words):
    parser = train2021.argparse.ArgumentParser()
    train2021.add_arguments(parser)
    return train2021.read_options(parser.parse_args([str(word) for word in words]))


def write_small(root, name="GASPExp001_DAMGMU1x1Conv", **changes):
    """A preset of a static network as JSON, for small pictures."""
    preset = training_preset(name)
    preset["model_properties"] |= SMALL
    write_preset(root / f"{name}.json", preset | changes)
    return root / f"{name}.json"


@pytest.mark.slow
def test_the_command_line_of_the_readme(root, monkeypatch, capsys):
    """The recipe of the best network, with small pictures, fewer epochs and no GPU; its weights serve gasp_infer."""
    monkeypatch.setitem(presets2021._TRAINING[BEST], "model_properties", {**MODEL, **SMALL})
    status = train2021.main([
        "--train_config", BEST, "--infer_configs", "InferMetricsGASPTrain",
        "--checkpoint_save_every_n_epoch", "1", "--checkpoint_save_n_top", "5", "--check_val_every_n_epoch", "1",
        "--max_epochs", "2", "--gpus", "", "--logger_name", "comet", "--val_store_image_samples", "--compute_metrics",
    ])  # fmt: skip
    said = capsys.readouterr()
    assert status == 0, said.err
    (run,) = (
        root / CHECKPOINTS / "pretrained_sequencegaspdamencalstmgmuconv/SequenceGASPDAMEncALSTMGMUConv"
    ).iterdir()
    logs = root / "logs/gasp_runs" / run.name
    assert (logs / f"{run.name}.zip").is_file(), "Comet's archive"
    assert [row["epoch"] for row in read_history(logs / "history.csv") if "avg_train_loss" in row] == [0, 1]
    assert json.loads((logs / "train_config.cfg").read_text())["trainer.max_epochs"] == 2
    assert sorted(run.glob("model-epoch=*-val_loss=*.ckpt"))
    (row,) = csv.DictReader((logs / "metrics.csv").open())
    assert row["video_id"] == "coutrot1/c"
    assert "coutrot1/c: 10 frames, 10 scored" in said.out

    preset = inference_preset("InferMetricsGASP")
    preset["model_groups"][0][0][3] |= SMALL | {"weights_file": str(run / "last_model.pt")}
    write_preset(root / "again.json", preset)
    assert infer2021.main(["--infer_config_file", "again.json", "-q"]) == 0
    (again,) = csv.DictReader((root / "logs/metrics/defaultgazenet.csv").open())
    assert again == row


@pytest.mark.slow
def test_the_command_line_with_files(root, capsys):
    write_small(root)
    write_preset(root / "metrics.json", inference_preset("InferMetricsGASPTrain") | {"metrics_list": ["nss"]})
    status = train2021.main([
        "--train_config_file", "GASPExp001_DAMGMU1x1Conv.json", "--infer_config_files", "metrics.json",
        "--checkpoint_save_every_n_epoch", "2", "--checkpoint_save_n_top", "1", "--check_val_every_n_epoch", "2",
        "--max_epochs", "2", "--logger_name", "tensorboard", "--val_store_image_samples", "-q",
    ])  # fmt: skip
    assert status == 0, capsys.readouterr().err
    run = root / CHECKPOINTS / "pretrained_gaspdamencgmuconv/GASPDAMEncGMUConv/version_0"
    logs = root / "logs/gasp_runs/GASPDAMEncGMUConv/version_0"
    assert list(logs.glob("events.out.tfevents.*"))
    assert len(list(run.glob("model-epoch=*.ckpt"))) == 1
    state = torch.load(run / "last_model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    (row,) = csv.DictReader((logs / "metrics.csv").open())
    assert set(row) == {"video_id", "dataset", "frames_len", "nss"}


@pytest.mark.slow
def test_without_a_logger_there_is_a_table_and_a_plot(root, capsys):
    write_small(root, model_name="GASPEncConv", experiment_name="mine", checkpoint_model_dir="kept")
    words = ["--train_config_file", "GASPExp001_DAMGMU1x1Conv.json", "--logger_name", "", "--fast_dev_run"]
    assert train2021.main(words) == 0, capsys.readouterr().err
    assert (root / "kept/mine/version_0/last_model.pt").is_file()
    assert {"history.csv", "history.png", "train_config.cfg"} <= {
        path.name for path in (root / "logs/gasp_runs/mine/version_0").iterdir()
    }
    assert "kept/mine/version_0/last_model.pt" in capsys.readouterr().out


def test_options_become_an_experiment(monkeypatch):
    found = options("--train_config", BEST)
    expected = read_experiment(BEST).replaced(trainer={"accelerator": "cpu"})
    assert found == expected, "the defaults are those of 2021"
    found = options(
        "--max_epochs", 7, "--max_steps", 9, "--check_val_every_n_epoch", 3, "--checkpoint_save_every_n_epoch", 5,
        "--checkpoint_save_n_top", 2, "--accumulate_grad_batches", 4, "--gradient_clip_val", 0.5, "--precision", "bf16",
        "--auto_lr_find", "True", "--num_processes", 2, "--accelerator", "ddp", "--logger_name", "",
    )  # fmt: skip
    trainer = found.trainer
    assert (trainer.max_epochs, trainer.max_steps, trainer.validate_every) == (7, 9, 3)
    assert (trainer.checkpoint_every, trainer.checkpoint_best, trainer.accumulate) == (5, 2, 4)
    assert (trainer.precision, trainer.accelerator, trainer.devices) == ("bfloat16", "cpu", "2")
    assert (found.optimiser.clip, found.optimiser.find_rate) == (0.5, True)
    assert (found.network, found.logging.logger) == ("SequenceGASPEncALSTMGMUConv", "csv")


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ("0,", ("gpu", "0,")),
        ("0,1", ("gpu", "0,1")),
        ("2", ("gpu", "2")),
        ("-1", ("gpu", "-1")),
        ("0", ("cpu", "1")),
    ],
)
def test_gpus_are_read_as_by_lightning(monkeypatch, gpus, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    trainer = options("--gpus", gpus).trainer
    assert (trainer.accelerator, trainer.devices) == expected


def test_without_a_gpu_the_cpu_does_the_work_and_this_is_said(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    trainer = options("--gpus", "0,").trainer
    assert (trainer.accelerator, trainer.devices) == ("cpu", "1")
    assert "no GPU" in caplog.text


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="has 2"):
        options("--gpus", "4")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpus", "one"], "for the first GPU"),
        (["--train_config", "GASPExp01_1x1Conv"], "did you mean 'GASPExp001_1x1Conv'"),
        (["--train_config_file", "none.json"], "none.json cannot be read: it does not exist"),
        (["--train_config_file", "preset"], "ends with .json"),
        (["--infer_configs", "InferMetricsGAPSTrain"], "did you mean 'InferMetricsGASPTrain'"),
        (["--resume_from_checkpoint", "x.ckpt"], "goes on by itself"),
        (["--limit_train_batches", "0.1", "--tpu_cores", "8"], "TPUs are not supported"),
        (["--accelerator", "horovod"], "always share their gradients"),
        (["--max_epochs", "0"], "trainer.max_epochs"),
    ],
)
def test_wrong_words_are_answered_before_training(root, monkeypatch, capsys, words, said):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert train2021.main(words) in (1, 2)
    error = " ".join(capsys.readouterr().err.split())
    assert error.startswith("gasp: error:")
    assert said in error
    assert not (root / "logs").exists()


def test_a_missing_key_of_comet_is_said_before_training(root, monkeypatch, capsys):
    monkeypatch.delenv("COMET_MODE")
    assert train2021.main(["--train_config", BEST]) == 2
    assert "COMET_KEY and COMET_WORKSPACE" in " ".join(capsys.readouterr().err.split())
    assert not (root / "logs").exists()
    assert not (root / CHECKPOINTS).exists()


def test_options_without_effect_are_named(root, capsys):
    words = ["--weights_summary", "full", "--benchmark", "--train_config_file", "none.json"]
    assert train2021.main(words) == 1, "the file is missing, but the options are no reason to stop"
    assert "warning: --benchmark, --weights_summary: without effect" in " ".join(
        capsys.readouterr().err.split()
    )
