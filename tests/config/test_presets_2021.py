from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from gasp import create_model
from gasp.config.json2021 import read_inference_file, read_training_file, write_preset, write_presets
from gasp.config.presets2021 import inference_preset, inference_presets, training_preset, training_presets
from gasp.datasets.split import read_split
from gasp.errors import InputError, UsageError

EXAMPLES = sorted((Path(__file__).parent.parent / "data" / "presets2021").glob("*.json"))


def read(path):
    return (read_inference_file if path.name.startswith("Infer") else read_training_file)(path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_published_files_are_the_presets(path):
    preset = (inference_preset if path.name.startswith("Infer") else training_preset)(path.stem)
    assert preset == json.loads(path.read_text())
    assert read(path) == preset


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_published_files_are_written_as_they_were(path, tmp_path):
    write_preset(tmp_path / path.name, read(path))
    assert (tmp_path / path.name).read_text().strip() == path.read_text().strip()


def test_every_preset_is_written_and_reads_back_equal(tmp_path):
    written = write_presets(tmp_path)
    assert Counter(path.parent.name for path in written) == {"train_configs": 134, "infer_configs": 17}
    for path in written:
        preset = (inference_preset if path.parent.name == "infer_configs" else training_preset)(path.stem)
        assert read(path) == preset if path.name.startswith("Infer") else read_training_file(path) == preset


def test_how_many_there_are():
    families = Counter(name[:10] for name in training_presets())
    assert families == {
        "GASPExp001": 10,
        "GASPExp002": 96,
        "GASPExp003": 5,
        "GASPExp004": 21,
        "TrainerBas": 1,
        "TrainPlayg": 1,
    }
    assert len(set(training_presets())) == 134


@pytest.mark.parametrize("name", training_presets()[1:])
def test_a_training_preset_fits_together(name):
    preset = training_preset(name)
    options = preset["model_properties"]
    for part in ("train", "val", "test"):
        data = preset[f"{part}_dataset_properties"]
        assert len(data["inp_img_names_list"]) == options["modalities"]
        assert len(read_split(data["csv_file"]).only()) > 0
        assert data["gt_img_names_list"] == ["transformed_salmap", "transformed_fixmap"]
    assert preset["checkpoint_model_dir"].endswith(preset["experiment_name"].lower())
    if name.startswith("GASPExp002"):
        assert str(options["sequence_len"]) == name.removesuffix("Norm").rpartition("_")[2]


def test_the_ablation_leaves_out_what_its_flags_say():
    preset = training_preset("GASPExp004_SeqDAMGMUALSTM1x1Conv_8Norm_101")
    assert preset["model_properties"] == {
        "modalities": 4,
        "batch_size": 4,
        "sequence_len": 8,
        "sequence_norm": True,
    }
    assert preset["train_dataset_properties"]["inp_img_names_list"] == [
        "captured", "det_transformed_dave", "det_transformed_esr9", "det_transformed_gaze360",
    ]  # fmt: skip


def test_other_predictors_are_tested_or_trained_on_their_maps():
    tased = training_preset("GASPExp003_SeqDAMALSTMGMU1x1Conv_10Norm_TASED")
    assert tased["train_dataset_properties"]["inp_img_names_list"][1] == "det_transformed_dave"
    assert tased["test_dataset_properties"]["inp_img_names_list"][1] == "det_transformed_tased"
    stavis = training_preset("GASPExp003_SeqDAMALSTMGMU1x1Conv_10Norm_STAViS_2")
    assert stavis["train_dataset_properties"]["inp_img_names_list"][1] == "det_transformed_stavis"
    assert stavis["val_dataset_properties"]["csv_file"].endswith("test_stavis_2.csv")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GASPExp001_1x1Conv", "GASPExp001_DAMGMU1x1Conv"])
def test_networks_of_presets_can_be_made(name):
    preset = training_preset(name)
    options = {key: value for key, value in preset["model_properties"].items() if key != "batch_size"}
    create_model(preset["model_name"], **options)


def test_inference_presets_by_kind():
    kinds = Counter(name.split("Infer")[1][:7] for name in inference_presets())
    assert kinds == {"Generat": 5, "Metrics": 8, "Visuali": 4}
    assert inference_preset("InferVisualizeGASPDAMGMU1x1Conv")["max_w_size"] == 1
    assert inference_preset("InferMetricsTASED_VisOnly")["model_groups"][0][0][1:3] == [32, [31]]
    assert inference_preset("InferGeneratorFindWho")["width"] == 512


def test_presets_are_copies():
    inference_preset("InferMetricsGASP")["metrics_list"].clear()
    assert inference_preset("InferMetricsGASP")["metrics_list"]


def test_a_typo_is_answered_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'InferMetricsGASP'"):
        inference_preset("InferMetricGASP")
    with pytest.raises(UsageError, match="did you mean 'GASPExp002_SeqDAMALSTMGMU1x1Conv_10Norm'"):
        training_preset("GASPExp002_SeqDAMALSTMGMU1x1Conv10Norm")


def test_keys_that_a_file_leaves_out_keep_the_base(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"width": 320}')
    assert read_inference_file(path) == inference_preset("InferGeneratorAllModelsBase") | {
        "width": 320,
        "config_info": {},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"widht": 3}', "did you mean 'width'"),
        ('{"width": "3"}', "width = '3' should be a whole number"),
        ('{"write_images": 1}', "should be true or false"),
        (
            '{"metrics_mappings": {"pred_salmp": ""}}',
            "metrics_mappings has no key 'pred_salmp'; did you mean",
        ),
        ('{"model_groups": [[["DaveInference", 16, [15], {}, {}, {}]]]}', "did you mean 'DAVEInference'"),
        ('{"model_groups": [[["DAVEInference", 16, [15]]]]}', r"model_groups\[0\]"),
        ('{"model_groups": [[["DAVEInference", 16, [15], {}, {}, {"keep_vido": 1}]]]}', "keep_video"),
        ('{"reader": 3, "heigth": 1}', "height.*reader = 3"),
    ],
)
def test_wrong_keys_are_named(text, message, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_inference_file(path)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100000, "{'a': 1}", '{"a": 1, "a": 2}'])
def test_what_is_no_preset_is_refused(text, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises((InputError, UsageError), match=r"mine\.json"):
        read_training_file(path)
    with pytest.raises(InputError, match="does not exist"):
        read_training_file(tmp_path / "none.json")


def test_presets_are_shown_as_yaml(capsys):
    import yaml

    from gasp.cli.main import main

    assert main(["presets", "show", "InferMetricsGASP"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == inference_preset("InferMetricsGASP")
