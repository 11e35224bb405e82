from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from gasp.config.experiments import Experiment
from gasp.config.sweeps import Planned, Sweep
from gasp.datasets.split import SplitRow, write_split
from gasp.datasets.store import PackSettings, pack
from gasp.errors import InputError, OutputError, UsageError
from gasp.training import sweep as sweeping
from gasp.training.data import ClipData
from gasp.training.scoring import METRICS
from gasp.training.sweep import check_sweep, leave_each_out, run_sweep
from gasp.training.sweep_tables import SweepRow, markdown
from gasp.work.progress import Progress
from helpers.grouped_frames import MAPS, make_grouped

SIZES = {"size": (16, 16), "target_size": (8, 8)}
VIDEOS = ("one", "two", "three")
TESTED = ("four", "five")
SMALL = {"encoder_widths": [4, 4], "latent_channels": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for video in (*VIDEOS, *TESTED):
        make_grouped(tmp_path / "frames", "diem", video, 6, size=64)
    pack(tmp_path / "frames", tmp_path / "store", PackSettings(MAPS, **SIZES))
    for name, videos in (("train", VIDEOS), ("test", TESTED), ("single", TESTED[:1])):
        write_split(tmp_path / f"{name}.csv", [SplitRow(video, 25, "Social", "diem") for video in videos])
    return tmp_path


def sweep(**values: Any) -> Sweep:
    clips = {"source": "store", "train": "train.csv", "test": "test.csv", "validation": None, **SIZES}
    changes = {"clips": clips, "trainer": {"max_epochs": 1}, "options": SMALL}
    grid = {
        "networks": ("GASPEncGMUConv", "SequenceGASPEncALSTMConv"),
        "contexts": (2, 3),
        "cues": {"two": MAPS[:2]},
    }
    return Sweep.model_validate({"name": "ours", "grid": grid, "changes": changes} | values)


def count_training(monkeypatch: pytest.MonkeyPatch, stop_at: int = 0) -> list[str]:
    """Names of experiments that are trained; the ``stop_at``-th is interrupted."""
    trained: list[str] = []
    train = sweeping.train

    def counted(experiment: Experiment, root: Path) -> Any:
        trained.append(experiment.name)
        if len(trained) == stop_at:
            raise KeyboardInterrupt
        return train(experiment, root)

    monkeypatch.setattr(sweeping, "train", counted)
    return trained


@pytest.mark.slow
def test_a_sweep_makes_its_tables_and_goes_on_where_it_stopped(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = count_training(monkeypatch, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep(), root)
    folder = root / "sweeps" / "ours"
    assert len((folder / "scores.csv").read_text().splitlines()) == 1 + 2
    reported: list[Progress] = []
    rows = run_sweep(sweep(), root, report=reported.append)
    names = ["GASPEncGMUConv_two", "SequenceGASPEncALSTMConv_2_two", "SequenceGASPEncALSTMConv_3_two"]
    # The first two were finished.
    assert trained == [*names, names[2]]
    assert [row.planned.name for row in rows] == names
    assert [(event.done, event.total, event.values) for event in reported] == [
        *((done, 3, {"now": name}) for done, name in enumerate(names)), (3, 3, {}),
    ]  # fmt: skip
    assert {event.task for event in reported} == {"ours"}
    assert run_sweep(sweep(), root) == rows
    assert len(trained) == 4
    with (folder / "scores.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    for row, line in zip(rows, written, strict=True):
        assert list(row.videos) == ["diem/four", "diem/five"]
        assert row.scores["frames"] == 12
        assert -1 <= row.scores["cc"] <= 1
        assert float(line["cc"]) == pytest.approx(row.scores["cc"])
        assert (line["inputs"], line["frames"], line["failed"]) == ("captured+det_transformed_dave", "12", "")
    table = (folder / "tables.md").read_text()
    assert "| CC | 1 | 2 | 3 |\n" in table
    assert "| Sequential ALSTM, two | - | " in table
    # Frames that are scored belong to the results.
    run_sweep(sweep(every=2), root)
    assert len(trained) == 7
    # All of it lies in one folder; nothing else is written.
    assert {path.name for path in folder.iterdir()} == {
        "results", "checkpoints", "logs", "scores.csv", "tables.md"
    }  # fmt: skip


@pytest.mark.slow
def test_each_video_is_left_out_once(root: Path) -> None:
    chosen = sweep(grid={"networks": ("GASPEncGMUConv",), "cues": {"two": MAPS[:2]}}, leave_one_out=True)
    rows = run_sweep(chosen, root)
    assert [list(row.videos) for row in rows] == [[f"diem/{video}"] for video in VIDEOS]
    for row in rows:
        assert not math.isnan(row.scores["aucs"])
        data = ClipData(row.planned.experiment, root)
        data.check()
        assert data.train is not None
        learnt = {"/".join(video) for video in data.train.videos}
        assert learnt == {f"diem/{video}" for video in VIDEOS} - set(row.videos)
    text = (root / "sweeps" / "ours" / "tables.md").read_text()
    assert "**" not in text
    lines = text.splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("| ")] == [
        "| ", "| ---", "| diem/one", "| diem/two", "| diem/three", "| mean"
    ]  # fmt: skip


def test_one_that_fails_does_not_stop_the_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(planned: Planned, every: int, root: Path) -> dict[str, dict[str, float]]:
        if planned.experiment.context == 2:
            raise OutputError("the disk is full")
        return {"diem/test": {"frames": 6.0} | dict.fromkeys(METRICS, 0.5)}

    monkeypatch.setattr(sweeping, "_train_and_score", scored)
    rows = run_sweep(sweep(), root)
    assert [row.failed for row in rows] == [None, "the disk is full", None]
    table = (root / "sweeps" / "ours" / "tables.md").read_text()
    assert "* SequenceGASPEncALSTMConv_2_two failed: the disk is full" in table
    monkeypatch.setattr(sweeping, "_train_and_score", lambda *_: {"diem/test": rows[0].scores})
    # It is tried again.
    assert [row.failed for row in run_sweep(sweep(), root)] == [None] * 3


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"clips": {"test": None}}, UsageError, "clips.test names no list"),
        ({"clips": {"test": "lost.csv"}}, UsageError, "there is no split"),
        ({"clips": {"test_inputs": ("captured", "det_transformed_tased")}}, InputError, "tased"),
        ({"clips": {"source": "lost"}}, InputError, "does not exist"),
        ({"options": {"latent_channels": 3}}, UsageError, "GASPEncGMUConv_two: .*latent_channels is 3"),
        ({"trainer": {"devices": "2"}}, UsageError, "one device at a time"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_training(
    root: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    trained = count_training(monkeypatch)
    all_changes = sweep().changes
    merged = all_changes | {key: all_changes[key] | value for key, value in changes.items()}
    with pytest.raises(kind, match=said):
        run_sweep(sweep(changes=merged), root)
    with pytest.raises(kind, match=said):
        check_sweep(sweep(changes=merged), root)
    assert not trained


def test_one_video_cannot_be_left_out(root: Path) -> None:
    planned = sweep(
        changes=sweep().changes | {"clips": sweep().changes["clips"] | {"train": "single.csv"}}
    ).plan()
    with pytest.raises(UsageError, match="nothing is left without it"):
        leave_each_out(planned[0], root)


def row(label: str, column: str, value: float) -> SweepRow:
    experiment = Experiment(network="GASPEncConv", name=f"{label}{column}")
    scores = {"frames": 4.0} | dict.fromkeys(METRICS, value) | {"aucs": math.nan}
    return SweepRow(Planned(experiment, "a table", label, column), {"diem/one": scores})


def test_tables_with_columns_have_one_for_each_metric() -> None:
    text = markdown([row("SE", "2", 0.25), row("SE", "4", 0.5), row("GMU", "4", 0.125)])
    assert text.startswith("## a table\n\n| AUC-J | 2 | 4 |\n| --- | ---: | ---: |\n")
    assert "| CC | 2 | 4 |\n| --- | ---: | ---: |\n| SE | 0.250 | **0.500** |\n| GMU | - | 0.125 |\n" in text


def test_plain_values() -> None:
    plain = row("SE", "2", 0.25).plain()
    assert (plain["table"], plain["row"], plain["column"], plain["failed"]) == ("a table", "SE", "2", None)
    assert plain["scores"] == plain["videos"]["diem/one"]
    assert (plain["scores"]["cc"], plain["scores"]["aucs"], plain["scores"]["frames"]) == (0.25, None, 4)


def test_tables_without_columns_have_metrics() -> None:
    text = markdown([row("SE", "", 0.25), row("GMU", "", 0.125)])
    assert text == (
        "## a table\n\n|  | AUC-J | sAUC | CC | NSS | SIM |\n| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| SE | **0.250** | - | **0.250** | **0.250** | **0.250** |\n"
        "| GMU | 0.125 | - | 0.125 | 0.125 | 0.125 |\n"
    )
