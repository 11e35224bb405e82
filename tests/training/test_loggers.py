"""Tables, TensorBoard and Comet's archives of training runs."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gasp.config.experiments import read_experiment
from gasp.errors import InputError, UsageError
from gasp.training.extras import extra
from gasp.training.history import TableLogger, curve, plot_history, read_history
from gasp.training.loggers import flattened, open_logs


@pytest.fixture(autouse=True)
def _no_account(monkeypatch):
    for name in ("COMET_KEY", "COMET_WORKSPACE", "COMET_MODE", "COMET_OFFLINE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def experiment(logger="csv"):
    return read_experiment("GASPExp001_GMU1x1Conv").replaced(logging={"logger": logger})


class _Line(pl.LightningModule):
    """Learns one number, and logs as the training of GASP does."""

    def __init__(self):
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, _index):
        loss = (self.value - batch.mean()).square().sum()
        self.log("train_loss", loss, on_step=True, on_epoch=False)
        self.log("avg_train_loss", loss, on_step=False, on_epoch=True, batch_size=2)
        return loss

    def validation_step(self, batch, _index):
        loss = (self.value - batch.mean()).square().sum()
        self.log("val_loss", loss, on_step=True, on_epoch=False)
        self.log("avg_val_loss", loss, on_step=False, on_epoch=True, batch_size=2)


def fit(logs, epochs, *, resume=None, keep=None):
    callbacks = (
        [] if keep is None else [pl.callbacks.ModelCheckpoint(keep, filename="{epoch}", save_top_k=-1)]
    )
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=logs.loggers, log_every_n_steps=1, callbacks=callbacks,
        enable_checkpointing=keep is not None, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(torch.ones(8, 1), batch_size=2)
    trainer.fit(_Line(), loader, loader, ckpt_path=resume)
    return trainer


def test_a_run_leaves_a_table_and_a_plot(tmp_path):
    logs = open_logs(experiment(), tmp_path)
    assert logs.key == "version_0"
    assert logs.folder == tmp_path / "logs/gasp_runs/GASPEncGMUConv/version_0"
    fit(logs, 3)
    rows = read_history(logs.folder / "history.csv")
    steps, losses = curve(rows, "train_loss")
    assert steps == list(range(12))
    np.testing.assert_allclose(
        losses, 0.64 ** np.arange(12), rtol=1e-5
    )  # 0.8 of the distance is left by each step
    steps, means = curve(rows, "avg_train_loss")
    assert [row["epoch"] for row in rows if "avg_train_loss" in row] == [0, 1, 2]
    np.testing.assert_allclose(means, np.reshape(losses, (3, 4)).mean(1), rtol=1e-5)
    assert len(curve(rows, "avg_val_loss")[0]) == 3
    with Image.open(logs.folder / "history.png") as plot:
        pixels = np.asarray(plot.convert("RGB")).reshape(-1, 3)
    for colour in ((66, 135, 206), (214, 80, 95)):
        assert (np.abs(pixels.astype(int) - colour).sum(1) < 12).sum() > 50, "both curves are drawn"


def test_the_configuration_is_kept_with_dotted_keys(tmp_path):
    logs = open_logs(experiment(), tmp_path)
    kept = json.loads((logs.folder / "train_config.cfg").read_text())
    assert kept["network"] == "GASPEncGMUConv"
    assert kept["clips.inputs"][1] == "det_transformed_dave"
    assert kept["trainer.batch"] == 4
    assert flattened({"a": {"b": {"c": 1}}, "d": {}}) == {"a.b.c": 1, "d": {}}


def test_runs_have_names_of_their_own(tmp_path):
    keys = [open_logs(experiment(), tmp_path).key for _ in range(2)]
    assert keys == ["version_0", "version_1"]
    (tmp_path / experiment().checkpoints / "GASPEncGMUConv/version_7").mkdir(parents=True)
    assert open_logs(experiment(), tmp_path).key == "version_8", "checkpoints of another run stay apart"


def test_a_run_that_goes_on_replaces_what_came_after_its_checkpoint(tmp_path):
    whole = open_logs(experiment(), tmp_path / "whole")
    fit(whole, 4)
    logs = open_logs(experiment(), tmp_path / "broken")
    fit(logs, 3, keep=tmp_path / "kept")
    again = open_logs(experiment(), tmp_path / "broken", key=logs.key)
    assert again.folder == logs.folder
    fit(again, 4, resume=tmp_path / "kept/epoch=1.ckpt")
    assert (again.folder / "history.csv").read_text() == (whole.folder / "history.csv").read_text()


def test_rows_of_one_step_become_one(tmp_path):
    table = TableLogger(tmp_path, "version_0")
    table.log_metrics({"a": 0.5, "epoch": 0}, 3)
    table.log_metrics({"a": 0.25, "epoch": 0}, 4)
    table.log_metrics({"b": 1 / 3, "epoch": 0}, 4)
    table.log_metrics({"b": 7.0, "epoch": 0}, 4)
    table.log_metrics({"single": 9.0}, 1)
    table.log_metrics({"a": float("nan"), "epoch": 1}, 5)
    assert table.table.read_text() == "epoch,step,a,b\n0,3,0.5,\n0,4,0.25,7\n1,5,nan,\n"
    assert read_history(table.table)[0] == {"epoch": 0, "step": 3, "a": 0.5}


def test_a_torn_or_foreign_table_is_answered(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,step,a\n0,1,2\n0")
    assert read_history(path) == [{"epoch": 0, "step": 1, "a": 2}]
    path.write_text("epoch,step,a\n0,1,much\n")
    with pytest.raises(InputError, match="no table of a training run"):
        read_history(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_history(tmp_path / "none.csv")


def test_nothing_is_plotted_of_nothing(tmp_path):
    plot_history([{"epoch": 0, "step": 1}], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_a_loss_that_falls_by_far_is_drawn_so_that_its_end_is_seen(tmp_path):
    """The published loss begins near 1000, and ends below 0."""

    def lowest_quarter(values):
        """The share of the curve that lies in the lowest quarter of its height."""
        rows = [{"epoch": i, "step": i, "avg_train_loss": value} for i, value in enumerate(values)]
        plot_history(rows, tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as plot:
            pixels = np.asarray(plot.convert("RGB")).astype(int)
        lines = np.nonzero(np.abs(pixels - (66, 135, 206)).sum(2) < 12)[0]
        return np.mean(lines > lines.min() + 0.75 * (lines.max() - lines.min()))

    assert lowest_quarter([1000, 100, 10, 1, 0.1, -0.3]) < 0.4
    assert lowest_quarter([1000, 300, 100, 30, 10, 3]) < 0.4


def test_tensorboard_has_the_same_values(tmp_path):
    logs = open_logs(experiment("tensorboard"), tmp_path)
    fit(logs, 2)
    events = EventAccumulator(str(logs.folder)).Reload()
    assert {"train_loss", "avg_train_loss", "val_loss", "avg_val_loss"} <= set(events.Tags()["scalars"])
    steps, losses = curve(read_history(logs.folder / "history.csv"), "train_loss")
    found = events.Scalars("train_loss")
    assert [one.step for one in found] == steps
    np.testing.assert_allclose([one.value for one in found], losses, rtol=1e-6)
    assert "clips.source" in (logs.folder / "hparams.yaml").read_text()


@pytest.mark.parametrize("given", [{}, {"COMET_KEY": "k"}, {"COMET_WORKSPACE": "w"}])
def test_comet_names_the_variables_it_lacks(tmp_path, monkeypatch, given):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="COMET_MODE=offline") as error:
        open_logs(experiment("comet"), tmp_path)
    for name in ("COMET_KEY", "COMET_WORKSPACE"):
        assert (name in str(error.value)) == (name not in given)
    assert not list(tmp_path.iterdir())


def _messages(archive):
    """What a Comet archive holds, one object per message, and its other files."""
    with zipfile.ZipFile(archive) as file:
        messages = [json.loads(line) for line in file.read("messages.json").decode().splitlines()]
        return messages, [file.read(name) for name in file.namelist() if not name.endswith(".json")]


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["COMET_MODE", "COMET_OFFLINE_DIRECTORY"])
def test_comet_writes_an_archive_offline(tmp_path, monkeypatch, variable):
    folder = tmp_path / "archives"
    monkeypatch.setenv(variable, "offline" if variable == "COMET_MODE" else str(folder))
    logs = open_logs(experiment("comet"), tmp_path)
    assert logs.folder == tmp_path / "logs/gasp_runs" / logs.key
    logs.loggers[1].log_picture("GT : INPUTS : LOGITS", np.full((8, 16, 3), 200, np.uint8), 2)
    fit(logs, 2)
    archive = (folder if variable == "COMET_OFFLINE_DIRECTORY" else logs.folder) / f"{logs.key}.zip"
    messages, files = _messages(archive)
    values = [m["payload"]["metric"] for m in messages if m["type"] == "metric_msg"]
    losses = [m["metricValue"] for m in values if m["metricName"] == "train_loss"]
    np.testing.assert_allclose(
        losses, curve(read_history(logs.folder / "history.csv"), "train_loss")[1], rtol=1e-6
    )
    assert {"avg_train_loss", "avg_val_loss"} <= {m["metricName"] for m in values}
    assert any("GT : INPUTS : LOGITS" in json.dumps(message) for message in messages)
    (picture,) = files
    assert (np.asarray(Image.open(io.BytesIO(picture))) == 200).all()
    assert (logs.folder / "history.csv").exists()
    assert "clips.source" in json.dumps(messages)


@pytest.mark.slow
def test_comet_goes_on_with_a_run_and_passes_to_other_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("COMET_MODE", "offline")
    logs = open_logs(experiment("comet"), tmp_path)
    logs.loggers[1].finalize("success")
    again = open_logs(experiment("comet"), tmp_path, key=logs.key)
    assert (again.key, again.folder) == (logs.key, logs.folder)
    passed = pickle.loads(pickle.dumps(again.loggers[1]))
    again.loggers[1].finalize("success")
    passed.log_metrics({"train_loss": 0.125, "epoch": 0}, 1)
    passed.finalize("success")
    archives = list(logs.folder.glob("*.zip"))
    assert len(archives) == 3
    assert any("0.125" in json.dumps(_messages(archive)[0]) for archive in archives)


@pytest.mark.slow
def test_a_run_may_go_on_with_comet(tmp_path, monkeypatch):
    key = open_logs(experiment(), tmp_path).key
    monkeypatch.setenv("COMET_MODE", "offline")
    again = open_logs(experiment("comet"), tmp_path, key=key)
    again.loggers[1].finalize("success")
    assert again.key == key == "version_0"
    (archive,) = again.folder.glob("*.zip")
    assert archive.stem.startswith(again.loggers[1].version), (
        "Comet knows it by a key of the length that it wants"
    )


def test_a_comet_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    import comet_ml

    def refuse(**_options):
        raise ValueError("the API key is not valid")

    monkeypatch.setattr(comet_ml, "start", refuse)
    monkeypatch.setenv("COMET_KEY", "k")
    monkeypatch.setenv("COMET_WORKSPACE", "w")
    with pytest.raises(UsageError, match="the API key is not valid; check COMET_KEY"):
        open_logs(experiment("comet"), tmp_path)


def test_packages_that_are_not_here_name_their_extra():
    with pytest.raises(UsageError, match=r"gasp-saliency\[train\]"), extra("train"):
        import nothing_of_this_name  # noqa: F401
    with pytest.raises(ModuleNotFoundError), extra("train"):
        import gasp.nothing  # noqa: F401
