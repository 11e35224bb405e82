"""Other saliency networks over stored frames, or over the videos that they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.datasets.grouped import CAPTURED, GroupedVideo
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source
from gasp.pipeline.timing import step_of
from gasp.published.fused import read_colours
from gasp.video import open_source


def network_settings(
    cue: str, options: Mapping[str, Any], device: str, *, sound: bool = False
) -> PredictSettings:
    """The pipeline that runs the network of the modality ``cue``, drawing in grey.

    ``options``: those of the preset; ``weights_file`` replaces the published weights, ``audiovisual`` False takes
    STAViS's visual ones.
    """
    config: dict[str, Any] = {"name": cue, "options": {"colours": "grey"}}
    if options.get("weights_file"):
        config["weights"] = str(options["weights_file"])
    elif cue == "stavis" and options.get("audiovisual") is False:
        config["weights"] = "stavis-visual-split1"
    pipeline = {"cues": [CAPTURED, config], "faces": "none"}
    return PredictSettings.read({"pipeline": pipeline, "device": device, "sound": sound})


def predict_stored(
    video: GroupedVideo, cue: str, settings: PredictSettings, networks: Networks, fps: float
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(frame number, map scaled to 0..1) of every stored frame. Stored frames have no sound."""
    frames = (read_colours(video.path(number, CAPTURED)) for number in video.numbers)
    pipeline = Pipeline(settings, networks, step=1 / fps)
    with open_source(frames, fps=fps) as source:
        for prediction in predict_source(source, pipeline):
            yield video.numbers[prediction.index], prediction.cues[cue].astype(np.float32) / np.float32(255)


def predict_recorded(
    video: Path, cue: str, settings: PredictSettings, networks: Networks
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(frame number, map scaled to 0..1) of every frame of a video file, with its sound where the settings want it."""
    with open_source(video) as source:
        pipeline = Pipeline(settings, networks, step=step_of(source, settings))
        for prediction in predict_source(source, pipeline):
            yield prediction.index + 1, prediction.cues[cue].astype(np.float32) / np.float32(255)
