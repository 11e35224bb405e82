"""What an inference preset of 2021 asks for, in typed values: interpreted once, with every wrong value named."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2

from gasp.config.json2021 import find_problems
from gasp.config.pipelines import DETECTOR_NAMES
from gasp.config.presets2021 import Preset, inference_preset
from gasp.config.settings import PredictSettings
from gasp.datasets.sets import SETS
from gasp.errors import UsageError
from gasp.naming import nearest
from gasp.published.measures import METRICS
from gasp.published.values import Values
from gasp.weights.preprocessing import GASP_2021

logger = logging.getLogger(__name__)

STORED = "DataSampleReader"
"""The reader of stored frames."""

GASP = "GASPInference"

LARGEST = 8192

CUES = {
    "DAVEInference": "dave",
    "ESR9Inference": "esr9",
    "Gaze360Inference": "gaze360",
    "VideoGazeInference": "videogaze",
    "STAViSInference": "stavis",
    "TASEDInference": "tased",
    "UNISALInference": "unisal",
    "AViNetInference": "avinet",
}
"""Models of presets -> the cues that they are here."""

_BASE = "InferGeneratorAllModelsBase"
_OF_TRAINING = ("weights_file", "model_name", "batch_size", "frames_len", "checkpoint_file")
_SIDES = ("inp_img_height", "inp_img_width")


class Lists(NamedTuple):
    """Files with lists of videos, below the working directory or by the name of a published one."""

    train: str | None = None
    validation: str | None = None
    test: str | None = None


@dataclass(frozen=True, slots=True)
class GaspPlan:
    """GASP over stored maps.

    Attributes:
        window: Frames of the context; None: left to the training that goes before.
        inputs: Names of the stored images that the network takes, in order; None: likewise.
        network: Its class.
        options: Those of :func:`gasp.create_model`.
        weights: A key of 2021 or a name of ``gasp models``, or a file.
        size: (height, width) of its input.
        shown: Names of the images that become videos.
    """

    window: int | None
    inputs: tuple[str, ...] | None
    network: str
    options: Mapping[str, Any]
    weights: str
    size: tuple[int, int]
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CuePlan:
    """Another saliency network, which is the cue ``cue`` here; ``weights``: in place of the published ones."""

    cue: str
    weights: str | None
    window: int
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """What is measured.

    Attributes:
        names: Of metrics, in the order of columns.
        table: The CSV file, relative to the working directory or absolute.
        density: Name of the stored image that says how much people looked where.
        fixations: Name of the one that is white where they looked.
        baseline: A picture by its path below the working directory; without a slash, the name of a stored image whose
            mean over the window's other frames is the baseline; empty for none.
        gates: Whether gate scores are written beside the table.
    """

    names: tuple[str, ...]
    table: str
    density: str
    fixations: str
    baseline: str
    gates: bool


@dataclass(frozen=True, slots=True)
class DrawingPlan:
    """How videos are drawn: in which of OpenCV's colour maps a predicted map, and whether maps lie over the frame."""

    colours: str
    overlay: bool


@dataclass(frozen=True, slots=True)
class GeneratingPlan:
    """Which maps are written of every frame: those of ``cues``, with faces found by ``detector``."""

    cues: tuple[str, ...]
    detector: str


@dataclass(frozen=True, slots=True)
class InferencePlan:
    """What an inference preset asks for.

    Attributes:
        name: The preset's.
        dataset: The raw set that is read, a key of :data:`gasp.datasets.sets.SETS`; None: stored frames.
        device: What to compute on.
        lists: Of videos.
        listed_only: Whether only the videos of the lists are looked at.
        size: (height, width) of images and videos that are written, and of the truth that is drawn.
        stride: Every how many frames a prediction is measured and shown; networks see all frames.
        sound: Whether sound is used, where there is any.
        model: Whose map is measured and shown; None where maps are only generated.
        metrics: What is measured, if anything.
        videos: How videos of stored frames are drawn, if they are.
        maps: Which maps are generated of a raw set, if they are.
    """

    name: str
    dataset: str | None
    device: str
    lists: Lists
    listed_only: bool
    size: tuple[int, int]
    stride: int
    sound: bool
    model: GaspPlan | CuePlan | None
    metrics: MetricsPlan | None
    videos: DrawingPlan | None
    maps: GeneratingPlan | None


def plan_of(
    preset: Preset, name: str, *, device: str | None = None, compute_metrics: bool = False
) -> InferencePlan:
    """What a preset asks for.

    Args:
        preset: Keys and values as in the JSON files of 2021; keys that are left out are as in the base preset.
        name: The preset's, for messages.
        device: In place of the preset's.
        compute_metrics: Measure also where the preset does not say so.

    Raises:
        UsageError: Names every value that cannot be right.
    """
    base = inference_preset(_BASE)
    problems = find_problems(preset, base)
    if problems:
        raise UsageError(f"{name}: {'; '.join(problems)}")
    values = Values(base | preset, problems)
    plan = _interpret(values, name, device or values.text("device"), measures=compute_metrics)
    if problems:
        raise UsageError(f"{name}: {'; '.join(problems)}")
    return plan


def _interpret(values: Values, name: str, device: str, *, measures: bool) -> InferencePlan:
    """The plan; what is wrong with the values is noted in them."""
    dataset = _dataset(values, name)
    _say_what_is_left_out(values, name)
    values.problems += _wrong_device(device)
    measures = values.flag("compute_metrics") or measures
    generates = dataset is not None and values.flag("write_images")
    if dataset is not None and not (generates or measures):
        values.problems.append(
            f"{dataset} is read but nothing is done with it; set write_images or compute_metrics"
        )
    if dataset is not None and values.flag("write_videos"):
        logger.warning("%s: videos are written of stored frames only (reader %s)", name, STORED)
    width, height = values.whole("width", 1, LARGEST), values.whole("height", 1, LARGEST)
    stride = values.whole("stride", 1, 10**6)
    drawing = _drawing(values)
    model = _measured_model(values, name) if dataset is None or measures else None
    if dataset is not None and isinstance(model, GaspPlan):
        values.problems.append(f"GASP is measured on stored frames; set the reader {STORED}")
    return InferencePlan(
        name=name,
        dataset=dataset,
        device=device,
        lists=_lists(values.inner("datasplitter_properties")),
        listed_only=values.flag("process_dataset_videos_only"),
        size=(height, width),
        stride=stride,
        sound=values.flag("enable_audio"),
        model=model,
        metrics=_metrics(values) if measures else None,
        videos=drawing if dataset is None and values.flag("write_videos") else None,
        maps=_maps(values, stride) if generates else None,
    )


def _dataset(values: Values, name: str) -> str | None:
    """The raw set that the reader means; None for stored frames."""
    reader = values.text("reader")
    readers = {entry.reader: dataset for dataset, entry in SETS.items()}
    if not reader:
        raise UsageError(
            f"{name} names no reader: in gazenet/configs/infer_configs/{name}.json (written by `gasp_scripts --scripts "
            'generate_config_files`) set "reader" to that of raw videos with sound, one of '
            f'{", ".join(readers)}, or to "{STORED}" for stored frames without sound, and name the file with '
            "--infer_config_file"
        )
    if reader != STORED and reader not in readers:
        values.problems.append(f"there is no reader {reader!r}{nearest(reader, [*readers, STORED])}")
    return readers.get(reader)


def _say_what_is_left_out(values: Values, name: str) -> None:
    if values.flag("realtime_capture"):
        values.problems.append("realtime_capture is not part of this command")
    for key, what in (
        ("visualize_images", "windows are not shown"),
        ("write_annotations", "annotations are not written"),
    ):
        if values.flag(key):
            logger.info("%s: %s", name, what)


def _wrong_device(device: str) -> list[str]:
    try:
        PredictSettings.read({"device": device})
    except UsageError as error:
        return [str(error)]
    return []


def _lists(splitter: Values) -> Lists:
    return Lists(*(splitter.text(f"{part}_csv_file") or None for part in ("train", "val", "test")))


def _drawing(values: Values) -> DrawingPlan:
    known = [key.removeprefix("COLORMAP_").lower() for key in dir(cv2) if key.startswith("COLORMAP_")]
    _colours(values.inner("sampling_properties"), known)
    drawing = values.inner("inference_properties")
    return DrawingPlan(_colours(drawing, known), drawing.flag("enable_transform_overlays"))


def _colours(drawing: Values, known: list[str]) -> str:
    colours = drawing.text("color_map") or "jet"
    if colours.lower() not in known:
        drawing.problems.append(f"{drawing.where}there is no color_map {colours!r}{nearest(colours, known)}")
    return colours.lower()


def _metrics(values: Values) -> MetricsPlan:
    names = values.names("metrics_list")
    for metric in names:
        if metric not in METRICS:
            values.problems.append(f"metrics_list: there is no metric {metric!r}{nearest(metric, METRICS)}")
    mappings = values.inner("metrics_mappings")
    for role in ("gt_salmap", "gt_fixmap"):
        if not mappings.text(role):
            values.problems.append(f"metrics_mappings lacks {role}")
    table = values.text("metrics_save_file")
    if not table.endswith(".csv"):
        values.problems.append(f"metrics_save_file = {table!r} should be the name of a CSV file")
    return MetricsPlan(
        names=names,
        table=table,
        density=mappings.text("gt_salmap"),
        fixations=mappings.text("gt_fixmap"),
        baseline=mappings.text("gt_baseline"),
        gates="gate_scores" in mappings.names("scores_info"),
    )


# --- models ----------------------------------------------------------------------------------------------


def _models(values: Values) -> Iterator[tuple[str, int, Values, Values, Values]]:
    """Name, window, and options of network, pre-processing and post-processing."""
    for group in values.entries("model_groups"):
        for model in group:
            name, window, _, *options = model
            network, before, after = (Values(one, values.problems, f"{name}: ") for one in options)
            yield name, window, network, before, after


def _maps(values: Values, stride: int) -> GeneratingPlan:
    cues = dict.fromkeys(CUES[name] for name, *_ in _models(values) if name in CUES)
    if not cues:
        values.problems.append("model_groups names no model that draws a cue map")
    if stride != 1:
        values.problems.append(f"stride = {stride}: maps are generated of every frame")
    return GeneratingPlan(tuple(cues), _detector(values))


def _detector(values: Values) -> str:
    """The detector that a preset means: one of 2021, or one of ours by its name."""
    name = values.text("face_detector") or "none"
    if name in ("MTCNNFaceDetection", "DlibFaceDetection"):
        logger.warning("face_detector = %r is not offered; SFDFaceDetection (s3fd) is used", name)
        return "s3fd"
    if name == "SFDFaceDetection":
        return "s3fd"
    if name not in DETECTOR_NAMES:
        known = ["SFDFaceDetection", *DETECTOR_NAMES]
        values.problems.append(f"face_detector = {name!r}: there is none of this name{nearest(name, known)}")
    return name


def _measured_model(values: Values, name: str) -> GaspPlan | CuePlan | None:
    """The model whose map is measured or shown: GASP, or the one that draws ``pred_salmap``."""
    models = {model[0]: model for model in _models(values)}
    wanted = values.inner("metrics_mappings").text("pred_salmap").removeprefix("det_transformed_")
    chosen = GASP if GASP in models else next((key for key in models if CUES.get(key) == wanted), None)
    if chosen is None:
        values.problems.append(f"no model of model_groups draws pred_salmap = det_transformed_{wanted}")
        return None
    others = [key for key in models if key != chosen]
    if others:
        logger.info("%s: %s do not take part in what is measured", name, ", ".join(others))
    _, window, network, before, after = models[chosen]
    shown = tuple(image for row in after.rows("plot_override") for image in row)
    if chosen == GASP:
        return _gasp(window, network, before, shown)
    return CuePlan(CUES[chosen], _cue_weights(CUES[chosen], network), max(1, window), shown)


def _gasp(window: int, network: Values, before: Values, shown: tuple[str, ...]) -> GaspPlan:
    options = {key: value for key, value in network.items() if key not in _OF_TRAINING and key not in _SIDES}
    return GaspPlan(
        window=None if window == -1 else max(1, window),
        inputs=before.names("inp_img_names_list") or None,
        network=network.text("model_name") or "SequenceGASPDAMEncALSTMGMUConv",
        options=options,
        weights=network.text("checkpoint_file") or network.text("weights_file") or "seqdamalstmgmu",
        size=(
            network.whole("inp_img_height", 1, LARGEST, GASP_2021.height),
            network.whole("inp_img_width", 1, LARGEST, GASP_2021.width),
        ),
        shown=shown,
    )


def _cue_weights(cue: str, network: Values) -> str | None:
    """Those that a preset names; ``audiovisual`` false takes STAViS's visual ones."""
    named = network.text("weights_file") or None
    visual_only = cue == "stavis" and not network.flag("audiovisual", default=True)
    return "stavis-visual-split1" if named is None and visual_only else named
