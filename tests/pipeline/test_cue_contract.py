"""What the pipeline makes of what cues declare and return, and of objects of the earlier contract."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.cues.adapter import as_cue
from gasp.cues.cue import Cue, CueResult, FrameCue, create_cues
from gasp.cues.observation import Observation
from gasp.errors import UsageError
from gasp.faces.face import Box, Detection
from gasp.pipeline.cue_runner import CueRunner, Events
from gasp.pipeline.pieces import Grid, predict_pieces
from gasp.pipeline.pipeline import Networks, Pipeline, warm_up
from gasp.pipeline.predict import predict_source
from gasp.pipeline.prediction import Prediction
from gasp.video import open_source
from helpers.observations import face, observe
from helpers.videos import write_video


class OneFace:
    def detect(self, images: Sequence[Any]) -> list[list[Detection]]:
        return [[Detection(Box(5, 5, 40, 40), 0.9)] for _ in images]


def run(pictures: NDArray[np.uint8], networks: Networks, cues: Sequence[Any]) -> list[Prediction]:
    pipeline = Pipeline(PredictSettings(batch=2), networks, cues=cues)
    pipeline._detector = OneFace()
    return list(predict_source(open_source(pictures), pipeline))


class Smile(FrameCue):
    """Says something of every face, and counts frames."""

    def __init__(self, name: str = "smile", value: float = 0.5, past: int | None = 0) -> None:
        self.name, self.value, self.past = name, value, past
        self.seen: list[Observation] = []

    def step(self, observation: Observation) -> CueResult:
        self.seen.append(observation)
        found = {face.track_id: {self.name: self.value, "last": self.name} for face in observation.faces}
        return CueResult(np.zeros(observation.grid, np.uint8), {**found, 99: {"nobody": 1.0}})


class Elsewhere(Cue):
    """Notes when work is sent and received."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        return [CueResult(np.zeros(o.grid, np.uint8)) for o in observations]

    def submit(self, observations: Sequence[Observation]) -> Callable[[], list[CueResult]]:
        self.notes.append(f"{self.name} sent")

        def receive() -> list[CueResult]:
            self.notes.append(f"{self.name} received")
            return self.push(observations)

        return receive


def test_what_cues_find_is_in_the_predictions_faces_alone(
    networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    smile, frown = Smile(), Smile("frown", 0.25)
    predictions = run(pictures[:4], networks, [smile, frown])
    for prediction in predictions:
        assert [one.found for one in prediction.faces] == [{"smile": 0.5, "last": "frown", "frown": 0.25}]
    assert [o.faces[0].found for o in smile.seen] == [{}] * 4
    assert [o.number for o in smile.seen] == [0, 1, 2, 3]


def test_all_cues_are_submitted_to_before_any_is_waited_for(
    networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    notes: list[str] = []
    run(pictures[:2], networks, [Elsewhere("one", notes), Elsewhere("two", notes)])
    assert notes == ["one sent", "two sent", "one received", "two received"]


@pytest.mark.parametrize("where", ["submit", "receive"])
def test_work_elsewhere_that_is_lost_costs_its_own_maps(
    where: str, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    class Lost(Elsewhere):
        def submit(self, observations: Sequence[Observation]) -> Any:
            if where == "submit":
                raise OSError("no connection")
            return self._receive

        def _receive(self) -> list[CueResult]:
            raise OSError("connection lost")

    pipeline = Pipeline(PredictSettings(batch=2), networks, cues=[Lost("far", []), *create_cues(["glance"])])
    predictions = list(predict_source(open_source(pictures[:4]), pipeline))
    assert len(predictions) == 4
    assert all(p.cues["glance"].any() for p in predictions)
    assert pipeline.events == {"cue far failed": 4}


@pytest.mark.parametrize(
    "result",
    [np.zeros((3, 3), np.uint8), CueResult(np.zeros((3, 3), np.uint8), {1: 0.5}), None],  # type: ignore[dict-item]
    ids=["a bare map", "a number for a face", "nothing"],
)
def test_what_is_no_result_of_push_is_counted(result: Any) -> None:
    class Odd(Cue):
        name = "odd"

        def push(self, observations: Sequence[Observation]) -> list[CueResult]:
            return [result for _ in observations]

    events = Events()
    runner = CueRunner(Odd(), events)
    runner.submit([observe(np.zeros((16, 16, 3), np.uint8), cell=4)])
    runner.collect()
    assert [r.map.shape for r in runner.ready] == [(4, 4)]
    assert events == {"cue odd failed": 1}


def test_begin_comes_first_and_again_for_a_new_cue() -> None:
    begun: list[float] = []

    class Once(Cue):
        name = "once"

        def begin(self, step: float) -> None:
            begun.append(step)

        def push(self, observations: Sequence[Observation]) -> list[CueResult]:
            raise RuntimeError("once")

    runner = CueRunner(Once(), Events(), Once, step=0.1)
    runner.submit([observe(np.zeros((16, 16, 3), np.uint8))])
    runner.collect()
    assert begun == [0.1, 0.1]


def test_warm_up_follows_from_what_cues_declare(networks: Networks) -> None:
    length = networks.fusion.network.sequence_len

    def of(*pasts: int | None) -> int | None:
        cues = [Smile(f"cue{k}", past=past) for k, past in enumerate(pasts)]
        return Pipeline(PredictSettings(), networks, cues=cues).warm_up

    # Contributions are held for two seconds, 50 frames, and maps averaged over 0.4 s, 10 frames.
    held = 49 + 9
    assert of(0) == length - 1 + held
    assert of(3, 50) == 50 + length - 1 + held
    assert of(3, None) is None
    assert warm_up([], 1) == 0
    assert (warm_up([2], 4, 1), warm_up([2], 4, 5), warm_up([2], 4, 5, 9)) == (5, 9, 18)
    # Liveliness of mouths fades for ten seconds, motion for two.
    assert Pipeline(PredictSettings(), networks).warm_up == 53 + length - 1 + held
    assert Pipeline(PredictSettings(why=0), networks).warm_up == 53 + length - 1 + 9
    without = PredictSettings(cues=("captured", "motion"), why=0)
    assert Pipeline(without, networks).warm_up == 50 + length - 1 + 9


# --- the earlier contract -------------------------------------------------------------------------------------------


class OldSmile:
    name = "smile"
    sound_rate = 44100

    def __init__(self) -> None:
        self.failures = 0

    def step(self, observation: Observation) -> NDArray[np.uint8]:
        self.failures += 1
        for one in observation.faces:
            one.found["smile"] = float(observation.frame.index)  # type: ignore[index]
        return np.full(observation.grid, 7, np.uint8)


class OldAhead(OldSmile):
    future = 1

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[Observation] = deque()

    def push(self, observations: Sequence[Observation]) -> list[NDArray[np.uint8]]:
        self.waiting.extend(observations)
        return [self.step(self.waiting.popleft()) for _ in range(len(self.waiting) - 1)]

    def finish(self) -> list[NDArray[np.uint8]]:
        return [self.step(self.waiting.popleft()) for _ in range(len(self.waiting))]


@pytest.mark.parametrize(("old", "base"), [(OldSmile, "FrameCue"), (OldAhead, "Cue")])
def test_objects_of_the_earlier_contract_work_with_a_warning(
    old: Any, base: str, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    watch = Smile("watch")
    with pytest.warns(DeprecationWarning, match=rf"'smile'.*gasp\.cues\.cue\.{base} "):
        pipeline = Pipeline(PredictSettings(batch=2), networks, cues=[old(), watch])
    pipeline._detector = OneFace()
    assert (pipeline.latency, pipeline.sound_rate, pipeline.warm_up) == (int(old is OldAhead), 44100, None)
    predictions = list(predict_source(open_source(pictures[:3]), pipeline))
    assert [p.faces[0].found["smile"] for p in predictions] == [0, 1, 2]
    assert all((p.cues["smile"] == 7).all() for p in predictions)
    assert all(not o.faces[0].found for o in watch.seen)
    assert pipeline.events == {"cue smile gave values that are not numbers": 3}


def test_what_is_no_cue_is_refused(networks: Networks) -> None:
    with pytest.raises(UsageError, match=r"OneFace is no cue.*FrameCue with step"):
        as_cue(OneFace())
    smile = Smile()
    assert as_cue(smile) is smile


def test_faces_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        face((1, 2, 3, 4)).score = 0.5  # type: ignore[misc]


# --- a start in the middle ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("piece", "every"), [(0, 1), (2, 1), (1, 2)])
def test_observations_say_where_in_the_video_they_are(
    piece: int, every: int, tmp_path: Path, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 19200)).astype(np.float32)
    path = write_video(tmp_path / "clip.mp4", pictures, sound=sound)
    watch, whole = Smile(), Smile()
    with open_source(path) as source:
        settings = PredictSettings(every=every, batch=2)
        list(predict_source(source, Pipeline(settings, networks, cues=[whole])))
        grid = Grid(length=2, warm_up=0, block=2, every=every)
        list(predict_pieces(source, lambda: Pipeline(settings, networks, cues=[watch]), grid, first=piece))
        assert {o.start for o in whole.seen} == {source.start_time}
    assert [o.number for o in whole.seen] == list(range(len(whole.seen)))
    for seen, expected in zip(watch.seen, whole.seen[2 * piece :], strict=True):
        assert (seen.number, seen.start) == (expected.number, expected.start)
        assert (seen.frame.index, seen.frame.time) == (expected.frame.index, expected.frame.time)
        assert seen.sound is not None
        assert expected.sound is not None
        assert len(seen.sound) == len(expected.sound)
