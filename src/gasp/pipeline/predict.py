"""The file driver: every frame of a source, in blocks, lazily and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gasp.config.settings import PredictSettings
from gasp.pipeline.pieces import Ended, Grid, Predicted, grid_of, predict_pieces
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.predictor import Predictor
from gasp.video import VideoSource, open_source


def predict(source: Any, **settings: Any) -> Iterator[Prediction]:
    """Predict where people look, frame by frame.

    Nothing is computed before the first prediction is asked for, but the source is opened and settings are checked at
    once.

    Args:
        source: The path of a video, image or folder of numbered images, or images in memory, as
            :func:`gasp.video.open_source` takes them.
        settings: Fields of :class:`gasp.config.settings.PredictSettings`, such as ``pipeline``, the name of a preset
            or a file.

    Yields:
        A :class:`~gasp.pipeline.prediction.Prediction` per frame.

    Raises:
        InputError: The source cannot be read.
        UsageError: Settings are wrong.
        WeightsError: Weights must be downloaded first.
    """
    checked = PredictSettings.read(settings)
    opened = source if isinstance(source, VideoSource) else open_source(source)
    return _close_after(opened, predict_video(opened, Predictor.load(checked)))


def predict_video(source: VideoSource, predictor: Predictor) -> Iterator[Prediction]:
    """Predictions of all frames of an open source, piece by piece: what ``gasp predict`` writes down.

    When the source fails on the way, the frames before that are still predicted; then its error is raised.
    """
    grid = grid_of(source, predictor.begin(source))
    return _predictions(predict_pieces(source, lambda: predictor.begin(source), grid))


def predict_source(source: VideoSource, pipeline: Pipeline) -> Iterator[Prediction]:
    """Predictions of all frames of an open source through this one new pipeline, which remembers what it does remember.

    When the source fails on the way, the frames before that are still predicted; then its error is raised.
    """
    whole = Grid(None, 0, pipeline.settings.batch, pipeline.settings.every)
    return _predictions(predict_pieces(source, lambda: pipeline, whole))


def _predictions(steps: Iterator[Predicted | Ended]) -> Iterator[Prediction]:
    for step in steps:
        if isinstance(step, Predicted):
            yield step.prediction


def _close_after(source: VideoSource, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
    try:
        yield from predictions
    finally:
        source.close()
