"""What fails on the way costs what it touched, is counted, and the rest goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.cues.cue import FrameCue, create_cues
from gasp.errors import UsageError
from gasp.networks import create_model
from gasp.pipeline.pipeline import Networks, Pipeline, find_focus
from gasp.pipeline.predict import predict_source
from gasp.pipeline.prediction import Prediction
from gasp.video import open_source


class Broken(FrameCue):
    """A cue in the place of ``motion`` that does not do at every third frame what cues do."""

    name = "motion"

    def __init__(self, how: Any) -> None:
        self.how = how
        self.count = 0

    def step(self, observation: Any) -> NDArray[np.uint8]:
        self.count += 1
        if self.count % 3:
            return np.full(observation.grid, 77, np.uint8)
        if isinstance(self.how, Exception):
            raise self.how
        return np.asarray(self.how)


def run(pipeline: Pipeline, pictures: NDArray[np.uint8]) -> list[Prediction]:
    return list(predict_source(open_source(pictures), pipeline))


@pytest.mark.parametrize(
    "how",
    [
        ValueError("no such thing"),
        ZeroDivisionError(),
        np.zeros((6, 8), np.float32),
        np.zeros((6, 8, 4), np.uint8),
        np.zeros(7, np.uint8),
        np.zeros((0, 8), np.uint8),
    ],
    ids=["ValueError", "ZeroDivisionError", "float", "rgba", "flat", "empty"],
)
def test_a_cue_that_fails_costs_its_own_map(
    how: Any, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    cues = [*create_cues(["captured", "glance"]), Broken(how)]
    pipeline = Pipeline(PredictSettings(batch=4), networks, cues=cues)
    predictions = run(pipeline, pictures[:6])
    assert len(predictions) == 6
    for index, prediction in enumerate(predictions):
        assert (prediction.cues["motion"] == (0 if index % 3 == 2 else 77)).all()
        assert np.isfinite(prediction.saliency).all()
        assert prediction.cues["glance"].any()
    assert pipeline.events == {"cue motion failed": 2}


def test_a_wrong_use_is_no_failure_to_be_counted(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    pipeline = Pipeline(PredictSettings(), networks, cues=[Broken(UsageError("give it a model"))])
    with pytest.raises(UsageError, match="give it a model"):
        run(pipeline, pictures[:3])


class Blind:
    """The packaged reader, with a network that gives no numbers for some pictures."""

    def __init__(self, networks: Networks) -> None:
        self.reader = networks.reader
        self.count = 0

    def read(self, images: Sequence[NDArray[np.uint8]]) -> list[Any]:
        glimpses = []
        for glimpse in self.reader.read(images):
            self.count += 1
            if self.count in (2, 3):
                glimpse = dataclasses.replace(glimpse, saliency=np.full_like(glimpse.saliency, np.nan))
            glimpses.append(glimpse)
        return glimpses


def test_a_saliency_network_without_numbers_is_counted(
    networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    blind = dataclasses.replace(networks, reader=Blind(networks))  # type: ignore[arg-type]
    pipeline = Pipeline(PredictSettings(batch=4), blind)
    predictions = run(pipeline, pictures[:5])
    assert len(predictions) == 5
    assert all(np.isfinite(p.saliency).all() for p in predictions)
    assert np.ptp(predictions[1].cues["glance"]) == 0
    assert sum(pipeline.events.values()) == 2
    assert "saliency network" in next(iter(pipeline.events))


def test_a_fusion_network_without_numbers_is_counted(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    count = len(networks.fusion.modalities)
    network = create_model(
        "SequenceGASPDAMEncGMUALSTMConv",
        modalities=count,
        latent_channels=2,
        encoder_widths=(2, 2),
        sequence_len=2,
    )
    with torch.no_grad():
        network.gmu.gate_bias.fill_(torch.nan)  # type: ignore[union-attr, operator]
    broken = dataclasses.replace(networks, fusion=dataclasses.replace(networks.fusion, network=network))
    pipeline = Pipeline(PredictSettings(batch=2), broken)
    predictions = run(pipeline, pictures[:3])
    assert [p.saliency.any() for p in predictions] == [False] * 3
    assert [p.gates for p in predictions] == [None] * 3
    assert sum(pipeline.events.values()) == 3
    assert "fusion network" in next(iter(pipeline.events))


def test_a_face_detector_that_fails_is_counted(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    class Failing:
        def detect(self, images: Sequence[NDArray[np.uint8]]) -> Any:
            raise RuntimeError("no model")

    pipeline = Pipeline(PredictSettings(), networks)
    pipeline._detector = Failing()
    assert [p.faces for p in run(pipeline, pictures[:2])] == [[], []]
    assert pipeline.events == {"face detector glance failed": 2}


def test_the_focus_is_the_middle_of_the_brightest_cell() -> None:
    saliency = np.zeros((6, 8), np.float32)
    saliency[1, 6] = 0.75
    assert find_focus(saliency, 60, 160) == (130.0, 15.0, 0.75)
    assert find_focus(saliency, 1, 1) == (6.5 / 8, 1.5 / 6, 0.75)
