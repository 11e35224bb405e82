"""Inference presets with the network that was trained."""

from __future__ import annotations

import csv

import pytest
import torch

from gasp import create_model
from gasp.config.experiments import read_experiment
from gasp.config.json2021 import write_preset
from gasp.config.presets2021 import FRAMES, inference_preset
from gasp.datasets.split import SplitRow, write_split
from gasp.datasets.store import pack
from gasp.errors import GaspError, UsageError
from gasp.published.follow_up import fill_in, find_plans, follow_up, stored_frames
from gasp.published.infer import run_inference
from gasp.published.plan import GaspPlan, plan_of
from gasp.published.predictor import load_network
from helpers.grouped_frames import MAPS, make_grouped


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A working directory with one stored video of the test list."""
    monkeypatch.setenv("GASP_OFFLINE", "1")
    make_grouped(tmp_path / FRAMES, "coutrot1", "clip_58", frames=4)
    write_split(
        tmp_path / "datasets/processed/test_ave.csv", [SplitRow("clip_58", 25.0, "Social", "coutrot1")]
    )
    return tmp_path


def plan(name, **changes):
    return plan_of(inference_preset(name), name, **changes)


def test_what_training_leaves_open_is_filled_in(tmp_path):
    experiment = read_experiment("GASPExp002_SeqDAMALSTMGMU1x1Conv_10Norm")
    left_open = plan("InferMetricsGASPTrain")
    assert (left_open.model.window, left_open.model.inputs) == (None, None)
    filled = fill_in(left_open, experiment, tmp_path / "last_model.pt", tmp_path / "metrics.csv")
    assert filled.model == GaspPlan(
        window=10,
        inputs=MAPS,
        network="SequenceGASPDAMEncALSTMGMUConv",
        options={"modalities": 5, "sequence_len": 10, "sequence_norm": True},
        weights=str(tmp_path / "last_model.pt"),
        size=(120, 120),
        shown=left_open.model.shown,
    )
    assert filled.lists.test == "datasets/processed/test_ave.csv"
    assert filled.metrics.table == str(tmp_path / "metrics.csv")
    assert left_open == plan("InferMetricsGASPTrain"), "the plan itself stays"


def test_static_networks_have_a_window_of_one_frame(tmp_path):
    experiment = read_experiment("GASPExp001_DAMGMU1x1Conv")
    filled = fill_in(plan("InferMetricsGASPTrain"), experiment, tmp_path, tmp_path)
    assert filled.model.window == 1


def test_pictures_have_the_size_of_training(root):
    experiment = read_experiment("GASPExp001_GMU1x1Conv").replaced(clips={"size": (24, 32)})
    torch.save(create_model(experiment.network, modalities=5).state_dict(), root / "x.pt")
    filled = fill_in(plan("InferMetricsGASPTrain"), experiment, root / "x.pt", root)
    network = load_network(filled.model, root)
    assert (network.preprocessing.height, network.preprocessing.width) == (24, 32)


def test_other_inputs_are_tested_where_the_experiment_says_so(tmp_path):
    experiment = read_experiment("GASPExp003_SeqDAMALSTMGMU1x1Conv_10Norm_TASED")
    filled = fill_in(plan("InferMetricsGASPTrain"), experiment, tmp_path, tmp_path)
    assert filled.model.inputs[1] == "det_transformed_tased"


def test_metrics_can_be_asked_for(root):
    experiment = read_experiment("GASPExp001_DAMGMU1x1Conv")
    shown = "InferVisualizeGASPDAMGMU1x1Conv"
    assert find_plans([shown], [], experiment, root)[shown].metrics is None
    asked = find_plans([shown], [], experiment, root, compute_metrics=True, device="cuda:3")[shown]
    assert fill_in(asked, experiment, root, root / "m.csv").metrics.table == str(root / "m.csv")
    assert asked.device == "cuda:3"


def test_inference_without_training_says_where_it_belongs(root):
    with pytest.raises(UsageError, match="filled in after training"):
        run_inference(plan("InferMetricsGASPTrain"), root)


@pytest.mark.slow
def test_the_trained_network_is_scored(root):
    experiment = read_experiment("GASPExp001_DAMGMU1x1Conv")
    torch.manual_seed(1)
    torch.save(create_model(experiment.network, modalities=5).state_dict(), root / "last_model.pt")
    plans = find_plans(["InferMetricsGASPTrain", "InferMetricsGASP"], [], experiment, root)
    done = follow_up(plans, experiment, root / "last_model.pt", root / "logs/run", root)
    assert [summary.failed for summary in done.values()] == [{}, {}]
    tables = [root / "logs/run/metrics.csv", root / "logs/run/metrics_InferMetricsGASP.csv"]
    rows = [list(csv.DictReader(table.open())) for table in tables]
    assert rows[0] == rows[1], "both presets score the same network"
    assert (rows[0][0]["video_id"], rows[0][0]["frames_len"]) == ("coutrot1/clip_58", "4")
    assert float(rows[0][0]["cc"]) != 0
    (gates,) = csv.DictReader((root / "logs/run/metrics_gate_scores.csv").open())
    assert 0 < float(gates["0"]) < 1


def test_files_go_before_names(root):
    experiment = read_experiment("GASPExp001_DAMGMU1x1Conv")
    write_preset(root / "mine.json", inference_preset("InferMetricsGASPTrain") | {"metrics_list": ["cc"]})
    found = find_plans(["InferVisualizeGASPDAMGMU1x1Conv"], [root / "mine.json"], experiment, root)
    assert list(found) == ["mine"]
    assert found["mine"].metrics.names == ("cc",)
    assert find_plans([], [], experiment, root / "nothing") == {}


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("InferMetricsGASPTrian", {}, "did you mean 'InferMetricsGASPTrain'"),
        ("InferMetricsDAVE_VisOnly", {}, "no model GASPInference"),
        ("InferMetricsGASPTrain", {"clips": {"test": None}}, "clips.test"),
        ("InferVisualizeGASPSeqDAMALSTMGMU1x1Conv_10Norm_110", {}, "reads 4 pictures"),
        ("InferMetricsGASP", {"clips": {"inputs": MAPS[:4]}, "options": {}}, "reads 5 pictures"),
    ],
)
def test_what_would_fail_after_training_is_said_before(root, name, changes, said):
    experiment = read_experiment("GASPExp001_DAMGMU1x1Conv").replaced(**changes)
    with pytest.raises(GaspError, match=said):
        find_plans([name], [], experiment, root)


def test_wrong_values_are_named_before_training(root):
    experiment = read_experiment("GASPExp001_DAMGMU1x1Conv")
    write_preset(root / "mine.json", inference_preset("InferMetricsGASPTrain") | {"metrics_list": ["ccc"]})
    with pytest.raises(UsageError, match="mine: metrics_list: there is no metric 'ccc'"):
        find_plans([], [root / "mine.json"], experiment, root)


def test_frames_are_found_beside_a_store(root):
    experiment = read_experiment("GASPExp001_DAMGMU1x1Conv")
    assert stored_frames(experiment, root) == root / FRAMES
    pack(root / FRAMES, root / "store")
    packed = experiment.replaced(clips={"source": "store"})
    assert stored_frames(packed, root) == root / FRAMES
    (root / FRAMES).rename(root / "elsewhere")
    with pytest.raises(UsageError, match="--unpack"):
        stored_frames(packed, root)
    assert stored_frames(experiment.replaced(clips={"source": "elsewhere"}), root) == root / "elsewhere"
