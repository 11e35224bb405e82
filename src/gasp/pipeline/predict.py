"""The file driver: every frame of a source, in batches, lazily and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.pipeline.pipeline import SOUND_RATE, Pipeline
from gasp.pipeline.prediction import Prediction
from gasp.video import VideoSource, open_source, prefetch
from gasp.video.frames import Frame

Sounds = list[NDArray[np.float32] | None]


def predict(source: Any, **settings: Any) -> Iterator[Prediction]:
    """Predict where people look, frame by frame.

    ``source``: a path of a video, still picture or folder of numbered pictures, or pictures in memory, as
    :func:`gasp.video.open_source` takes them. ``settings``: fields of
    :class:`gasp.config.settings.PredictSettings`.

    Yields a :class:`~gasp.pipeline.prediction.Prediction` per frame; nothing is computed before the first is asked
    for, but the source is opened and settings are checked at once. Raises :class:`gasp.errors.InputError` when the
    source cannot be read and :class:`gasp.errors.UsageError` for wrong settings.
    """
    checked = PredictSettings.read(settings)
    opened = source if isinstance(source, VideoSource) else open_source(source)
    return _close_after(opened, predict_source(opened, Pipeline(checked, step=step_of(opened, checked))))


def step_of(source: VideoSource, settings: PredictSettings) -> float:
    """Seconds between the frames that are predicted."""
    return settings.every / source.fps if source.fps > 0 else 0.04


def predict_source(source: VideoSource, pipeline: Pipeline, *, start_index: int = 0) -> Iterator[Prediction]:
    """Predictions of an open source from frame ``start_index`` on, through a new pipeline."""
    settings = pipeline.settings
    if settings.threads:
        torch.set_num_threads(settings.threads)
    batches = _with_sound(
        source, _batches(source.frames(start_index, settings.every), settings.batch), settings
    )
    # Files are decoded ahead; of pictures in memory, or yet to come, no more is taken than is needed.
    for batch, sounds in batches if source.path is None else prefetch(batches, 2):
        yield from pipeline.step(batch, sounds)


def _with_sound(
    source: VideoSource, batches: Iterator[list[Frame]], settings: PredictSettings
) -> Iterator[tuple[list[Frame], Sounds]]:
    """The batches with the sound of each frame: from its time to the next frame's."""
    step = step_of(source, settings)
    stream = source.sound_stream(SOUND_RATE) if settings.sound and source.has_sound else None
    for batch in batches:
        yield batch, [None if stream is None else stream.window(f.time, f.time + step) for f in batch]


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _close_after(source: VideoSource, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
    try:
        yield from predictions
    finally:
        source.close()
