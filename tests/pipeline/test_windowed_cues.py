"""Cues that look ahead: every frame gets every cue for that very frame, whatever goes wrong."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.cues.cue import Cue, CueResult, create_cues
from gasp.cues.observation import Observation
from gasp.errors import UsageError
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source
from gasp.pipeline.prediction import Prediction
from gasp.video import open_source


class Centred(Cue):
    """Draws the sum of the indices of the frames around each one, borders repeated."""

    def __init__(self, past: int, future: int, name: str = "motion") -> None:
        self.name = name
        self.past = past
        self.future = future
        self.indices: list[int] = []
        self.waiting: deque[Observation] = deque()
        self.drawn = 0

    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        maps = []
        for observation in observations:
            self.indices.append(observation.frame.index)
            self.waiting.append(observation)
            if len(self.waiting) > self.future:
                maps.append(self._draw())
        return maps

    def finish(self) -> list[CueResult]:
        return [self._draw() for _ in range(len(self.waiting))]

    def _draw(self) -> CueResult:
        observation = self.waiting.popleft()
        last = len(self.indices) - 1
        window = [self.indices[min(last, max(0, self.drawn + k))] for k in range(-self.past, self.future + 1)]
        self.drawn += 1
        found = {face.track_id: {"seen": float(observation.frame.index)} for face in observation.faces}
        return CueResult(np.full(observation.grid, sum(window), np.uint8), found)


def expected(index: int, count: int, past: int, future: int) -> int:
    return sum(min(count - 1, max(0, index + k)) for k in range(-past, future + 1))


def run(
    pictures: NDArray[np.uint8], networks: Networks, cues: Sequence[Any], **settings: Any
) -> list[Prediction]:
    pipeline = Pipeline(PredictSettings(**settings), networks, cues=cues)
    return list(predict_source(open_source(pictures), pipeline))


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("count", [1, 2, 4, 10])
def test_every_frame_gets_every_cue_for_itself(
    batch: int, count: int, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    cues = [*create_cues(["captured"]), Centred(3, 3), Centred(0, 5, "faces")]
    predictions = run(pictures[:count], networks, cues, batch=batch)
    assert [p.index for p in predictions] == list(range(count))
    for index, prediction in enumerate(predictions):
        np.testing.assert_array_equal(prediction.image, pictures[index])
        assert (prediction.cues["motion"] == expected(index, count, 3, 3)).all()
        assert (prediction.cues["faces"] == expected(index, count, 0, 5)).all()
        assert list(prediction.cues) == ["captured", "motion", "faces"]


def test_the_batch_size_does_not_matter(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    one, four = (run(pictures, networks, [*create_cues(["glance"]), Centred(2, 4)], batch=b) for b in (1, 4))
    for alone, together in zip(one, four, strict=True):
        np.testing.assert_allclose(together.saliency, alone.saliency, atol=1e-4)
        assert together.gates == pytest.approx(alone.gates, abs=1e-4)


def test_the_latency_is_declared_and_kept(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    pipeline = Pipeline(PredictSettings(), networks, cues=[Centred(1, 3), Centred(1, 2, "faces")])
    assert pipeline.latency == 3
    assert Pipeline(PredictSettings(), networks).latency == 0
    given = [len(pipeline.step([frame], [None])) for frame in open_source(pictures)]
    assert given == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert [p.index for p in pipeline.finish()] == [7, 8, 9]
    assert pipeline.finish() == []


def test_what_a_cue_finds_late_is_in_the_prediction(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    class Faces:
        def detect(self, images: Sequence[Any]) -> Any:
            from gasp.faces.face import Box, Detection

            return [[Detection(Box(5, 5, 40, 40), 0.9)] for _ in images]

    pipeline = Pipeline(PredictSettings(batch=2), networks, cues=[Centred(3, 3)])
    pipeline._detector = Faces()
    for prediction in predict_source(open_source(pictures), pipeline):
        assert [face.found["seen"] for face in prediction.faces] == [prediction.index]


class Failing(Centred):
    def __init__(self, at: int, how: Any) -> None:
        super().__init__(1, 2)
        self.at = at
        self.how = how

    def push(self, observations: Sequence[Observation]) -> list[Any]:  # type: ignore[override]
        maps: list[Any] = super().push(observations)
        if any(o.frame.index == self.at for o in observations):
            if isinstance(self.how, Exception):
                raise self.how
            return self.how(maps)  # type: ignore[no-any-return]
        return maps


@pytest.mark.parametrize(
    "how",
    [ValueError("lost"), lambda maps: maps * 5, lambda maps: [], lambda maps: 7],
    ids=["exception", "too many", "too few", "no list"],
)
def test_a_cue_that_fails_on_the_way_is_black_from_there(
    how: Any,
    networks: Networks,
    pictures: NDArray[np.uint8],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline = Pipeline(
        PredictSettings(batch=1), networks, cues=[*create_cues(["captured", "glance"]), Failing(5, how)]
    )
    with caplog.at_level(logging.WARNING, "gasp"):
        predictions = list(predict_source(open_source(pictures), pipeline))
    assert [p.index for p in predictions] == list(range(10))
    # When frame 5 came, frames 3 and 4 were waiting for it.
    assert [bool(p.cues["motion"].any()) for p in predictions] == [index < 3 for index in range(10)]
    assert all(p.cues["glance"].any() and p.saliency.any() for p in predictions)
    assert pipeline.events == {"cue motion failed": 7}
    # One record, though more than one handler may have noted it.
    assert len({id(r) for r in caplog.records if "cue motion failed" in r.getMessage()}) == 1


def test_a_map_of_the_wrong_form_costs_itself_alone(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    pipeline = Pipeline(
        PredictSettings(batch=4),
        networks,
        cues=[Failing(5, lambda maps: [replace(m, map=m.map.astype(float)) for m in maps[:1]] + maps[1:])],
    )
    predictions = list(predict_source(open_source(pictures), pipeline))
    # The batch of frames 4 to 7 completed 2 to 5.
    assert [p.index for p in predictions if not p.cues["motion"].any()] == [2]
    assert pipeline.events == {"cue motion failed": 1}


def test_a_cue_that_cannot_end_loses_the_frames_that_wait(
    networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    cue = Centred(1, 2)
    cue.finish = list  # type: ignore[method-assign]
    pipeline = Pipeline(PredictSettings(), networks, cues=[cue])
    predictions = list(predict_source(open_source(pictures), pipeline))
    assert [p.index for p in predictions if not p.cues["motion"].any()] == [8, 9]
    assert pipeline.events == {"cue motion failed": 2}


def test_a_cue_of_the_pipeline_begins_anew_after_a_failure(
    networks: Networks, pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Once(Failing):
        def __init__(self) -> None:
            super().__init__(4 if not made else -1, RuntimeError("once"))
            made.append(self)

    monkeypatch.setattr("gasp.cues.motion.Motion", Once)
    pipeline = Pipeline(PredictSettings(batch=1, cues=("captured", "motion")), networks)
    predictions = list(predict_source(open_source(pictures), pipeline))
    assert len(made) == 2
    assert [p.index for p in predictions if not p.cues["motion"].any()] == [2, 3, 4]
    assert (predictions[5].cues["motion"] == 5 + 5 + 6 + 7).all()
    assert pipeline.events == {"cue motion failed": 3}


def test_a_wrong_use_is_raised(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    pipeline = Pipeline(PredictSettings(), networks, cues=[Failing(0, UsageError("no"))])
    with pytest.raises(UsageError, match="no"):
        list(predict_source(open_source(pictures), pipeline))


def test_no_more_is_kept_than_the_window(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    pipeline = Pipeline(PredictSettings(), networks, cues=[Centred(0, 4), *create_cues(["captured"])])
    most = 0
    for k in range(40):
        for frame in open_source(pictures[k % 10][None]):
            pipeline.step([frame], [None])
        most = max(most, len(pipeline._waiting), *(len(runner.ready) for runner in pipeline._runners))
    assert most == 4
