"""The file driver: sound by the frames' own times, and sources that fail on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.cues.cue import FrameCue
from gasp.errors import InputError
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source
from gasp.video import open_source
from gasp.video.frames import Frame


class Ear(FrameCue):
    """Remembers how many samples it was given with every frame."""

    name = "ear"

    def __init__(self) -> None:
        self.heard: list[int] = []

    def step(self, observation: Any) -> NDArray[np.uint8]:
        self.heard.append(len(observation.sound))
        return np.zeros(observation.grid, np.uint8)


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([0, 0.04, 0.2, 0.21, 0.5], [0.04, 0.16, 0.01, 0.29, 0.29]),
        ([1.0, 1.5], [0.5, 0.5]),
        ([3.0], [0.04]),
        ([0.0, 60.0], [10, 10]),
        ([0.0, 0.1, 0.1], [0.1, 0.1, 0.1]),
    ],
)
@pytest.mark.parametrize("batch", [1, 8])
def test_the_sound_of_a_frame_lasts_until_the_next(
    times: list[float], seconds: list[float], batch: int, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    frames = [Frame(index, at, pictures[index]) for index, at in enumerate(times)]
    source = open_source(frames, sound=(np.ones(16000, np.float32), 16000))
    if len(frames) == 1:
        source.fps = 25.0
    ear = Ear()
    list(predict_source(source, Pipeline(PredictSettings(batch=batch), networks, cues=[ear])))
    assert ear.heard == [round(duration * 16000) for duration in seconds]


@pytest.mark.parametrize("sound", [None, (np.ones(16000, np.float32), 16000)], ids=["silent", "sound"])
@pytest.mark.parametrize("count", [1, 5, 8])
def test_frames_before_an_error_of_the_source_are_predicted(
    count: int, sound: Any, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    def breaking() -> Iterator[NDArray[np.uint8]]:
        yield from pictures[:count]
        raise InputError("the cable was pulled")

    pipeline = Pipeline(PredictSettings(batch=4), networks)
    predictions = predict_source(open_source(breaking(), sound=sound), pipeline)
    assert [next(predictions).index for _ in range(count)] == list(range(count))
    with pytest.raises(InputError, match="the cable was pulled"):
        next(predictions)


def test_failed_predictions_say_so(networks: Networks, pictures: NDArray[np.uint8], monkeypatch: Any) -> None:
    pipeline = Pipeline(PredictSettings(batch=2), networks)
    step = pipeline._fusion.step
    monkeypatch.setattr(
        pipeline._fusion, "step", lambda *given: [fused._replace(replaced=True) for fused in step(*given)]
    )
    predictions = list(predict_source(open_source(pictures[:3]), pipeline))
    assert [p.failed for p in predictions] == [True] * 3
    assert pipeline.events == {"fusion network gave values that are not numbers": 3}
