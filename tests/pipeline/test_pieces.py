"""A video in pieces: the same from wherever one begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gasp.config.settings import PredictSettings
from gasp.pipeline.pieces import Before, Ended, Grid, Predicted, grid_of, predict_pieces
from gasp.pipeline.pipeline import Pipeline
from gasp.video import Sound, VideoSource, open_source
from gasp.video.frames import Frame
from helpers.talk_clip import StandInPredictor

Steps = list[Predicted | Ended]


def settings(**values: Any) -> PredictSettings:
    return PredictSettings(**{"piece": 8, "batch": 4, "cues": ("captured", "faces"), **values})


def video(count: int = 37) -> VideoSource:
    noise = np.random.default_rng(0).normal(0, 0.2, 16000 * 2).astype(np.float32)
    images = np.stack([np.full((12, 16, 3), i, np.uint8) for i in range(count)])
    return open_source(images, sound=Sound(noise, 16000, 0.0))


def walk(source: VideoSource, predictor: StandInPredictor, **options: Any) -> Steps:
    grid = grid_of(source, predictor.begin(source))  # type: ignore[arg-type]
    return list(predict_pieces(source, lambda: predictor.begin(source), grid, **options))  # type: ignore[arg-type, return-value]


def told(steps: Steps) -> list[tuple[int, int, dict[str, float] | None]]:
    return [
        (one.span.number, one.prediction.index, one.prediction.gates)
        for one in steps
        if isinstance(one, Predicted)
    ]


def ends(steps: Steps) -> list[tuple[int, bool]]:
    return [(one.span.number, one.last) for one in steps if isinstance(one, Ended)]


def test_the_grid() -> None:
    grid = Grid(length=8, warm_up=4, block=4, every=3)
    assert [grid.span(0).begin, grid.span(0).first, grid.span(0).stop] == [0, 0, 24]
    assert [grid.span(2).begin, grid.span(2).first, grid.span(2).stop] == [36, 48, 72]
    whole = Grid(None, 0, 4, 1)
    assert whole.span(0).stop is None


@pytest.mark.parametrize(
    ("warm_up", "piece", "batch", "expected"),
    [(100, 0, 8, (2080, 104)), (0, 0, 8, (504, 0)), (5, 0, 4, (500, 8)), (5, 30, 4, (32, 8)), (1, 1, 1, (1, 1)),
     (None, 0, 8, (None, 0))],
)  # fmt: skip
def test_a_warm_up_costs_little(
    warm_up: int | None, piece: int, batch: int, expected: tuple[int | None, int]
) -> None:
    predictor = StandInPredictor(settings(piece=piece, batch=batch), warm_up=warm_up)
    with video() as source:
        grid = grid_of(source, predictor.begin(source))  # type: ignore[arg-type]
    assert (grid.length, grid.warm_up) == expected


@pytest.mark.parametrize("count", [1, 7, 8, 9, 24, 37])
@pytest.mark.parametrize("latency", [0, 1, 5, 11])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("warm_up", [0, 3, 19])
def test_every_frame_once_and_the_same_from_wherever_one_begins(
    count: int, latency: int, every: int, warm_up: int
) -> None:
    def predictor() -> StandInPredictor:
        return StandInPredictor(settings(every=every), warm_up=warm_up, latency=latency)

    with video(count) as source:
        whole = walk(source, predictor())
    frames = list(range(0, count, every))
    assert [index for _, index, _ in told(whole)] == frames
    pieces = -(-len(frames) // 8)
    assert ends(whole) == [(n, n == pieces - 1) for n in range(pieces)]
    for first in range(1, pieces):
        with video(count) as source:
            before = Before([e.people for e in whole if isinstance(e, Ended)][first - 1])
            later = walk(source, predictor(), first=first, before=before)
        assert told(later) == [one for one in told(whole) if one[0] >= first]
        assert ends(later)[-1] == (pieces - 1, True)
        with video(count) as source:
            middle = walk(source, predictor(), first=first, until=first + 1, before=before)
        assert told(middle) == [one for one in told(whole) if one[0] == first]
        assert ends(middle) == [(first, False)]


def test_one_pass_decodes_and_looks_once() -> None:
    looked: list[int] = []

    class Counting(StandInPredictor):
        def begin(self, source: VideoSource) -> Any:
            pipeline = super().begin(source)
            inner = pipeline.look

            def look(frames: list[Frame]) -> list[None]:
                looked.extend(frame.index for frame in frames)
                return inner(frames)

            pipeline.look = look  # type: ignore[method-assign, assignment]
            return pipeline

    with video(37) as source:
        walk(source, Counting(settings(), warm_up=7))
    assert looked == list(range(37))


def test_images_that_are_missing_leave_holes(tmp_path: Path) -> None:
    for index in range(40):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), np.full((12, 16, 3), index, np.uint8))
    for index in (0, 5, 8, 9, 10, 11, 15, 31):
        (tmp_path / f"{index:03d}.png").write_bytes(b"damaged")

    def predictor() -> StandInPredictor:
        return StandInPredictor(settings(), warm_up=6, latency=3)

    with open_source(tmp_path) as source:
        whole = walk(source, predictor())
    assert len(told(whole)) == 32
    for first in range(1, 5):
        with open_source(tmp_path) as source:
            later = walk(source, predictor(), first=first, before=Before(skipped=3))
        assert told(later) == [one for one in told(whole) if one[0] >= first]


def unsteady(count: int = 37) -> VideoSource:
    """Frames at times of their own, and noise as sound."""
    times = np.cumsum(np.random.default_rng(3).uniform(0.005, 0.08, count))
    noise = np.random.default_rng(0).normal(0, 0.2, 16000 * 3).astype(np.float32)
    frames = [Frame(i, float(times[i]), np.full((12, 16, 3), i, np.uint8)) for i in range(count)]
    source = open_source(frames, sound=Sound(noise, 16000, 0.0))
    source.seekable = True
    return source


@pytest.mark.parametrize("latency", [0, 2, 5])
def test_where_frames_are_no_equal_times_apart(latency: int) -> None:
    """The sound of a piece's last frame lasts to the first one of the next piece, whether that is computed or not."""

    def predictor() -> StandInPredictor:
        return StandInPredictor(settings(), latency=latency)

    whole = walk(unsteady(), predictor())
    assert [index for _, index, _ in told(whole)] == list(range(37))
    for first in range(5):
        before = Before([e.people for e in whole if isinstance(e, Ended)][first - 1]) if first else None
        middle = walk(unsteady(), predictor(), first=first, until=first + 1, before=before)
        assert told(middle) == [one for one in told(whole) if one[0] == first]
        assert ends(middle) == [(first, False)]


def test_a_generator_is_one_piece() -> None:
    images = (np.full((12, 16, 3), i, np.uint8) for i in range(30))
    predictor = StandInPredictor(settings(), warm_up=4)
    with open_source(images) as source:
        steps = walk(source, predictor)
    assert ends(steps) == [(0, True)]
    assert len(told(steps)) == 30
    assert len(predictor.begun) == 2, "one told the grid"


@pytest.mark.parametrize("latency", [0, 3, 9])
def test_a_source_that_fails_in_the_middle(latency: int) -> None:
    class Failing(type(video())):  # type: ignore[misc]
        def frames(self, start_index: int = 0, every: int = 1) -> Any:
            for frame in super().frames(start_index, every):
                if frame.index == 18:
                    raise ValueError("torn")
                yield frame

    source = Failing(np.zeros((30, 12, 16, 3), np.uint8))
    steps: Steps = []
    predictor = StandInPredictor(settings(), warm_up=4, latency=latency)
    grid = grid_of(source, predictor.begin(source))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="torn"):  # noqa: PT012
        for step in predict_pieces(source, lambda: predictor.begin(source), grid):  # type: ignore[arg-type, return-value]
            steps.append(step)
    assert [index for _, index, _ in told(steps)] == list(range(18))
    # A piece that was cut off, or waits for frames that never came, has not ended.
    assert ends(steps) == [(n, False) for n in range((18 - latency - 1) // 8)]


def test_a_real_pipeline_gives_the_same_from_wherever_one_begins() -> None:
    """The default pipeline, whose first piece is what it was before there were pieces."""
    from gasp.pipeline.predict import predict_source, predict_video
    from gasp.pipeline.predictor import Predictor

    images = np.random.default_rng(1).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    predictor = Predictor.load(PredictSettings(piece=8, batch=4, device="cpu"))
    with open_source(images) as source:
        pieces = [(p.index, p.saliency.tobytes()) for p in predict_video(source, predictor)]
    with open_source(images) as source:
        pipeline = predictor.begin(source)
        assert isinstance(pipeline, Pipeline)
        whole = [(p.index, p.saliency.tobytes()) for p in predict_source(source, pipeline)]
    assert [index for index, _ in pieces] == list(range(20))
    assert pieces == whole, "20 frames are within the warm-up"


def test_contributions_are_the_same_from_wherever_one_begins() -> None:
    """Looks are five frames apart, and what they found is held; averages reach nine frames back."""
    from gasp.pipeline.predict import predict_source, predict_video
    from gasp.pipeline.predictor import Predictor

    noise = np.random.default_rng(1).integers(0, 255, (48, 140, 3), dtype=np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 3)
    images = np.stack([wide[:, i : i + 64] for i in range(40)])
    read = PredictSettings(piece=8, batch=4, device="cpu", cues=("captured", "glance", "faces"), why=0.2)
    predictor = Predictor.load(read)

    def told(predictions: Any) -> list[tuple[Any, ...]]:
        return [(p.index, p.saliency.tobytes(), p.contributions.maps.tobytes(), p.why) for p in predictions]

    with open_source(images) as source:
        window = predictor.networks.fusion.network.sequence_len
        assert predictor.begin(source).warm_up == window - 1 + 4 + 9
        pieces = told(predict_video(source, predictor))
    with open_source(images) as source:
        whole = told(predict_source(source, predictor.begin(source)))
    assert [row[0] for row in pieces] == list(range(40))
    assert pieces == whole
    assert len({row[3]["glance"] for row in whole}) > 1
