"""The pipeline behind a plan: GASP over stored maps, or another saliency network over frames."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.cues.stored import StoredCue
from gasp.datasets.grouped import CAPTURED, modality_name
from gasp.errors import UsageError
from gasp.faces.glance_reader import GlanceReader
from gasp.fusion.gasp import FusionNetwork
from gasp.networks import create_model
from gasp.networks.gasp import GASP
from gasp.pipeline.pipeline import Networks, Pipeline, choose_device
from gasp.pipeline.predict import predict_source
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.timing import step_of
from gasp.published.plan import CuePlan, GaspPlan, InferencePlan
from gasp.video import VideoSource
from gasp.video.grouped import GroupedSource
from gasp.weights import Store, Weights, open_weights
from gasp.weights.catalogue import Entry
from gasp.weights.preprocessing import preprocessing_2021


@dataclass(frozen=True, slots=True)
class Predicted:
    """What is predicted of one frame.

    Attributes:
        index: The frame's, counted from 0.
        saliency: float32 (h, w), 0..1.
        gates: A score per modality, where the network has gates.
        images: The stored images that were read for it, RGB uint8 (h, w, 3), by name.
    """

    index: int
    saliency: NDArray[np.float32]
    gates: dict[str, float] | None
    images: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class GaspPredictor:
    """GASP over the stored images ``inputs`` of a video's frames."""

    settings: PredictSettings
    networks: Networks
    inputs: tuple[str, ...]

    def predict(self, source: GroupedSource) -> Generator[Predicted, None, None]:
        """Every frame; windows are filled as in 2021, a missing map is black."""
        names = {image: modality_name(image) for image in self.inputs}
        cues = [StoredCue(name, source.folder, source.numbers, image) for image, name in names.items()]
        for one in _predictions(source, self.settings, self.networks, cues):
            images = {image: one.cues[name] for image, name in names.items()}
            yield Predicted(one.index, one.saliency, one.gates, images)


@dataclass(frozen=True)
class CuePredictor:
    """The map of one cue, drawn in grey, in place of a fused one."""

    settings: PredictSettings
    networks: Networks
    cue: str

    def predict(self, source: VideoSource) -> Generator[Predicted, None, None]:
        """Every frame, with sound where there is any and the settings want it."""
        for one in _predictions(source, self.settings, self.networks):
            saliency = one.cues[self.cue].astype(np.float32) / np.float32(255)
            yield Predicted(one.index, saliency, None, {})


def open_gasp(model: GaspPlan, name: str, device: str, root: Path) -> GaspPredictor:
    """The predictor, its network loaded.

    Raises:
        UsageError: ``name``, the plan, leaves something to training, or the options make no GASP network.
        WeightsError: The weights are not here or do not fit.
    """
    if model.window is None or model.inputs is None:
        raise UsageError(f"{name} is filled in after training; name it with --infer_configs of gasp_train")
    settings = PredictSettings.read(
        {
            "pipeline": {
                "cues": [CAPTURED],
                "faces": "none",
                "alignment": "published",
                "placement": "none",
            },
            "device": device,
            "sound": False,
            "why": 0,
        }
    )
    where = choose_device(device)
    networks = Networks(GlanceReader(device=where), load_network(model, root), where)
    return GaspPredictor(settings, networks, model.inputs)


def open_cue(model: CuePlan, device: str, *, sound: bool) -> CuePredictor:
    """The predictor, its network loaded. Raises :class:`~gasp.errors.WeightsError` when its weights are not here."""
    config: dict[str, Any] = {"name": model.cue, "options": {"colours": "grey"}}
    if model.weights is not None:
        config["weights"] = model.weights
    pipeline = {"cues": [CAPTURED, config], "faces": "none"}
    settings = PredictSettings.read({"pipeline": pipeline, "device": device, "sound": sound, "why": 0})
    return CuePredictor(settings, Networks.load(settings), model.cue)


def generator_settings(plan: InferencePlan) -> PredictSettings:
    """The pipeline that computes the maps which a plan asks to write."""
    assert plan.maps is not None
    pipeline = {"cues": [CAPTURED, *plan.maps.cues], "faces": plan.maps.detector}
    return PredictSettings.read({"pipeline": pipeline, "device": plan.device, "sound": plan.sound, "why": 0})


def load_network(model: GaspPlan, root: Path) -> FusionNetwork:
    """The GASP network of a plan, with weights of the working directory ``root``.

    Raises:
        UsageError: The options make no GASP network for as many inputs as the plan has.
        WeightsError: The weights are not here or do not fit.
    """
    assert model.inputs is not None
    network = create_model(model.network, **model.options)
    if not isinstance(network, GASP):
        raise UsageError(f"model_name = {model.network!r}: this is no GASP network")
    if network.modalities != len(model.inputs):
        raise UsageError(
            f"{model.network} takes {network.modalities} modalities, but the preset names {len(model.inputs)} inputs"
        )
    _open_weights(model, root).fill(network)
    return FusionNetwork(
        network,
        tuple(modality_name(image) for image in model.inputs),
        preprocessing_2021(*model.size),
        distribution=False,
    )


def _open_weights(model: GaspPlan, root: Path) -> Weights:
    def command(entry: Entry) -> str:
        return f"gasp_download_manager --working_dir {root} --models {entry.folder} --accept-license"

    is_below = not Path(model.weights).is_file() and (root / model.weights).is_file()
    return open_weights(
        root / model.weights if is_below else model.weights,
        network=model.network,
        options=model.options,
        store=Store.from_environment(root),
        command=command,
    )


def _predictions(
    source: VideoSource,
    settings: PredictSettings,
    networks: Networks,
    cues: list[StoredCue] | None = None,
) -> Iterator[Prediction]:
    pipeline = Pipeline(settings, networks, step=step_of(source, settings), cues=cues)
    return predict_source(source, pipeline)
