from __future__ import annotations

import csv
import json
from dataclasses import replace

import av
import numpy as np
import pytest
import torch

from gasp import create_model
from gasp.config.json2021 import write_preset
from gasp.config.presets2021 import inference_preset, inference_presets
from gasp.datasets import open_set
from gasp.datasets.grouped import GroupedFrames
from gasp.errors import UsageError
from gasp.fusion.inputs import normalise_maps, stack_maps
from gasp.published.commands import infer as infer2021
from gasp.published.measures import METRICS
from gasp.published.plan import GaspPlan, MetricsPlan, plan_of
from gasp.published.predictor import generator_settings, open_gasp
from gasp.published.truth import RecordedTruth, StoredTruth
from gasp.video.grouped import GroupedSource
from helpers import synthetic
from helpers.gaze_sets import HEIGHT, OBSERVERS, WIDTH, gaze, make_coutrot
from helpers.grouped_frames import MAPS, level, make_grouped

FRAMES = 5

METRICS_PLAN = MetricsPlan(("cc",), "t.csv", "transformed_salmap", "transformed_fixmap", "", gates=False)
"""What truth needs to know of a plan."""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A working directory with one stored video of test_ave, and random weights of the static network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GASP_OFFLINE", "1")
    make_grouped(
        tmp_path / "datasets/processed/Grouped_frames", "coutrot1", "clip_58", frames=FRAMES, size=64
    )
    torch.manual_seed(0)
    torch.save(create_model("GASPDAMEncGMUConv", modalities=5).state_dict(), tmp_path / "static.pt")
    return tmp_path


def save_unisal(path):
    entries = [(name, tuple(values.shape)) for name, values in create_model("unisal").state_dict().items()]
    weights = synthetic.checkpoint(entries)
    torch.save({name: torch.from_numpy(values) for name, values in weights.items()}, path)


def configure(root, name, **changes):
    preset = inference_preset(name) | changes
    preset["model_groups"][0][0][3]["weights_file"] = "static.pt"
    write_preset(root / f"{name}.json", preset)
    return ["--infer_config_file", f"{name}.json", "-q"]


def test_the_metrics_preset_writes_the_tables_of_2021(root, capsys):
    from gasp.published.commands import downloads as downloads2021

    downloads2021.main(["--working_dir", ".", "-q"])
    network = {"model_name": "GASPDAMEncGMUConv", "modalities": 5}
    inputs = {"inp_img_names_list": list(MAPS)}
    post = inference_preset("InferMetricsGASP")["model_groups"][0][0][5]
    words = configure(
        root, "InferMetricsGASP", model_groups=[[["GASPInference", 1, [0], network, inputs, post]]]
    )
    assert infer2021.main(words[:2]) == 0
    assert "coutrot1/clip_58" in capsys.readouterr().out
    table = root / "logs/metrics/defaultgazenet.csv"
    (row,) = csv.DictReader(table.open())
    assert (row["video_id"], row["dataset"], row["frames_len"]) == (
        "coutrot1/clip_58",
        "processed",
        str(FRAMES),
    )
    scores = {name: float(row[name]) for name in ("aucj", "aucs", "cc", "nss", "sim")}
    assert 0 <= scores["aucj"] <= 1
    assert -1 <= scores["cc"] <= 1
    (gates,) = csv.DictReader((root / "logs/metrics/defaultgazenet_gate_scores.csv").open())
    assert len(gates) == 3 + 5
    assert all(0 <= float(gates[str(index)]) <= 1 for index in range(5))
    before = table.read_text()
    assert infer2021.main(words) == 0
    assert table.read_text() == before, "a second run replaces the row"


def test_the_visualisation_preset_writes_videos(root):
    assert infer2021.main(configure(root, "InferVisualizeGASPDAMGMU1x1Conv", width=128, height=96)) == 0
    folder = root / "datasets/processed/Videos/coutrot1/clip_58"
    shown = inference_preset("InferVisualizeGASPDAMGMU1x1Conv")["model_groups"][0][0][5]["plot_override"][0]
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.avi" for name in shown)
    with av.open(str(folder / "det_transformed_gasp.avi")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert (len(frames), frames[0].shape) == (FRAMES, (96, 128, 3))


def test_predictions_are_those_of_the_network(root):
    model = GaspPlan(1, MAPS, "GASPDAMEncGMUConv", {"modalities": 5}, "static.pt", (120, 120), ())
    predictor = open_gasp(model, "mine", "cpu", root)
    fusion = predictor.networks.fusion
    video = GroupedFrames(root / "datasets/processed/Grouped_frames").video("coutrot1", "clip_58")
    (video.folder / "3" / f"{MAPS[2]}_1.jpg").unlink()
    fused = {
        video.numbers[one.index]: one for one in predictor.predict(GroupedSource(video.folder, fps=25.0))
    }
    assert sorted(fused) == list(range(1, FRAMES + 1))
    assert not fused[3].images[MAPS[2]].any(), "a missing map is black"
    pictures = [
        np.zeros((120, 120, 3), np.uint8)
        if index == 2
        else video.window(2, 1, [name]).maps[0].transpose(1, 2, 0)
        for index, name in enumerate(MAPS)
    ]
    stacked = torch.from_numpy(stack_maps(pictures, fusion.preprocessing))[None]
    with torch.inference_mode():
        logits = fusion.network(normalise_maps(stacked, fusion.preprocessing)).logits[0, 0].sigmoid()
    expected = (logits - logits.min()) / (logits.max() - logits.min())
    # The pictures are flat, so that the two ways of resizing agree.
    np.testing.assert_allclose(fused[3].saliency, expected.numpy(), atol=0.02)
    assert set(fused[3].gates) == {"captured", "dave", "esr9", "videogaze", "gaze360"}


@pytest.mark.slow
def test_other_networks_are_measured_on_stored_frames(root):
    save_unisal(root / "unisal.pt")
    preset = inference_preset("InferMetricsUNISAL_VisOnly")
    preset["model_groups"][0][0][3]["weights_file"] = "unisal.pt"
    write_preset(root / "mine.json", preset)
    assert infer2021.main(["--infer_config_file", "mine.json", "-q"]) == 0
    (row,) = csv.DictReader((root / "logs/metrics/defaultunisals_vis.csv").open())
    assert row["frames_len"] == str(FRAMES)
    assert -1 <= float(row["cc"]) <= 1
    assert row["aucs"] == "", "there is no centre-bias picture"


@pytest.mark.slow
def test_networks_are_measured_on_raw_videos(root):
    """InferMetricsDAVE and InferMetricsSTAViS mean this; UNISAL is quicker."""
    make_coutrot(root / "datasets/ave/database1")
    (root / "mine.csv").write_text("video_id,fps,scene_type,dataset\nclip_2,25,Social,coutrot1\n")
    save_unisal(root / "unisal.pt")
    preset = inference_preset("InferMetricsUNISAL_VisOnly") | {
        "reader": "Coutrot1SampleReader",
        "width": 96,
        "height": 64,
    }
    preset["model_groups"][0][0][3]["weights_file"] = "unisal.pt"
    preset["datasplitter_properties"] = {"train_csv_file": "mine.csv"}
    write_preset(root / "mine.json", preset)
    assert infer2021.main(["--infer_config_file", "mine.json", "-q"]) == 0
    (row,) = csv.DictReader((root / "logs/metrics/defaultunisals_vis.csv").open())
    assert (row["video_id"], row["dataset"], row["frames_len"]) == ("clip_2", "coutrot1", "12")
    assert -1 <= float(row["cc"]) <= 1
    assert not (root / "datasets/processed/Grouped_frames/coutrot1/clip_2").exists(), (
        "no pictures were asked for"
    )


@pytest.mark.parametrize("name", ["InferMetricsDAVE", "InferMetricsSTAViS"])
def test_presets_without_a_reader_say_what_to_do(name, root, capsys):
    assert infer2021.main(["--infer_config", name]) == 2
    said = " ".join(capsys.readouterr().err.split())
    for part in (
        f"infer_configs/{name}.json",
        "generate_config_files",
        "--infer_config_file",
        "Coutrot1SampleReader",
    ):
        assert part in said


def test_the_truth_is_what_was_recorded(tmp_path):
    videos = open_set("coutrot1", make_coutrot(tmp_path / "raw"))
    truth = RecordedTruth(videos, "clip_2", METRICS_PLAN, tmp_path, (HEIGHT, WIDTH))
    points, density, baseline = truth.at(3)
    rows, columns = np.nonzero(points)
    looked = [gaze(2, observer) for observer in range(OBSERVERS)]
    assert set(looked) <= set(zip(columns.tolist(), rows.tolist(), strict=True))
    assert len(rows) <= 5 * OBSERVERS
    peak = np.unravel_index(density.argmax(), density.shape)
    assert abs(peak[1] - np.mean([x for x, _ in looked])) < 2
    assert baseline is None


def test_a_baseline_may_be_the_mean_of_other_frames(tmp_path):
    make_grouped(tmp_path, frames=6)
    video = GroupedFrames(tmp_path).video("diem", "talk_96x64")
    truth = StoredTruth(video, replace(METRICS_PLAN, baseline="det_transformed_dave"), tmp_path, 3)
    assert truth.at(1).baseline is None
    expected = (level(3, 1) + level(4, 1)) / 2
    assert abs(float(truth.at(5).baseline.mean()) - expected) <= 2, "two frames before it, without itself"


def test_detectors_by_name():
    preset = inference_preset("InferGeneratorAllModelsDIEM")

    def faces(detector):
        return generator_settings(plan_of(preset | {"face_detector": detector}, "mine")).faces

    assert faces("yunet") == "yunet"
    assert faces("MTCNNFaceDetection") == "s3fd"
    with pytest.raises(UsageError, match="did you mean 'SFDFaceDetection'"):
        faces("SFDFaceDetector")


def test_generators_ask_for_what_their_models_need():
    preset = inference_preset("InferGeneratorAllModelsDIEM")
    settings = generator_settings(plan_of(preset, "mine"))
    assert settings.cues == ("captured", "dave", "esr9", "gaze360", "videogaze")
    assert settings.faces == "s3fd"


def test_a_generator_says_which_weights_are_missing(root, capsys):
    make_coutrot(root / "datasets/ave/database1")
    (root / "datasets/processed").mkdir(exist_ok=True)
    (root / "datasets/processed/train_ave.csv").write_text(
        "video_id,fps,scene_type,dataset\nclip_2,25,Social,coutrot1\n"
    )
    assert infer2021.main(["--infer_config", "InferGeneratorAllModelsCoutrot1"]) == 1
    assert "gasp download" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", inference_presets())
def test_every_preset_says_what_it_lacks(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GASP_OFFLINE", "1")
    monkeypatch.setenv("GASP_CWD", str(tmp_path))
    assert infer2021.main(["--infer_config", name]) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("gasp: error:")
    assert "Traceback" not in said


def test_wrong_presets_are_answered(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert infer2021.main(["--infer_config", "InferMetricGASP"]) == 2
    assert "did you mean 'InferMetricsGASP'" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "x.json").write_text(json.dumps({"raeder": "DIEMSampleReader"}))
    assert infer2021.main(["--infer_config_file", "x.json"]) == 2
    assert "did you mean 'reader'" in " ".join(capsys.readouterr().err.split())
    preset = inference_preset("InferMetricsGASP") | {"reader": "DIEMReader"}
    with pytest.raises(UsageError, match="did you mean 'DIEMSampleReader'"):
        plan_of(preset, "mine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width = 0 should be between"),
        ({"stride": -1}, "stride = -1"),
        ({"inference_properties": {"color_map": "jett"}}, "did you mean 'jet'"),
        ({"metrics_list": ["aucjj"]}, "did you mean 'aucj'"),
        ({"metrics_mappings": {"gt_salmap": "x"}}, "lacks gt_fixmap"),
        ({"metrics_save_file": "logs"}, "CSV file"),
        ({"device": "cudaa"}, "unknown device"),
        ({"realtime_capture": True}, "realtime_capture is not part"),
        ({"width": None}, "width = None should be a whole number"),
        ({"write_videos": 1}, "write_videos = 1 should be true or false"),
        ({"metrics_list": ["cc", 3]}, "metrics_list = .* should be a list of texts"),
        ({"metrics_mappings": {"gt_salmap": 3, "gt_fixmap": "x"}}, "metrics_mappings: gt_salmap = 3"),
        ({"datasplitter_properties": {"test_csv_file": 3}}, "test_csv_file = 3 should be a text"),
        ({"model_groups": [["GASPInference"]]}, r"model_groups\[0\]: GASPInference is not"),
        ({"model_groups": []}, "no model of model_groups draws"),
        (
            {
                "model_groups": [
                    [["GASPInference", 1, [0], {"inp_img_height": "a"}, {}, {"plot_override": ["x"]}]]
                ]
            },
            "plot_override = 'x' .* inp_img_height = 'a' should be a whole number",
        ),
        ({"reader": "DIEMSampleReader"}, "GASP is measured on stored frames"),
        ({"reader": "DIEMSampleReader", "compute_metrics": False}, "nothing is done with it"),
        ({"reader": "DIEMSampleReader", "write_images": True, "stride": 2}, "of every frame"),
    ],
)
def test_values_that_cannot_be_right_are_named_before_the_work(changes, message):
    with pytest.raises(UsageError, match=message):
        plan_of(inference_preset("InferMetricsGASP") | changes, "mine")


def test_every_wrong_value_is_named_at_once():
    changes = {"width": 0, "stride": -1, "metrics_list": ["aucjj"], "device": "cudaa"}
    with pytest.raises(UsageError) as raised:
        plan_of(inference_preset("InferMetricsGASP") | changes, "mine")
    for part in ("mine: ", "width = 0", "stride = -1", "aucjj", "unknown device"):
        assert part in str(raised.value)


@pytest.mark.parametrize("name", inference_presets())
def test_every_preset_with_a_reader_becomes_a_plan(name):
    preset = inference_preset(name)
    preset["reader"] = preset["reader"] or "Coutrot1SampleReader"
    preset["write_images"] |= not preset["compute_metrics"]
    plan = plan_of(preset, name, device="cuda:1")
    assert (plan.name, plan.device, plan.stride) == (name, "cuda:1", 1)
    assert plan.size == ((320, 512) if "FindWho" in name else (500, 500))
    assert (plan.metrics is not None) == preset["compute_metrics"]
    assert (plan.videos is not None) == preset["write_videos"]
    if plan.metrics is not None:
        assert plan.metrics.table == preset["metrics_save_file"]
        assert plan.model is not None
    if "Visualize" in name:
        assert plan.videos.overlay
        assert "det_transformed_gasp" in plan.model.shown


def test_a_preset_leaves_what_is_not_said_to_the_base():
    plan = plan_of({"reader": "DIEMSampleReader", "write_images": True}, "mine")
    assert plan.dataset == "diem"
    assert plan.maps.cues == ("dave", "esr9", "gaze360", "videogaze")
    assert plan.lists.test == "datasets/processed/test_ave.csv"
    assert plan.model is None


def test_a_stride_leaves_frames_out_of_the_tables(root):
    words = configure(
        root, "InferVisualizeGASPDAMGMU1x1Conv", compute_metrics=True, write_videos=False, stride=2
    )
    assert infer2021.main(words) == 0
    (row,) = csv.DictReader((root / "logs/metrics/default.csv").open())
    assert row["frames_len"] == "2", "frames 2 and 4 of 5"


def test_all_metrics_of_2021_can_be_asked_for():
    rng = np.random.default_rng(0)
    saliency, density = rng.integers(1, 255, (2, 40, 50), np.uint8)
    points = np.zeros((40, 50), bool)
    points[10, 10:13] = True
    for name, metric in METRICS.items():
        assert np.isfinite(metric(saliency, points, density, density)), name
    assert np.isnan(METRICS["aucs"](saliency, points, density, None))
