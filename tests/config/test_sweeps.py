from __future__ import annotations

import re
from pathlib import Path

import pytest

from gasp.config.experiments import Experiment
from gasp.config.presets2021 import CONTEXT_SIZES, INPUTS
from gasp.config.sweeps import Sweep, is_sweep, read_sweep
from gasp.errors import GaspError, UsageError


def test_the_tables_of_the_paper() -> None:
    static = Sweep(tables=("static",)).plan()
    assert [(one.row, one.column) for one in static][:2] == [("1x1 Conv", ""), ("Additive", "")]
    assert len(static) == 10
    for table, variants in (("context", 7), ("context-norm", 5)):
        planned = Sweep(tables=(table,)).plan()
        assert {one.column for one in planned} == {str(size) for size in CONTEXT_SIZES}
        assert len(planned) == variants * len(CONTEXT_SIZES)
        norms = {one.experiment.options.get("sequence_norm", False) for one in planned}
        assert norms == {table == "context-norm"}


def test_the_ablation_has_every_combination_of_cues() -> None:
    planned = Sweep(tables=("ablation",)).plan()
    assert {one.row for one in planned} == {
        "DAM + ARGMU, 8 frames", "DAM + ARGMU, 10 frames", "DAM + LARGMU, 10 frames"
    }  # fmt: skip
    for row in {one.row for one in planned}:
        of_row = {one.column: one.experiment for one in planned if one.row == row}
        assert sorted(of_row) == [f"{flags:03b}" for flags in range(8)]
        for flags, experiment in of_row.items():
            # Gaze estimation, gaze following, facial expression.
            cues = [name.rpartition("_")[2] for name in experiment.clips.inputs]
            assert [cue in cues for cue in ("gaze360", "vidgaze", "esr9")] == [flag == "1" for flag in flags]
            assert cues[:2] == ["captured", "dave"]
            assert experiment.clips.inputs == tuple(
                name for name in INPUTS if name in experiment.clips.inputs
            )


def test_changes_hold_for_all_and_pictures_take_the_place_of_others() -> None:
    planned = Sweep(
        name="ours",
        tables=("ablation",),
        changes={"clips": {"source": "store"}, "trainer": {"max_epochs": 3}, "options": {"dam_channels": 8}},
        pictures={"det_transformed_dave": "det_transformed_glance"},
    ).plan()
    for one in planned:
        assert one.experiment.clips.source == "store"
        assert one.experiment.trainer.max_epochs == 3
        assert one.experiment.trainer.batch == 4
        assert one.experiment.options["dam_channels"] == 8
        assert one.experiment.options["sequence_len"] in (8, 10)
        assert one.experiment.clips.inputs[1] == "det_transformed_glance"
        # Neither Comet nor the published folders are written to.
        assert one.experiment.logging.logger == "csv"
        assert one.experiment.checkpoints == "sweeps/ours/checkpoints"


def test_a_grid() -> None:
    cues = {"all": ("captured", "a", "b"), "no b": ("captured", "a")}
    networks = ("GASPDAMEncGMUConv", "SequenceGASPDAMEncALSTMGMUConv")
    planned = Sweep(grid={"networks": networks, "contexts": (2, 4), "cues": cues}).plan()
    assert [(one.row, one.column) for one in planned] == [
        ("DAM + GMU, all", "1"),
        ("DAM + GMU, no b", "1"),
        ("DAM + LARGMU, all", "2"),
        ("DAM + LARGMU, all", "4"),
        ("DAM + LARGMU, no b", "2"),
        ("DAM + LARGMU, no b", "4"),
    ]
    assert len({one.name for one in planned}) == 6
    assert planned[-1].experiment.context == 4
    assert planned[-1].experiment.network_options["modalities"] == 2


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("tables: [static]\nchanges: {trainer: {max_epochs: 2}}\n")
    sweep = read_sweep(path)
    assert sweep.name == "short"
    assert sweep.plan()[0].experiment.trainer.max_epochs == 2


def test_whole_experiments_and_what_is_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("experiments: [{name: mine, network: GASPEncConv}, GASPExp001_SE1x1Conv]\n")
    assert is_sweep(path)
    assert [one.experiment.network for one in read_sweep(path).plan()] == ["GASPEncConv", "GASPSEEncConv"]
    (tmp_path / "experiment.yaml").write_text("network: GASPEncConv\n")
    assert not is_sweep(tmp_path / "experiment.yaml")
    assert not is_sweep("GASPExp001_SE1x1Conv")
    with pytest.raises(GaspError, match="does not exist"):
        is_sweep(tmp_path / "lost.yaml")


def test_one_experiment_with_each_video_left_out() -> None:
    experiment = Experiment(name="mine", network="GASPEncConv").replaced(logging={"logger": "tensorboard"})
    sweep = Sweep.leaving_one_out(experiment)
    (planned,) = sweep.plan()
    assert sweep.leave_one_out
    assert planned.experiment.logging.logger == "tensorboard"
    assert planned.experiment.checkpoints == "sweeps/mine-each-left-out/checkpoints"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tables: [contexts]", "did you mean 'context'"),
        ("table: [static]", "did you mean 'tables'"),
        ("grid: {network: [GASPEncConv], cues: {all: [a]}}", "did you mean 'networks'"),
        ("every: 0", "every = 0"),
        ("name: a/b", "a name is needed"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_sweep(tmp_path / "sweep.yaml")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "names no tables, experiments or grid"),
        ({"experiments": ("GASPExp001_SE1x1",)}, "did you mean"),
        ({"tables": ("static",), "changes": {"trainer": {"max_epoch": 2}}}, "did you mean 'max_epochs'"),
        ({"grid": {"networks": ("GASPEncCon",), "cues": {"all": ("a",)}}}, "did you mean 'GASPEncConv'"),
    ],
)
def test_what_cannot_be_planned(values: dict[str, object], said: str) -> None:
    with pytest.raises(GaspError, match=said):
        Sweep.model_validate(values).plan()


def test_the_documented_sweeps_can_be_planned(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "sweeps.md"
    found = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    plans = []
    for number, text in enumerate(found):
        (tmp_path / f"{number}.yaml").write_text(text)
        plans.append(read_sweep(tmp_path / f"{number}.yaml").plan())
    assert [len(plan) for plan in plans] == [10 + 40 + 24, 6]
