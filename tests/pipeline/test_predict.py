"""``gasp.predict`` with the packaged weights; they may be replaced, so nothing here depends on their values."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import gasp
from gasp.config.settings import DEFAULT_CUES, PredictSettings
from gasp.cues.cue import FrameCue
from gasp.errors import InputError, UsageError
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source
from gasp.pipeline.prediction import Prediction
from gasp.video import open_source
from gasp.video.frames import Frame
from helpers.videos import moving_square, write_video


def check(prediction: Prediction, image: NDArray[np.uint8], cues: tuple[str, ...] = DEFAULT_CUES) -> None:
    """What the contract says of a prediction for ``image``."""
    height, width = image.shape[:2]
    assert type(prediction.index) is int
    assert type(prediction.time) is float
    saliency = prediction.saliency
    assert saliency.dtype == np.float32
    assert saliency.ndim == 2
    assert np.isfinite(saliency).all()
    assert saliency.min() == 0
    assert saliency.max() in (0, 1)
    assert prediction.gates is not None
    assert set(prediction.gates) <= set(DEFAULT_CUES)
    assert all(type(gate) is float and 0 <= gate <= 1 for gate in prediction.gates.values())
    assert prediction.why is not None
    assert set(prediction.why) == set(DEFAULT_CUES)
    assert all(type(share) is float and 0 <= share <= 1 for share in prediction.why.values())
    assert set(prediction.cues) == set(cues)
    for drawn in prediction.cues.values():
        assert drawn.dtype == np.uint8
        assert drawn.ndim == 2 or drawn.shape[2:] == (3,)
    for face in prediction.faces:
        assert type(face.track_id) is int
        assert face.track_id >= 1
        assert 0 <= face.score <= 1
        x1, y1, x2, y2 = (float(side) for side in face.box)
        assert x1 < x2
        assert y1 < y2
        assert ("speaking" in face.found) == ("speaking" in cues)
        assert set(face.why) == set(prediction.why)
    x, y, value = prediction.focus
    assert type(x) is type(y) is type(value) is float
    assert 0 <= x <= width
    assert 0 <= y <= height
    assert value == saliency.max()
    row, column = int(y * saliency.shape[0] / height), int(x * saliency.shape[1] / width)
    assert saliency[row, column] == value
    assert prediction.image.shape == (height, width, 3)


def test_predictions_have_what_the_contract_says(pictures: NDArray[np.uint8]) -> None:
    predictions = list(gasp.predict(pictures))
    assert [p.index for p in predictions] == list(range(10))
    assert [p.time for p in predictions] == pytest.approx([i / 25 for i in range(10)])
    for prediction, image in zip(predictions, pictures, strict=True):
        check(prediction, image)
        np.testing.assert_array_equal(prediction.image, image)


def summary(predictions: list[Prediction]) -> list[Any]:
    return [[(face.track_id, *np.round(face.box, 3)) for face in p.faces] for p in predictions]


def test_the_batch_size_does_not_matter(pictures: NDArray[np.uint8]) -> None:
    one, eight = (list(gasp.predict(pictures, batch=batch)) for batch in (1, 8))
    for alone, together in zip(one, eight, strict=True):
        np.testing.assert_allclose(together.saliency, alone.saliency, atol=1e-4)
        assert together.why == pytest.approx(alone.why, abs=1e-3)
        assert together.gates == pytest.approx(alone.gates, abs=1e-4)
        for name, drawn in alone.cues.items():
            assert np.abs(drawn.astype(int) - together.cues[name]).max() <= 1
    assert [[face[0] for face in row] for row in summary(one)] == [
        [face[0] for face in row] for row in summary(eight)
    ]
    assert summary(eight) == summary(list(gasp.predict(pictures, batch=8)))


def test_a_source_is_read_only_as_far_as_needed(pictures: NDArray[np.uint8]) -> None:
    taken = []

    def endless() -> Iterator[NDArray[np.uint8]]:
        for index in range(10**6):
            taken.append(index)
            yield pictures[index % 10]

    predictions = gasp.predict(endless(), batch=2)
    assert len(taken) <= 1  # the first picture tells the size
    next(predictions)
    for _ in range(3):
        next(predictions)
    assert len(taken) < 24
    predictions.close()  # type: ignore[attr-defined]
    read = len(taken)
    time.sleep(0.05)
    assert len(taken) == read


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(networks: Networks, pictures: NDArray[np.uint8]) -> None:
    source = open_source(pictures[index % 10] for index in range(72))
    used = []
    tracemalloc.start()
    try:
        for prediction in predict_source(source, Pipeline(PredictSettings(batch=4), networks)):
            if prediction.index % 8 == 7:
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(used[5:]) < max(used[:5]) + 2e6


def test_every_n_th_frame(pictures: NDArray[np.uint8]) -> None:
    predictions = list(gasp.predict(pictures, every=4))
    assert [p.index for p in predictions] == [0, 4, 8]
    assert [p.time for p in predictions] == pytest.approx([0, 0.16, 0.32])
    np.testing.assert_array_equal(predictions[2].image, pictures[8])


def test_cues_that_are_left_out_are_not_computed(pictures: NDArray[np.uint8]) -> None:
    for prediction in gasp.predict(pictures[:3], cues=("faces", "captured")):
        check(prediction, pictures[0], ("captured", "faces"))
        assert list(prediction.cues) == ["captured", "faces"]


def test_without_faces_nobody_is_found(pictures: NDArray[np.uint8]) -> None:
    for prediction in gasp.predict(pictures[:2], faces="none"):
        assert prediction.faces == []
        assert not prediction.cues["faces"].any()


def test_sound_reaches_the_cues_frame_by_frame(
    tmp_path: Path, networks: Networks, pictures: NDArray[np.uint8]
) -> None:
    class Ear(FrameCue):
        name = "ear"

        def __init__(self) -> None:
            self.heard: list[NDArray[np.float32] | None] = []

        def step(self, observation: Any) -> NDArray[np.uint8]:
            self.heard.append(observation.sound)
            assert observation.sound_rate == 16000
            return np.zeros(observation.grid, np.uint8)

    sound = np.zeros((1, 19200), np.float32)  # 0.4 s at 48 kHz; from the fifth frame on there is a tone
    sound[:, 7680:] = 0.5 * np.sin(np.arange(11520) * 0.1)
    path = write_video(tmp_path / "clip.mp4", pictures, sound=sound)
    loudness = {}
    for on in (True, False):
        ear = Ear()
        pipeline = Pipeline(PredictSettings(sound=on, batch=3), networks, cues=[ear])
        with open_source(path) as source:
            assert len(list(predict_source(source, pipeline))) == 10
        loudness[on] = [None if h is None else (len(h), float(np.abs(h).max())) for h in ear.heard]
    assert loudness[False] == [None] * 10
    assert [count for count, _ in loudness[True]] == [640] * 10
    assert max(loud for _, loud in loudness[True][:3]) < 0.05
    assert min(loud for _, loud in loudness[True][5:9]) > 0.3


@pytest.mark.parametrize(
    "image",
    [
        np.full((1, 1, 3), 90, np.uint8),
        np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 255, (40, 60, 1), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 255, (40, 60, 4), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 255, (3, 500, 3), dtype=np.uint8),
        np.zeros((40, 60, 3), np.uint8),
        pytest.param(np.zeros((4000, 8000, 3), np.uint8), marks=pytest.mark.slow),
    ],
    ids=["1x1", "grey", "grey-1", "rgba", "3x500", "black", "8000x4000"],
)
def test_pictures_of_any_kind_and_size(image: NDArray[np.uint8]) -> None:
    predictions = list(gasp.predict([image, image]))
    assert len(predictions) == 2
    for prediction in predictions:
        check(prediction, image)


def test_frames_keep_times_of_their_own(pictures: NDArray[np.uint8]) -> None:
    times = [5.0, 5.04, 5.2, 5.21]
    frames = [Frame(index, at, pictures[index]) for index, at in enumerate(times)]
    assert [p.time for p in gasp.predict(frames)] == times


def test_a_first_picture_that_comes_late(tmp_path: Path, pictures: NDArray[np.uint8]) -> None:
    sound = 0.1 * np.ones((1, 96000), np.float32)
    times = [0.5 + index / 25 for index in range(4)]
    path = write_video(tmp_path / "late.mkv", pictures[:4], times=times, sound=sound)
    assert [p.time for p in gasp.predict(path)] == pytest.approx(times, abs=0.03)


def test_bad_sources_and_settings_are_refused_at_once(tmp_path: Path, pictures: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="nowhere"):
        gasp.predict(tmp_path / "nowhere.mp4")
    with pytest.raises(InputError, match="empty"):
        gasp.predict([])
    with pytest.raises(UsageError, match="every"):
        gasp.predict(pictures, every=0)


@pytest.mark.parametrize("name", ["cuda", "cuda:99", "mps", "xpu", "cpu:7"])
def test_a_device_that_is_not_there_is_named(name: str, pictures: NDArray[np.uint8]) -> None:
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(UsageError, match=f"device = '{name}' cannot be used"):
        gasp.predict(pictures, device=name)


def test_videos_can_be_predicted_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", moving_square(3))
    with open_source(path) as source:
        first, second = (list(gasp.predict(source)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.saliency, other.saliency)
