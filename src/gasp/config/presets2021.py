"""The training and inference presets of 2021 by their names, made from small tables.

A preset is plain data with the keys of the 2021 JSON files (see :mod:`gasp.config.json2021` for reading those). Two
things differ from what was published, where that could not work: InferMetricsGASP carries the options of the best
network (M = 5, T = 10, norm), and nothing refers to the stale picture name ``det_transformed_gazenet``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal

from gasp.errors import UsageError
from gasp.naming import nearest

Preset = dict[str, Any]

PROCESSED = "datasets/processed"
FRAMES = f"{PROCESSED}/Grouped_frames"
TARGETS = ("transformed_salmap", "transformed_fixmap")
INPUTS = (
    "captured",
    "det_transformed_dave",
    "det_transformed_esr9",
    "det_transformed_vidgaze",
    "det_transformed_gaze360",
)
CHECKPOINTS = "gazenet/models/saliency_prediction/gasp/checkpoints"

CONTEXT_SIZES = (2, 4, 6, 8, 10, 12, 14, 16)

# --- training --------------------------------------------------------------------------------------------

_STATIC = {
    # preset: class, label of the paper
    "1x1Conv": ("GASPEncConv", "Convolution"),
    "Add1x1Conv": ("GASPEncAddConv", "Additive"),
    "SE1x1Conv": ("GASPSEEncConv", "SE"),
    "ALSTM1x1Conv": ("GASPEncALSTMConv", "ALSTM"),
    "GMU1x1Conv": ("GASPEncGMUConv", "GMU"),
    "GMUALSTM1x1Conv": ("GASPEncGMUALSTMConv", "AGMU"),
    "ALSTMGMU1x1Conv": ("GASPEncALSTMGMUConv", "LAGMU"),
    "DAMGMU1x1Conv": ("GASPDAMEncGMUConv", "DAM + GMU"),
    "DAMGMUALSTM1x1Conv": ("GASPDAMEncGMUALSTMConv", "DAM + AGMU"),
    "DAMALSTMGMU1x1Conv": ("GASPDAMEncALSTMGMUConv", "DAM + LAGMU"),
}
_SEQUENTIAL = {
    "SeqALSTM1x1Conv": ("SequenceGASPEncALSTMConv", "ALSTM"),
    "SeqALSTMGMU1x1Conv": ("SequenceGASPEncALSTMGMUConv", "LARGMU"),
    "SeqGMUALSTM1x1Conv": ("SequenceGASPEncGMUALSTMConv", "ARGMU"),
    "SeqDAMGMUALSTM1x1Conv": ("SequenceGASPDAMEncGMUALSTMConv", "DAM + ARGMU"),
    "SeqDAMALSTMGMU1x1Conv": ("SequenceGASPDAMEncALSTMGMUConv", "DAM + LARGMU"),
}
_RECURRENT = {
    "SeqRGMU1x1Conv": ("SequenceGASPEncRGMUConv", "RGMU"),
    "SeqDAMRGMU1x1Conv": ("SequenceGASPDAMEncRGMUConv", "DAM + RGMU"),
}
_ABLATIONS = (("SeqDAMGMUALSTM1x1Conv", 8), ("SeqDAMGMUALSTM1x1Conv", 10), ("SeqDAMALSTMGMU1x1Conv", 10))


def _training_presets() -> Iterator[tuple[str, Preset]]:
    yield "TrainerBase", _empty_training()
    yield "TrainPlayground001", _playground()
    for suffix, (network, label) in _STATIC.items():
        yield _experiment(f"GASPExp001_{suffix}", network, {}, f"Static GASP: {label} variant.")
    legend = "Exp_Variant_[N]{Norm} ->N: Context size; Norm: Enable temporal normalization;"
    for suffix, (network, label) in _SEQUENTIAL.items():
        for size in CONTEXT_SIZES:
            for norm in (False, True):
                yield _experiment(
                    f"GASPExp002_{suffix}_{size}{'Norm' if norm else ''}",
                    network,
                    {"sequence_len": size, "sequence_norm": norm},
                    f"Sequential GASP: {label} variant. {legend}",
                )
    for suffix, (network, label) in _RECURRENT.items():
        for size in CONTEXT_SIZES:
            yield _experiment(
                f"GASPExp002_{suffix}_{size}",
                network,
                {"sequence_len": size, "in_channels": 3},
                f"Sequential GASP: {label} variant. Exp_Variant_[N] ->N: Context size;",
            )
    yield from _other_predictors()
    yield from _ablation_presets()


def _other_predictors() -> Iterator[tuple[str, Preset]]:
    """GASPExp003: maps of another saliency predictor in DAVE's place."""
    suffix, size = "SeqDAMALSTMGMU1x1Conv", 10
    network, label = _SEQUENTIAL[suffix]
    options = {"sequence_len": size, "sequence_norm": True}
    for predictor in ("TASED", "UNISAL", "STAViS_1", "STAViS_2", "STAViS_3"):
        name, _, fold = predictor.partition("_")
        inputs = tuple(f"det_transformed_{name.lower()}" if "dave" in one else one for one in INPUTS)
        splits = (f"train_stavis_{fold}", f"test_stavis_{fold}", f"test_stavis_{fold}") if fold else _SPLITS
        yield _experiment(
            f"GASPExp003_{suffix}_{size}Norm_{predictor}",
            network,
            options,
            f"Sequential GASP: {label} (Context Size = {size}) variant with {predictor} as the saliency predictor.",
            # TASED and UNISAL are only tested on their maps: their networks learn with DAVE's.
            inputs=inputs if fold else INPUTS,
            test_inputs=inputs,
            splits=splits,
        )


def _ablation_presets() -> Iterator[tuple[str, Preset]]:
    """GASPExp004: flags for gaze estimation, gaze following and facial expression."""
    for suffix, size in _ABLATIONS:
        network, label = _SEQUENTIAL[suffix]
        for number in range(7):
            flags = dict(zip(("gaze360", "vidgaze", "esr9"), f"{number:03b}", strict=True))
            inputs = tuple(one for one in INPUTS if flags.get(one.rpartition("_")[2], "1") == "1")
            shown = "".join(
                f"{{{key}: {flags[cue] == '1'}}}" for key, cue in zip(("GE", "GF", "FER"), flags, strict=True)
            )
            yield _experiment(
                f"GASPExp004_{suffix}_{size}Norm_{number:03b}",
                network,
                {"sequence_len": size, "sequence_norm": True},
                f"Sequential GASP: {label} (Context Size = {size}) variant. Exp_variant_{shown}.",
                inputs=inputs,
            )


_SPLITS = ("train_ave", "validation_ave", "test_ave")


def _experiment(
    name: str,
    network: str,
    options: dict[str, Any],
    summary: str,
    *,
    inputs: tuple[str, ...] = INPUTS,
    test_inputs: tuple[str, ...] = (),
    splits: tuple[str, str, str] = _SPLITS,
) -> tuple[str, Preset]:
    tests = test_inputs or inputs
    preset = _empty_training() | {
        "checkpoint_model_dir": f"{CHECKPOINTS}/pretrained_{network.lower()}",
        "experiment_name": network,
        "inferer_name": "GASPInference",
        "log_dir": "logs",
        "logger": "comet",
        "model_name": network,
        "model_properties": {"modalities": len(inputs), "batch_size": 4, **options},
        "project_name": "gasp_runs",
        "train_dataset_properties": _data(splits[0], inputs),
        "val_dataset_properties": _data(splits[1], inputs),
        "test_dataset_properties": _data(splits[2], tests),
        "config_info": {"summary": summary, "example": _example(name, 100, 10000, 3)},
    }
    return name, preset


def _playground() -> Preset:
    network = "SequenceGASPEncALSTMGMUConv"
    _, preset = _experiment("TrainPlayground001", network, {"sequence_len": 5, "sequence_norm": False}, "")
    del preset["model_properties"]["batch_size"]
    return preset | {
        "experiment_name": f"{network}_TRAINONLY_BADVAL",
        "checkpoint_model_dir": f"{CHECKPOINTS}/pretrained_{network.lower()}_trainonly_badval",
        "project_name": "testing_gasp",
        "config_info": {
            "summary": "A place to try out training.",
            "example": _example("TrainPlayground001", 500, 5000, 3, period=1000),
        },
    }


def _empty_training() -> Preset:
    """TrainerBase: the keys of every training preset."""
    names = ("experiment_name", "inferer_name", "log_dir", "logger", "model_name", "project_name")
    data = ("train_dataset_properties", "val_dataset_properties", "test_dataset_properties")
    return (
        {"checkpoint_model_dir": ""}
        | dict.fromkeys(names, "")
        | {"model_properties": {}}
        | {key: {} for key in data}
        | {"config_info": {"summary": "The empty base of training presets.", "example": ""}}
    )


def _data(split: str, inputs: tuple[str, ...]) -> dict[str, Any]:
    return {
        "csv_file": f"{PROCESSED}/{split}.csv",
        "video_dir": FRAMES,
        "inp_img_names_list": list(inputs),
        "gt_img_names_list": list(TARGETS),
    }


def _example(name: str, every: int, epochs: int, best: int, period: int | None = None) -> str:
    return (
        f'python3 gazenet/bin/train.py --train_config {name} --gpus "0" --check_val_every_n_epoch {every} '
        f"--max_epochs {epochs} --checkpoint_save_every_n_epoch {period or every} --checkpoint_save_n_top {best}"
    )


# --- inference -------------------------------------------------------------------------------------------

_DETECTED = {
    # model: window, source, pictures
    "DAVEInference": (16, 15, ("captured", *TARGETS, "det_transformed_dave")),
    "ESR9Inference": (16, 15, ("det_source_esr9", "det_transformed_esr9")),
    "Gaze360Inference": (7, 3, ("det_transformed_gaze360",)),
    "VideoGazeInference": (7, 3, ("det_transformed_vidgaze",)),
}
_POST = {"keep_properties": False, "keep_audio": False, "keep_plot_frames_only": True, "resize_frames": True}
_SOCIAL_ONLY = "Only dataset samples (Social) are generated. "
_STAVIS_GROUP = ("STAViSInference", 16, 15)


def _model(name: str, window: int, source: Any, pictures: tuple[str, ...], **more: Any) -> list[Any]:
    """(name, window, source indices, network options, pre-processing options, post-processing options)."""
    indices = source if source == -1 else [source]
    post = {**_POST, "plot_override": [list(pictures)]}
    return [name, window, indices, more.get("network", {}), more.get("pre", {}), post]


def _cue_models(*names: str) -> list[list[Any]]:
    return [_model(name, *_DETECTED[name]) for name in names]


def _base(models: list[list[Any]], summary: str, **changes: Any) -> Preset:
    preset: Preset = {
        "audio_features": {
            "audio_features": "MFCCAudioFeatures",
            "hann_audio_frames": "WindowedAudioFeatures",
        },
        "compute_metrics": False,
        "datasplitter_properties": _splitter(*_SPLITS),
        "device": "cpu",
        "enable_audio": True,
        "face_detector": "SFDFaceDetection",
        "height": 500,
        "inference_properties": _drawing("jet", "show_det_saliency_map"),
        "max_w_size": 16,
        "metrics": "SaliencyPredictionMetrics",
        "metrics_list": ["aucj", "aucs", "cc", "nss", "sim"],
        "metrics_mappings": {
            "gt_salmap": "transformed_salmap",
            "gt_fixmap": "transformed_fixmap",
            "pred_salmap": "",
            "gt_baseline": f"{PROCESSED}/center_bias_bw.jpg",
            "scores_info": ["gate_scores"],
        },
        "metrics_save_file": "logs/metrics/default.csv",
        "model_groups": [models],
        "n_jobs": [len(models) + 2],
        "play_audio": False,
        "postproc_properties": dict(_POST),
        "process_dataset_videos_only": True,
        "reader": "",
        "reader_properties": {},
        "realtime_capture": False,
        "sampler": "",
        "sampler_properties": {},
        "sampling_properties": _drawing("bone", "show_fixation_locations", "show_saliency_map"),
        "stride": 1,
        "visualize_images": False,
        "width": 500,
        "write_annotations": False,
        "write_images": False,
        "write_videos": False,
        "config_info": {"summary": summary},
    }
    return preset | changes


def _drawing(colours: str, *shown: str, overlays: bool = False) -> dict[str, Any]:
    return {**dict.fromkeys(shown, True), "enable_transform_overlays": overlays, "color_map": colours}


def _splitter(train: str | None, val: str | None, test: str | None) -> dict[str, Any]:
    files = {"train_csv_file": train, "val_csv_file": val, "test_csv_file": test}
    return {key: f"{PROCESSED}/{name}.csv" if name else None for key, name in files.items()}


def _inference_presets() -> Iterator[tuple[str, Preset]]:
    yield from _generators()
    yield from _metrics_presets()
    yield from _visualisations()


def _generators() -> Iterator[tuple[str, Preset]]:
    generates = f"This generates the datasets images needed for a majority of the experiments. {_SOCIAL_ONLY}"
    models = _cue_models(*_DETECTED)
    yield "InferGeneratorAllModelsBase", _base(models, "This is the base of all inference presets.")
    for name, reader, sampler in (
        ("Coutrot1", "Coutrot1SampleReader", "CoutrotSample"),
        ("Coutrot2", "Coutrot2SampleReader", "CoutrotSample"),
        ("DIEM", "DIEMSampleReader", "DIEMSample"),
    ):
        summary = f"{generates}It runs the 4 social cue modalities for {name}. "
        preset = _base(models, summary, reader=reader, sampler=sampler, write_images=True)
        yield f"InferGeneratorAllModels{name}", preset
    yield (
        "InferGeneratorFindWho",
        _base(
            _cue_models("DAVEInference", "ESR9Inference", "Gaze360Inference"),
            "This generates the images and annotations of FindWho. All videos are generated. ",
            reader="FindWhoSampleReader",
            sampler="FindWhoSample",
            width=512,
            height=320,
            process_dataset_videos_only=False,
            visualize_images=True,
            write_images=True,
            write_annotations=True,
        ),
    )


_BEST = {"modalities": 5, "batch_size": 1, "sequence_len": 10, "sequence_norm": True}


def _metrics_presets() -> Iterator[tuple[str, Preset]]:
    reads = {"reader": "DataSampleReader", "sampler": "DataSample"}
    targets = _drawing("bone", "show_fixation_locations", "show_saliency_map") | {
        "img_names_list": list(TARGETS)
    }
    gasp = ("captured", *TARGETS, "det_transformed_gasp")
    pictures = targets | {"img_names_list": [*TARGETS, *INPUTS[1:]]}
    splitter = {"datasplitter_properties": _splitter(None, None, "test_ave")}
    best = _model(
        "GASPInference", 10, 9, gasp,
        network={"weights_file": "seqdamalstmgmu", **_BEST}, pre={"inp_img_names_list": list(INPUTS)},
    )  # fmt: skip
    yield (
        "InferMetricsGASP",
        _measuring(
            "GASP", "gasp", "defaultgazenet", [best], **reads, **splitter, sampling_properties=pictures
        ),
    )
    trained = _model("GASPInference", -1, -1, gasp, pre={"inp_img_names_list": None})
    yield (
        "InferMetricsGASPTrain",
        _measuring(
            "GASP", "gasp", "defaultgasp", [trained], **reads, **splitter, sampling_properties=targets
        ),
    )
    others = _cue_models("ESR9Inference", "Gaze360Inference", "VideoGazeInference")
    for name, window, audiovisual in (
        ("STAViS", 16, True),
        ("DAVE", 16, True),
        ("TASED", 32, False),
        ("UNISAL", 12, False),
    ):
        key = name.lower()
        shown = ("captured", *TARGETS, f"det_transformed_{key}")
        model = _model(f"{name}Inference", window, window - 1, shown)
        if audiovisual:
            yield f"InferMetrics{name}", _measuring(name, key, f"default{key}", [model, *others])
        file = "defaultunisals_vis" if name == "UNISAL" else f"default{key}_vis"
        visual = copy.deepcopy(model)
        if name == "STAViS":
            visual[3] = {"audiovisual": False}
        preset = _measuring(
            f"{name} (visual only)", key, file, [visual], **reads, sampling_properties=targets,
            # Sound is what these leave out; the largest window must fit.
            enable_audio=False, max_w_size=max(16, window),
        )  # fmt: skip
        yield f"InferMetrics{name}_VisOnly", preset


def _measuring(name: str, key: str, file: str, models: list[list[Any]], **changes: Any) -> Preset:
    preset = _base(
        models, f"This measures the saliency metrics on {name}. {_SOCIAL_ONLY}", compute_metrics=True
    )
    preset["inference_properties"] = _drawing("bone", "show_det_saliency_map")
    preset["metrics_mappings"]["pred_salmap"] = f"det_transformed_{key}"
    preset["metrics_save_file"] = f"logs/metrics/{file}.csv"
    return preset | changes


def _visualisations() -> Iterator[tuple[str, Preset]]:
    reordered = ("esr9", "dave", "vidgaze", "gaze360", "gasp")
    usual = ("dave", "esr9", "vidgaze", "gaze360", "gasp")
    without = ("dave", "vidgaze", "gaze360", "gasp")
    damgmu = {
        "weights_file": "damgmu",
        "model_name": "GASPDAMEncGMUConv",
        "modalities": 5,
        "batch_size": 1,
        "frames_len": 1,
    }
    argmu = {"weights_file": "seqdamgmualstm", "model_name": "SequenceGASPDAMEncGMUALSTMConv", **_BEST}
    yield _visualisation(
        "SeqDAMALSTMGMU1x1Conv_10Norm",
        "sequential GASP model (DAM + LARGMU; Context Size = 10)",
        10,
        reordered,
        {"weights_file": "seqdamalstmgmu", **_BEST},
    )
    yield _visualisation(
        "SeqDAMALSTMGMU1x1Conv_10Norm_110",
        "sequential GASP model (DAM + LARGMU; Context Size = 10) without facial expressions",
        10,
        without,
        {"weights_file": "seqdamalstmgmu_110nofer", **_BEST, "modalities": 4},
    )
    yield _visualisation("DAMGMU1x1Conv", "static GASP model (DAM + GMU)", 1, usual, damgmu)
    yield _visualisation(
        "SeqDAMGMUALSTM1x1Conv_10Norm",
        "sequential GASP model (DAM + ARGMU; Context Size = 10)",
        10,
        usual,
        argmu,
    )


def _visualisation(
    name: str, what: str, window: int, shown: tuple[str, ...], network: dict[str, Any]
) -> tuple[str, Preset]:
    inputs = [one for one in INPUTS if one.rpartition("_")[2] in (*shown, "captured")]
    pictures = ("transformed_fixmap", *(f"det_transformed_{cue}" for cue in shown))
    model = _model(
        "GASPInference", window, window - 1, pictures, network=network, pre={"inp_img_names_list": inputs}
    )
    preset = _base(
        [model],
        f"This visualizes the {what}",
        reader="DataSampleReader",
        sampler="DataSample",
        datasplitter_properties=_splitter("test_ave", None, None),
        max_w_size=window,
        visualize_images=True,
        write_videos=True,
        inference_properties=_drawing("jet", "show_det_saliency_map", overlays=True),
        sampling_properties=_drawing("jet", "show_fixation_locations", "show_saliency_map", overlays=True)
        | {"img_names_list": [*TARGETS, *inputs[1:]]},
    )
    preset["metrics_mappings"]["pred_salmap"] = "det_transformed_dave"
    return f"InferVisualizeGASP{name}", preset


# --- by name ---------------------------------------------------------------------------------------------

_TRAINING = dict(_training_presets())
_INFERENCE = dict(_inference_presets())


def training_presets() -> list[str]:
    """Names of the training presets, in the order of the experiments."""
    return list(_TRAINING)


def inference_presets() -> list[str]:
    """Names of the inference presets."""
    return list(_INFERENCE)


def summaries(kind: Literal["training", "inference"]) -> dict[str, str]:
    """What each training or inference preset is for, in a sentence, by its name."""
    presets = _TRAINING if kind == "training" else _INFERENCE
    return {name: preset["config_info"]["summary"] for name, preset in presets.items()}


def training_preset(name: str) -> Preset:
    """A copy of the training preset of this name. Raises :class:`~gasp.errors.UsageError` for an unknown one."""
    return _find(name, _TRAINING, "training")


def inference_preset(name: str) -> Preset:
    """A copy of the inference preset of this name. Raises :class:`~gasp.errors.UsageError` for an unknown one."""
    return _find(name, _INFERENCE, "inference")


def find_preset(name: str) -> Preset | None:
    """A copy of the training or inference preset of this name; None when there is none."""
    preset = _TRAINING.get(name) or _INFERENCE.get(name)
    return copy.deepcopy(preset)


def _find(name: str, presets: dict[str, Preset], kind: str) -> Preset:
    if name not in presets:
        raise UsageError(f"there is no {kind} preset {name!r}{nearest(name, presets, most=6)}")
    return copy.deepcopy(presets[name])
