"""The published cues in the pipeline on input that goes wrong: every frame is predicted, every cue has a map."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.faces.face import Box, Detection
from gasp.faces.glance_reader import GlanceReader
from gasp.fusion.gasp import FusionNetwork
from gasp.networks import create_model
from gasp.networks.esr9 import ESR9Output
from gasp.networks.videogaze import VideoGaze
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source
from gasp.pipeline.prediction import Prediction
from gasp.video import open_source
from gasp.video.frames import Frame
from gasp.weights.preprocessing import GASP_2021
from helpers import synthetic

CUES = ("captured", "dave", "esr9", "videogaze", "gaze360")
RATE = 16000
FRAMES = 14
"""So many that each cue has published maps."""
MODES = pytest.mark.parametrize("mode", ["corrected", "published"])


class Gaze(torch.nn.Module):
    """In the place of Gaze360."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def embed(self, crops: torch.Tensor) -> torch.Tensor:
        return crops.mean((2, 3)) * self.scale

    def head(self, sequence: torch.Tensor) -> Any:
        return type("Output", (), {"angles": torch.tanh(sequence.mean(1))[:, :2]})


class Expression(torch.nn.Module):
    """In the place of ESR-9."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, faces: torch.Tensor, *, batch_statistics: bool) -> ESR9Output:
        generator = torch.Generator().manual_seed(0)
        parts = [torch.rand(9, *shape, generator=generator) for shape in ((8,), (2,), (6, 6))]
        level = (0.1 + faces.mean((1, 2, 3))) * self.scale
        return ESR9Output(*(level.view(-1, *[1] * part.ndim) * part for part in parts))


class Follow(VideoGaze):
    """VideoGaze with thin stacks of convolutions."""

    def __init__(self) -> None:
        super().__init__()
        for path, size in (
            (self.saliency_pathway, 13),
            (self.cone_pathway.alexnet, 6),
            (self.transformation_path.alexnet, 6),
        ):
            layers = torch.nn.AdaptiveAvgPool2d(size), torch.nn.Conv2d(3, 256, 1), torch.nn.ReLU()
            path.features = torch.nn.Sequential(*layers)
        torch.nn.init.normal_(self.linear_final.bias, std=3.0)  # heatmaps with a peak


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    dave = create_model("dave", frames_len=4)
    cues = {"dave": dave, "esr9": Expression(), "videogaze": Follow(), "gaze360": Gaze()}
    small = {"latent_channels": 2, "encoder_widths": (2, 2), "sequence_len": 3}
    network: Any = create_model("SequenceGASPDAMEncALSTMGMUConv", modalities=len(CUES), **small)
    fusion = FusionNetwork(network, CUES, GASP_2021, distribution=False)
    return Networks(GlanceReader(), fusion, torch.device("cpu"), cues, {})


class Found:
    """A face detector that is told what it finds."""

    def __init__(self, boxes: Callable[[int], list[Box]]) -> None:
        self.boxes = boxes
        self.count = 0

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        found = [[Detection(box, 0.9) for box in self.boxes(self.count + i)] for i in range(len(images))]
        self.count += len(images)
        return found


def picture(index: int, height: int = 72, width: int = 96) -> NDArray[np.uint8]:
    return synthetic.image(f"frame{index}", height, width, 7)


def two_faces(index: int) -> list[Box]:
    return [Box(10 + index % 5, 10, 40 + index % 5, 44), Box(55, 20, 85, 56)]


def make_pipeline(
    networks: Networks, mode: str, boxes: Callable[[int], list[Box]] = two_faces, batch: int = 4
) -> Pipeline:
    published = mode == "published"
    cues: list[Any] = ["captured"]
    cues += [{"name": name, "mode": mode} for name in CUES[1:]]
    cues[1]["options"] = {"input_size": [32, 32], "fps": 5}
    settings = PredictSettings.read(
        {
            "pipeline": {
                "cues": cues,
                "faces": {"detector": "glance", "tracking": not published},
                "fusion": {"weights": "gasp-seqdamalstmgmu"},
                "alignment": mode,
            },
            "batch": batch,
        }
    )
    pipeline = Pipeline(settings, networks, step=0.2)
    pipeline._detector = Found(boxes)
    pipeline._reads = False  # nobody needs the packaged network
    return pipeline


def predict(
    pipeline: Pipeline, pictures: Sequence[NDArray[np.uint8]], sound: float | None = 1.0
) -> list[Prediction]:
    """All predictions at five frames per second; ``sound``: share of the video that it lasts, or None."""
    frames = [Frame(i, i / 5, image) for i, image in enumerate(pictures)]
    noise = synthetic.array("sound", (int(RATE * len(frames) / 5 * (sound or 0)),)) * np.float32(0.1)
    source = open_source(frames, sound=None if sound is None else (noise, RATE))
    return list(predict_source(source, pipeline))


def check(predictions: list[Prediction], count: int = FRAMES) -> None:
    assert [p.index for p in predictions] == list(range(count))
    for prediction in predictions:
        assert tuple(prediction.cues) == CUES
        assert np.isfinite(prediction.saliency).all()
        for face in prediction.faces:
            assert all(np.isfinite(v) for v in face.found.values() if isinstance(v, float))
    assert any(p.saliency.any() for p in predictions)


def varies(drawn: NDArray[np.uint8]) -> bool:
    """Whether a map is not of one colour."""
    return bool((drawn != drawn[0, 0]).any())


HARD: dict[str, Callable[[int], list[Box]]] = {
    "no face": lambda i: [],
    "forty faces": lambda i: [Box(2 * k, k, 2 * k + 9, k + 9) for k in range(40)][: 40 if i in (3, 9) else 0],
    "coming and going": lambda i: two_faces(i)[: (0, 1, 2, 2, 1, 0, 0)[i % 7]],
    "cut by the border": lambda i: [Box(-20, -30, 8, 9), Box(90 - i, 60, 140, 200)],
    "one pixel": lambda i: [Box(5, 5, 6, 6), Box(95, 71, 96, 72)],
    "nothing left": lambda i: [Box(5, 5, 5, 5), Box(200, 200, 220, 220)],
    "no numbers": lambda i: [Box(float("nan"), 0, 5, 5), Box(0, 0, float("inf"), 9)],
}


@MODES
@pytest.mark.parametrize("name", HARD)
def test_hard_faces(mode: str, name: str, networks: Networks) -> None:
    pipeline = make_pipeline(networks, mode, HARD[name])
    check(predict(pipeline, [picture(i) for i in range(FRAMES)], sound=None))
    assert pipeline.events == {}


@MODES
def test_frames_of_changing_size(mode: str, networks: Networks) -> None:
    pictures = [picture(i, 48 + 12 * (i % 4), 96 - 20 * (i % 3)) for i in range(FRAMES)]
    pipeline = make_pipeline(networks, mode)
    # Sources give frames of one size; the pipeline does not rely on it.
    frames = [Frame(i, i / 5, image) for i, image in enumerate(pictures)]
    groups = [frames[i : i + 4] for i in range(0, FRAMES, 4)]
    predictions = [p for group in groups for p in pipeline.step(group, [None] * len(group))]
    predictions += pipeline.finish()
    check(predictions)
    assert [p.image.shape for p in predictions] == [p.shape for p in pictures]
    assert pipeline.events == {}


@MODES
@pytest.mark.parametrize("sound", [0.02, 0.5, 2.0], ids=str)
def test_sound_of_another_length(mode: str, sound: float | None, networks: Networks) -> None:
    pipeline = make_pipeline(networks, mode)
    predictions = predict(pipeline, [picture(i) for i in range(FRAMES)], sound)
    check(predictions)
    assert any(p.cues["dave"].any() for p in predictions)
    assert pipeline.events == {}


@MODES
@pytest.mark.parametrize("name", CUES[1:])
def test_a_network_that_gives_no_numbers(
    mode: str,
    name: str,
    networks: Networks,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network: Any = networks.cues[name]
    spoilt = {
        "dave": "saliency.bias",
        "esr9": "scale",
        "videogaze": "cone_pathway.linear3.bias",
        "gaze360": "scale",
    }
    weight = network.get_parameter(spoilt[name])
    monkeypatch.setattr(weight, "data", torch.full_like(weight, torch.nan))
    pipeline = make_pipeline(networks, mode)
    with caplog.at_level(logging.WARNING, "gasp"):
        predictions = predict(pipeline, [picture(i) for i in range(FRAMES)], sound=None)
    check(predictions)
    (event,) = pipeline.events
    assert name in event
    assert pipeline.events[event] >= 4
    # One record, though more than one handler may have noted it.
    assert len({id(r) for r in caplog.records if "not numbers" in r.getMessage()}) == 1
    for other in CUES[1:]:
        assert any(varies(p.cues[other]) for p in predictions) == (other != name), other


@MODES
@pytest.mark.parametrize("name", CUES[1:])
def test_a_cue_that_fails_in_the_middle_and_begins_anew(
    mode: str,
    name: str,
    networks: Networks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline = make_pipeline(networks, mode, batch=1)
    runner = next(r for r in pipeline._runners if r.name == name)
    cue: Any = runner.cue
    push, pushed = cue.push, [0]

    def failing(observations: Sequence[Any]) -> Any:
        pushed[0] += 1
        if pushed[0] == 6:
            raise RuntimeError("out of memory")
        return push(observations)

    cue.push = failing
    with caplog.at_level(logging.WARNING, "gasp"):
        predictions = predict(pipeline, [picture(i) for i in range(FRAMES)], sound=None)
    check(predictions)
    assert runner.cue is not cue
    assert set(pipeline.events) == {f"cue {name} failed"}
    lost = pipeline.events[f"cue {name} failed"]
    assert 1 <= lost <= 6
    dark = [p.index for p in predictions[6 - lost : 6] if p.cues[name].any()]
    assert dark == []
    assert len({id(r) for r in caplog.records if f"cue {name} failed" in r.getMessage()}) == 1
    for other in CUES[1:]:
        assert any(varies(p.cues[other]) for p in predictions), other


@MODES
def test_no_frame_is_lost_whatever_the_length_and_the_batch(mode: str, networks: Networks) -> None:
    for count, batch in ((1, 1), (2, 8), (9, 4)):
        pipeline = make_pipeline(networks, mode, batch=batch)
        check(predict(pipeline, [picture(i) for i in range(count)], sound=None), count)
        assert pipeline.latency == (12 if mode == "published" else 6)
