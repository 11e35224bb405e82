"""One client's stream: a pipeline with its memory, and which result belongs to which frame."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from gasp.errors import GaspError
from gasp.messages import Message
from gasp.node.outcome import result_message
from gasp.node.protocol import Hello, RefusedError, Tag, read_image, read_sound
from gasp.pipeline.live import SPREAD
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.predictor import Predictor
from gasp.video.frames import Frame

log = logging.getLogger(__name__)

LONGEST_GAP = 10.0
"""Seconds between two frames that are taken as they are; after a longer gap a clock was set."""
_LONGEST_SOUND = 10.0


@dataclass(frozen=True, slots=True)
class _Sent:
    """A frame that waits for its result: its tag, its place in the stream, and how long things took, in seconds."""

    tag: Tag
    diagnostics: dict[str, Any]


class Stream:
    """Frames of one client in, results out, in order.

    Time on the pipeline's clock always goes forward: a frame whose time is not after that of the one before, or more
    than :data:`LONGEST_GAP` after it, counts as one step later, and those that follow it are shifted likewise. A
    picture of another size, and a failure, begin the stream anew: nothing is remembered of what was before, people get
    new identities.
    """

    def __init__(self, predictor: Predictor, hello: Hello) -> None:
        self.hello = hello
        self._predictor = predictor
        self._ready: deque[Message] = deque()
        self._sent: deque[_Sent] = deque()
        self._count = 0
        self._clock = Clock(hello.step)
        self._pipeline = self._make_pipeline()
        self._forget()

    def _make_pipeline(self) -> Pipeline:
        settings, networks = self._predictor.settings, self._predictor.networks
        # A whole look at contributions would let all clients wait.
        return Pipeline(settings, networks, step=self.hello.step, spread=SPREAD)

    def _begin(self) -> None:
        self._pipeline.close()
        self._pipeline = self._make_pipeline()
        self._forget()

    def _forget(self) -> None:
        self._index = 0
        self._size: tuple[int, ...] | None = None
        self._resampler: tuple[int, soxr.ResampleStream] | None = None
        self._events: Counter[str] = Counter()

    @property
    def latency(self) -> int:
        """Frames by which results may lag behind frames."""
        return self._pipeline.latency

    @property
    def sound_rate(self) -> int:
        """Samples per second that the cues listen to."""
        return self._pipeline.sound_rate

    def step(self, message: Message, tag: Tag, waited: float, decoded: float) -> Message | None:
        """Take a frame; the next result, None where none is complete.

        Args:
            message: with the arrays of the frame.
            tag: of the frame.
            waited: seconds that the frame waited, for its diagnostics.
            decoded: seconds that decoding took, likewise.

        Raises:
            RefusedError: The frame cannot be used; or computing failed, and frames that had no result yet are lost.
        """
        image, sound = read_image(message), read_sound(message)
        sequence = self._count if tag.sequence is None else tag.sequence
        self._count = (sequence + 1) % 2**64
        anew = self._size not in (None, image.shape[:2])
        if anew:
            self._finish()
            self._begin()
        self._size = image.shape[:2]
        moment, shifted = self._clock.read(tag)
        began = time.perf_counter()
        diagnostics = {"waited": waited, "decoded": decoded, "time_shifted": shifted, "began_anew": anew}
        self._sent.append(_Sent(replace(tag, sequence=sequence, time=moment), diagnostics))
        try:
            heard = self._hear(sound, tag.sound_rate)
            frame = Frame(self._index, moment, image)
            self._index += 1
            predictions = self._pipeline.step([frame], [heard])
        except Exception as error:
            raise self._failed(error) from error
        diagnostics["computed"] = time.perf_counter() - began
        self._take(predictions)
        return self._ready.popleft() if self._ready else None

    def flush(self) -> Message | None:
        """The next result of frames that were sent; None when there is none left. What comes next begins anew."""
        if not self._ready:
            self._finish()
            if self._index:
                self._begin()
        return self._ready.popleft() if self._ready else None

    def _finish(self) -> None:
        """Results of the frames that wait for later ones."""
        if not self._sent:
            return
        try:
            self._take(self._pipeline.finish())
        except Exception as error:
            raise self._failed(error) from error

    def _take(self, predictions: list[Prediction]) -> None:
        for prediction in predictions:
            sent = self._sent.popleft()
            # Events that no result has told of yet, also those since frames that were complete later.
            new = Counter(self._pipeline.events) - self._events
            self._events += new
            diagnostics = {**sent.diagnostics, "events": dict(new)}
            self._ready.append(result_message(prediction, sent.tag, self.hello.arrays, diagnostics))

    def _failed(self, error: Exception) -> RefusedError:
        """What to tell the client; the stream begins anew."""
        lost = [sent.tag.sequence for sent in self._sent]
        self._sent.clear()
        if not isinstance(error, GaspError):
            log.warning("a frame could not be computed: %s: %s", type(error).__name__, error)
        self._begin()
        what = str(error) if isinstance(error, GaspError) else f"{type(error).__name__}: {error}"
        return RefusedError(
            "failed", f"Computing failed ({what}); frames without a result: {lost}. The stream begins anew."
        )

    def _hear(self, sound: NDArray[np.float32] | None, rate: int | None) -> NDArray[np.float32] | None:
        """Sound at the rate of the pipeline, None where nobody listens."""
        if sound is None or not self._predictor.settings.sound:
            return None
        wanted = self._pipeline.sound_rate
        given = wanted if rate is None else rate
        sound = sound[-round(_LONGEST_SOUND * given) :]
        if given == wanted:
            return sound
        if self._resampler is None or self._resampler[0] != given:
            # What one frame ends with is heard at the beginning of the next: a resampler per stream.
            self._resampler = given, soxr.ResampleStream(given, wanted, 1, dtype="float32", quality="MQ")
        return np.asarray(self._resampler[1].resample_chunk(sound), np.float32)


class Clock:
    """Times of frames, in seconds, that always go forward. ``step``: seconds between frames that tell no time."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._shift = 0.0
        self._last: float | None = None
        self._first_stamp: int | None = None

    def read(self, tag: Tag) -> tuple[float, bool]:
        """When a frame is shown, and whether that is not what its tag says.

        Without ``time``, seconds since the first ``stamp_ns``; without that, a step after the frame before.
        """
        given = tag.time
        if given is None and tag.stamp_ns is not None:
            if self._first_stamp is None:
                self._first_stamp = tag.stamp_ns
            given = (tag.stamp_ns - self._first_stamp) * 1e-9
        if given is None:
            moment = 0.0 if self._last is None else self._last + self._step
            self._last = moment
            return moment, False
        moment = given + self._shift
        if self._last is not None and not self._last < moment <= self._last + LONGEST_GAP:
            moment = self._last + self._step
            self._shift = moment - given
        self._last = moment
        return moment, self._shift != 0
