"""The file driver: every frame of a source, in batches, lazily and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.faces.glance_reader import Glimpse
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.prediction import Prediction
from gasp.video import VideoSource, open_source, prefetch
from gasp.video.frames import Frame

Sound: TypeAlias = NDArray[np.float32] | None
Looked: TypeAlias = tuple[list[Frame], list[Sound], list[Glimpse | None]]
Item = TypeVar("Item")


LONGEST_SOUND = 10.0
"""Seconds of sound that belong to one frame at most: a still picture may stand for an hour."""


def predict(source: Any, **settings: Any) -> Iterator[Prediction]:
    """Predict where people look, frame by frame.

    ``source``: a path of a video, still picture or folder of numbered pictures, or pictures in memory, as
    :func:`gasp.video.open_source` takes them. ``settings``: fields of
    :class:`gasp.config.settings.PredictSettings`, such as ``pipeline``, the name of a preset or a file.

    Yields a :class:`~gasp.pipeline.prediction.Prediction` per frame; nothing is computed before the first is asked
    for, but the source is opened and settings are checked at once. Raises :class:`gasp.errors.InputError` when the
    source cannot be read, :class:`gasp.errors.UsageError` for wrong settings and :class:`gasp.errors.WeightsError`
    for weights that must be downloaded first.
    """
    checked = PredictSettings.read(settings)
    opened = source if isinstance(source, VideoSource) else open_source(source)
    return _close_after(opened, predict_source(opened, Pipeline(checked, step=step_of(opened, checked))))


def step_of(source: VideoSource, settings: PredictSettings) -> float:
    """Seconds between the frames that are predicted."""
    return settings.every / source.fps if source.fps > 0 else 0.04


def predict_source(source: VideoSource, pipeline: Pipeline, *, start_index: int = 0) -> Iterator[Prediction]:
    """Predictions of an open source from frame ``start_index`` on, through a new pipeline.

    When the source fails on the way, the frames before that are still predicted; then its error is raised.
    """
    settings = pipeline.settings
    pipeline.begin(source.start_time)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    frames = source.frames(start_index, settings.every)
    items = _with_sound(source, frames, pipeline.sound_rate, settings)
    plain = _batches(items, settings.batch)
    if source.path is None:
        # Of pictures in memory, or yet to come, no more is taken than is needed.
        batches = _looked_at(plain, pipeline)
    else:
        batches = prefetch(_looked_at(prefetch(plain, 2), pipeline), 1)
    error = None
    try:
        while True:
            try:
                batch = next(batches, None)
            except Exception as problem:
                error, batch = problem, None
            if batch is None:
                break
            yield from pipeline.step(*batch)
    finally:
        batches.close()  # type: ignore[attr-defined]
    yield from pipeline.finish()
    if error is not None:
        raise error


def _looked_at(batches: Iterator[list[tuple[Frame, Sound]]], pipeline: Pipeline) -> Iterator[Looked]:
    """The batches as :meth:`Pipeline.step` takes them."""
    try:
        for batch in batches:
            frames = [frame for frame, _ in batch]
            yield frames, [sound for _, sound in batch], pipeline.look(frames)
    finally:
        batches.close()  # type: ignore[attr-defined]


def _with_sound(
    source: VideoSource, frames: Iterator[Frame], rate: int, settings: PredictSettings
) -> Iterator[tuple[Frame, Sound]]:
    """Each frame with its sound: from its time to the next frame's."""
    stream = source.sound_stream(rate) if settings.sound and source.has_sound else None
    if stream is None:
        yield from ((frame, None) for frame in frames)
        return
    for frame, end in _with_ends(frames, step_of(source, settings)):
        yield frame, stream.window(frame.time, min(end, frame.time + LONGEST_SOUND))


def _with_ends(frames: Iterator[Frame], step: float) -> Iterator[tuple[Frame, float]]:
    """Each frame with the time at which the next one begins; the last one lasts as long as the one before it.

    ``step``: seconds that a frame lasts where its neighbours do not tell.
    """
    held: Frame | None = None
    try:
        for frame in frames:
            if held is not None:
                step = frame.time - held.time if frame.time > held.time else step
                yield held, held.time + step
            held = frame
    except Exception:
        if held is not None:
            yield held, held.time + step
        raise
    if held is not None:
        yield held, held.time + step


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items; the unfinished one comes also before an error of ``items``."""
    batch: list[Item] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _close_after(source: VideoSource, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
    try:
        yield from predictions
    finally:
        source.close()
