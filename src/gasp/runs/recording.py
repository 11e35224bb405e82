"""Predictions of a live source, written down like those of a run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from gasp.faces.joining import People
from gasp.pipeline.pieces import Ended, Predicted, Span
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.predictor import Predictor
from gasp.results.folder import RunFolder
from gasp.results.manifest import describe_input
from gasp.results.sink import Sink
from gasp.runs.run import Job, RunSummary, output_errors
from gasp.video import Frame, SoundStream, VideoSource
from gasp.video.live import Feed
from gasp.visualize.overlay import shrink_prediction
from gasp.work.folder import WorkFolder
from gasp.work.progress import silent

log = logging.getLogger(__name__)

PIECE = 500
"""Frames after which what was recorded so far is safe on disk."""


class Recorded(VideoSource):
    """A live source as results know it: what was recorded of it cannot be read again, and its sound is not kept."""

    live = True
    seekable = False
    has_sound = False

    def __init__(self, feed: Feed) -> None:
        self.name = feed.label
        self.path = None
        self.width, self.height, self.fps = feed.width, feed.height, feed.fps
        self.frame_count = self.duration = None
        self.start_time = 0.0
        self.clock = feed.clock

    def frames(self, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        """None: they are gone."""
        return iter(())

    def sound_stream(self, rate: int = 16000) -> SoundStream | None:
        """None."""
        return None


class Recording:
    """Takes predictions one after another; times count from the first one, and all pictures get its size.

    Args:
        feed: The source.
        predictor: What predicts.
        sinks: What is made of the predictions.
        folder: Where results go, which must not hold results yet.

    Raises:
        OutputError: Something is in the way, or cannot be written.
    """

    def __init__(self, feed: Feed, predictor: Predictor, sinks: Sequence[Sink], folder: RunFolder) -> None:
        self.folder = folder
        self._feed = feed
        self._open = ExitStack()
        self._sinks = list(sinks)
        self._predictor = predictor
        self._job: Job | None = None
        self._count = 0
        self._start = 0.0
        self._size: tuple[int, int] | None = None
        self._before: Counter[str] = Counter()
        self._work = WorkFolder(folder.work)
        self._open.enter_context(self._work.locked())
        with output_errors(folder):
            folder.check([name for sink in self._sinks for name in sink.files], overwrite=False)

    def take(self, prediction: Prediction, events: Mapping[str, int] | None = None) -> None:
        """The next prediction; ``events``: what went wrong so far."""
        height, width = prediction.image.shape[:2]
        if self._job is None:
            self._start, self._size = prediction.time, (height, width)
            self._job = self._begin(width, height)
        elif self._size is not None and (height, width) != self._size:
            prediction = shrink_prediction(prediction, self._size[1], self._size[0])
        number = self._count // PIECE
        span = Span(number, number * PIECE, number * PIECE, (number + 1) * PIECE)
        timed = replace(prediction, index=self._count, time=prediction.time - self._start)
        self._job.take(Predicted(span, timed))
        self._count += 1
        if self._count % PIECE == 0:
            self._end_piece(events, last=False)

    def finish(self, events: Mapping[str, int] | None = None) -> RunSummary | None:
        """Puts the results in their place; None where there was not one prediction."""
        with self._open:
            job = self._job
            if job is None:
                self._work.remove()
                return None
            if self._count % PIECE:
                self._end_piece(events, last=True)
            try:
                job.finish()
            except BaseException:
                job.save_partial()
                raise
            return RunSummary(
                self._feed.label, self.folder.folder, job.frames_done, 0, dict(job.events()), False
            )

    def abandon(self) -> None:
        """Something failed: what is there is published as partial. Never raises."""
        with self._open:
            if self._job is not None:
                self._job.save_partial()

    def _begin(self, width: int, height: int) -> Job:
        source = Recorded(self._feed)
        source.width, source.height = width, height
        facts = describe_input(source)
        with output_errors(self.folder):
            kept = self._work.begin(None, {"input": facts}, anew=True)
        return Job(
            source, self._predictor, self._sinks, self.folder, self._work, facts, None, False, silent, kept
        )

    def _end_piece(self, events: Mapping[str, int] | None, *, last: bool) -> None:
        assert self._job is not None
        number = (self._count - 1) // PIECE
        span = Span(number, number * PIECE, number * PIECE, (number + 1) * PIECE)
        now = Counter(events or {})
        self._job.take(Ended(span, last, People(), now - self._before))
        self._before = now
