"""One inference preset, from its videos to its results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.config.pipelines import DETECTORS
from gasp.config.presets2021 import FRAMES, PROCESSED, Preset
from gasp.config.settings import PredictSettings
from gasp.datasets.grouped import (
    CAPTURED,
    GroupedFrames,
    GroupedVideo,
    picture_name,
)
from gasp.datasets.sets import SETS, open_set
from gasp.datasets.split import SplitRow, read_split
from gasp.datasets.video_set import VideoSet
from gasp.errors import GaspError, InputError, UsageError
from gasp.naming import nearest
from gasp.pipeline.pipeline import Networks, choose_device
from gasp.published.checks import check_preset
from gasp.published.fused import fuse_video, load_network, read_colours
from gasp.published.metric_table import VideoTable
from gasp.published.other_networks import network_settings, predict_recorded, predict_stored
from gasp.published.truth import RecordedTruth, StoredTruth
from gasp.published.videos import VideoWriters, colour, draw_map
from gasp.results.grouped import Report
from gasp.results.grouped_settings import GenerateSettings
from gasp.runs.processes import generate

logger = logging.getLogger(__name__)

RATE = 25.0
"""Frames per second of stored frames that no list names."""

_CUES = {
    "DAVEInference": "dave",
    "ESR9Inference": "esr9",
    "Gaze360Inference": "gaze360",
    "VideoGazeInference": "videogaze",
    "STAViSInference": "stavis",
    "TASEDInference": "tased",
    "UNISALInference": "unisal",
    "AViNetInference": "avinet",
}


@dataclass
class InferenceSummary:
    """How it went, in sentences; and videos that failed with the reason."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def run_inference(
    preset: Preset,
    name: str,
    root: str | Path = ".",
    *,
    device: str | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    frames: str | Path = FRAMES,
    report: Report = lambda name, done, total: None,
) -> InferenceSummary:
    """Runs an inference preset in the working directory ``root``.

    ``device`` replaces the preset's. ``frames``: the folder of stored frames, relative to ``root``. Raises
    :class:`~gasp.errors.GaspError` when nothing can be done; a video that fails is named in the summary.
    """
    root = Path(root)
    reader = str(preset.get("reader") or "")
    readers = {entry.reader: dataset for dataset, entry in SETS.items()}
    if not reader:
        raise UsageError(
            f"{name} names no reader: in gazenet/configs/infer_configs/{name}.json (written by `gasp_scripts --scripts "
            'generate_config_files`) set "reader" to that of raw videos with sound, one of '
            f'{", ".join(readers)}, or to "DataSampleReader" for stored frames without sound, and name the file with '
            "--infer_config_file"
        )
    _say_what_is_left_out(preset, name)
    chosen = str(device or preset["device"])
    check_preset(preset, name, chosen)
    if reader in readers:
        recorded = _Recorded(
            preset, name, root, open_set(readers[reader], root=root, kernel="2021"), chosen, report
        )
        return recorded.run(jobs, overwrite)
    if reader != "DataSampleReader":
        raise UsageError(
            f"{name}: there is no reader {reader!r}{nearest(reader, [*readers, 'DataSampleReader'])}"
        )
    return _look_at_frames(preset, name, root, root / frames, chosen, report)


def _say_what_is_left_out(preset: Preset, name: str) -> None:
    if preset.get("realtime_capture"):
        raise UsageError(f"{name}: realtime_capture is not part of this command")
    for key, what in (
        ("visualize_images", "windows are not shown"),
        ("write_annotations", "annotations are not written"),
    ):
        if preset.get(key):
            logger.info("%s: %s", name, what)


# --- raw sets --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recorded:
    """What is done with the videos of a raw set."""

    preset: Preset
    name: str
    root: Path
    videos: VideoSet
    device: str
    report: Report

    def run(self, jobs: int, overwrite: bool) -> InferenceSummary:
        """Writes pictures, or measures, or both."""
        if not (self.preset.get("write_images") or self.preset.get("compute_metrics")):
            raise UsageError(
                f"{self.name} reads {self.videos.name} but does nothing with it; set write_images or compute_metrics"
            )
        if self.preset.get("write_videos"):
            logger.warning(
                "%s: videos are written of stored frames only (reader DataSampleReader)", self.name
            )
        names, summary = self._names(), InferenceSummary()
        if self.preset.get("write_images"):
            self._generate(names, jobs, overwrite, summary)
        if self.preset.get("compute_metrics"):
            self._measure([name for name in names if self._label(name) not in summary.failed], summary)
        return summary

    def _label(self, video: str) -> str:
        return f"{self.videos.name}/{video}"

    def _names(self) -> list[str]:
        """The videos of the preset's lists; all where it does not keep to them."""
        names = self.videos.ids
        if self.preset.get("process_dataset_videos_only", True):
            listed = _listed(self.preset, self.root)
            wanted = {row.video_id for row in listed if row.dataset == self.videos.name}
            _name_missing(f"{self.name}: {self.videos.name}", sorted(wanted - set(names)))
            names = [video for video in names if video in wanted]
        if not names:
            raise InputError(f"{self.name}: {self.videos.folder} holds no video of the preset's lists")
        return names

    def _generate(self, names: list[str], jobs: int, overwrite: bool, summary: InferenceSummary) -> None:
        settings = generator_settings(self.preset, self.device)
        if _stride(self.preset) != 1:
            raise UsageError(
                f"{self.name}: stride = {self.preset['stride']}: maps are generated of every frame"
            )
        done = generate(
            self.videos,
            names,
            self.root / PROCESSED,
            settings,
            GenerateSettings(size=_size(self.preset)),
            jobs=jobs,
            overwrite=overwrite,
            report=self.report,
        )
        frames = sum(video.frames for video in done.done)
        unchanged = sum(video.unchanged for video in done.done)
        summary.done.append(
            f"{self.videos.name}: {len(done.done) - unchanged} videos generated ({frames} frames), "
            f"{unchanged} were there"
        )
        summary.failed |= done.failed

    def _measure(self, names: list[str], summary: InferenceSummary) -> None:
        model = _measured_model(self.preset, self.name)
        if model[0] == "GASPInference":
            raise UsageError(
                f"{self.name}: GASP is measured on stored frames; set the reader DataSampleReader"
            )
        cue, sound = _CUES[model[0]], bool(self.preset.get("enable_audio", True))
        settings = network_settings(cue, model[3], self.device, sound=sound)
        networks = Networks.load(settings)
        for name in names:
            try:
                video = self.videos.video(name)
                truth = RecordedTruth(
                    self.videos, name, self.preset["metrics_mappings"], self.root, _size(self.preset)
                )
                table = VideoTable(truth, self.preset["metrics_list"])
                for number, saliency in predict_recorded(video.path, cue, settings, networks):
                    if number % _stride(self.preset) == 0:
                        table.add(number, saliency, None)
                    self.report(self._label(name), number, max(number, video.frames))
                summary.done.append(_written(table, self.preset, self.root, self._label(name)))
            except GaspError as error:
                summary.failed[self._label(name)] = str(error)
                logger.error("%s: %s", self._label(name), error)


def _written(table: VideoTable, preset: Preset, root: Path, label: str) -> str:
    """Puts a video's row into the preset's table; what was done."""
    if not table.frames:
        raise InputError(f"{label}: no frame has a density and a fixation map to compare with")
    wants_gates = "gate_scores" in (preset["metrics_mappings"].get("scores_info") or ())
    table.write(root / preset["metrics_save_file"], gates=wants_gates)
    return f"{label}: {table.frames + table.without_truth} frames, {table.frames} scored"


def _stride(preset: Preset) -> int:
    """Every how many frames a prediction is measured and shown; networks see all frames."""
    return int(preset.get("stride", 1))


def _size(preset: Preset) -> tuple[int, int]:
    return int(preset["height"]), int(preset["width"])


def generator_settings(preset: Preset, device: str) -> PredictSettings:
    """The pipeline that computes the maps of a preset's models."""
    cues = [_CUES[model[0]] for model in _models(preset) if model[0] in _CUES]
    if not cues:
        raise UsageError("model_groups names no model that draws a cue map")
    pipeline = {"cues": ["captured", *cues], "faces": _detector(str(preset.get("face_detector") or "none"))}
    return PredictSettings.read(
        {"pipeline": pipeline, "device": device, "sound": bool(preset.get("enable_audio", True))}
    )


def _detector(name: str) -> str:
    """The detector that a preset means: one of 2021, or one of ours by its name."""
    if name in ("MTCNNFaceDetection", "DlibFaceDetection"):
        logger.warning("face_detector = %r is not offered; SFDFaceDetection (s3fd) is used", name)
        return "s3fd"
    if name != "SFDFaceDetection" and name not in DETECTORS:
        raise UsageError(
            f"face_detector = {name!r}: there is none of this name{nearest(name, ['SFDFaceDetection', *DETECTORS])}"
        )
    return "s3fd" if name == "SFDFaceDetection" else name


# --- stored frames ---------------------------------------------------------------------------------------


Predicted = Iterator[tuple[int, NDArray[np.float32], "dict[str, float] | None"]]
"""Frame number, map 0..1, gates."""


def _look_at_frames(
    preset: Preset, name: str, root: Path, frames: Path, device: str, report: Report
) -> InferenceSummary:
    model = _measured_model(preset, name)
    predict = _predictor(preset, name, model, root, device)
    work = _FrameWork(preset, root, model, predict)
    summary = InferenceSummary()
    for video, fps in _stored_videos(preset, name, root, frames):
        label = f"{video.dataset}/{video.name}"
        try:
            summary.done.append(work.run(video, fps, report))
        except GaspError as error:
            summary.failed[label] = str(error)
            logger.error("%s: %s", label, error)
    return summary


def _measured_model(preset: Preset, name: str) -> list[Any]:
    """The model whose map is measured or shown: GASP, or the one that draws ``pred_salmap``."""
    models = {model[0]: model for model in _models(preset)}
    wanted = str(preset["metrics_mappings"].get("pred_salmap", "")).removeprefix("det_transformed_")
    chosen = models.get("GASPInference") or next(
        (model for key, model in models.items() if _CUES.get(key) == wanted), None
    )
    if chosen is None:
        raise UsageError(f"{name}: no model of model_groups draws pred_salmap = det_transformed_{wanted}")
    others = [key for key in models if key != chosen[0]]
    if others:
        logger.info("%s: %s do not take part in what is measured", name, ", ".join(others))
    return chosen


def _predictor(
    preset: Preset, name: str, model: list[Any], root: Path, device: str
) -> Callable[[GroupedVideo, float], Predicted]:
    """What predicts the frames of a video; networks are loaded now."""
    if model[0] != "GASPInference":
        settings = network_settings(_CUES[model[0]], model[3], device)
        networks = Networks.load(settings)
        return lambda video, fps: (
            (number, saliency, None)
            for number, saliency in predict_stored(video, _CUES[model[0]], settings, networks, fps)
        )
    inputs = model[4].get("inp_img_names_list")
    if model[1] == -1 or inputs is None:
        raise UsageError(f"{name} is filled in after training; name it with --infer_configs of gasp_train")
    fusion, where = load_network(model[3], inputs, root), choose_device(device)
    return lambda video, _fps: (
        (number, fused.saliency, fused.gates) for number, fused in fuse_video(video, fusion, inputs, where)
    )


@dataclass(frozen=True)
class _FrameWork:
    """What is done with each video of stored frames."""

    preset: Preset
    root: Path
    model: list[Any]
    predict: Callable[[GroupedVideo, float], Predicted]

    def run(self, video: GroupedVideo, fps: float, report: Report) -> str:
        """Metrics and videos of one video; what was done."""
        label = f"{video.dataset}/{video.name}"
        problem = video.problem()
        if problem is not None:
            raise InputError(f"{video.folder} {problem}; it looks half-written")
        table = self._table(video)
        with ExitStack() as stack:
            writers = self._writers(video, fps, stack)
            for done, (number, saliency, gates) in enumerate(self.predict(video, fps), 1):
                report(label, done, video.frames)
                if number % _stride(self.preset):
                    continue
                if table is not None:
                    table.add(number, saliency, gates)
                if writers is not None:
                    writers.write(self._pictures(video, number, saliency))
        if table is None:
            return f"{label}: {video.frames} frames"
        return _written(table, self.preset, self.root, label)

    def _table(self, video: GroupedVideo) -> VideoTable | None:
        if not self.preset.get("compute_metrics"):
            return None
        truth = StoredTruth(video, self.preset["metrics_mappings"], self.root, max(1, int(self.model[1])))
        return VideoTable(truth, self.preset["metrics_list"])

    def _writers(self, video: GroupedVideo, fps: float, stack: ExitStack) -> VideoWriters | None:
        if not self.preset.get("write_videos"):
            return None
        folder = self.root / PROCESSED / "Videos" / video.dataset / video.name
        size = int(self.preset["width"]), int(self.preset["height"])
        return stack.enter_context(VideoWriters(folder, self._shown(), fps, size))

    def _shown(self) -> list[str]:
        return [name for row in self.model[5].get("plot_override") or () for name in row]

    def _pictures(
        self, video: GroupedVideo, number: int, saliency: NDArray[np.float32]
    ) -> dict[str, NDArray[np.uint8]]:
        """The pictures that the preset shows."""
        frame = read_colours(video.path(number, CAPTURED))
        drawing = self.preset["inference_properties"]
        overlay = bool(drawing.get("enable_transform_overlays"))
        own = picture_name("gasp" if self.model[0] == "GASPInference" else _CUES[self.model[0]])
        drawn = {}
        for name in self._shown():
            if name == own:
                picture = colour(saliency, str(drawing.get("color_map", "jet")))
            else:
                picture = read_colours(video.path(number, name))
            drawn[name] = draw_map(picture, frame, overlay=overlay and name != CAPTURED)
        return drawn


def _stored_videos(
    preset: Preset, name: str, root: Path, frames: Path
) -> Iterator[tuple[GroupedVideo, float]]:
    """The videos of the preset's lists that are there, with their rates; those that are not are named."""
    grouped = GroupedFrames(frames)
    rates = {(row.dataset, row.video_id): row.fps for row in _listed(preset, root)}
    wanted = list(grouped.videos)
    if preset.get("process_dataset_videos_only", True):
        _name_missing(name, sorted("/".join(video) for video in rates if video not in grouped.videos))
        wanted = [video for video in wanted if video in rates]
    if not wanted:
        raise InputError(f"{name}: {grouped.folder} holds no video of the preset's lists")
    for video in wanted:
        yield grouped.videos[video], rates.get(video, RATE)


def _listed(preset: Preset, root: Path) -> list[SplitRow]:
    """The Social videos of the preset's lists."""
    rows: dict[SplitRow, None] = {}
    for path in preset["datasplitter_properties"].values():
        if path:
            there = root / path
            rows |= dict.fromkeys(read_split(there if there.is_file() else path).only().rows)
    return list(rows)


def _name_missing(where: str, missing: list[str]) -> None:
    if missing:
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        logger.warning(
            "%s: %d videos of the lists are not there: %s%s",
            where,
            len(missing),
            ", ".join(missing[:8]),
            more,
        )


def _models(preset: Preset) -> list[list[Any]]:
    return [model for group in preset["model_groups"] for model in group]
