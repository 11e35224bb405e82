"""The live driver: frames as they happen, each with a known delay."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from gasp.config.settings import PredictSettings
from gasp.errors import GaspError
from gasp.faces.glance_reader import Glimpse, shrink
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.predictor import Predictor
from gasp.video import Frame, VideoSource, open_source
from gasp.video.live import Capture, Captured, CaptureSettings, Feed, FeedEndedError, Pulled, read_address

log = logging.getLogger(__name__)

SPREAD = 2
"""Coalitions per frame over which a look at contributions is spread."""

HIGHEST_LEVEL = 3

COARSE, SMALL = 0.6, 0.75
"""Width and height of the picture that the packaged network looks at from level 2 on, and of the maps that the fusion
takes, as shares of the usual ones."""

IDLE = 0.05
"""Seconds between two calls of :attr:`Live.idle`."""

_STEP_BACK = 1e-3


class Latency(NamedTuple):
    """Where the time from a frame's arrival to its result went, in seconds.

    ``decoding``: before it arrived here; not part of ``total``. ``waiting``: in queues, and for the frames that a cue
    looks ahead. ``looking``: at the picture, by the packaged network. ``computing``: all the rest. ``total``: from
    arrival (the stamp) to the result.
    """

    decoding: float
    waiting: float
    looking: float
    computing: float
    total: float


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How the live driver keeps up.

    ``budget``: seconds from arrival to result above which work is left out, level by level, and below which it is taken
    up again; 0: never. ``update``: the packaged network looks at every so many frames; what it saw is held in between.
    """

    budget: float = 0.2
    update: int = 1


@dataclass(frozen=True, slots=True)
class LiveResult:
    """What is said of one frame, and when.

    ``sequence`` and ``stamp_ns``: see :class:`~gasp.video.live.Captured`. ``level``: what was left out to keep up:
    0 nothing; 1 the packaged network looks at every second frame only, and contributions are seldom looked at anew;
    2 also, picture and maps are smaller; 3 also, only the newest frame is taken. ``ages``: by cue, how many frames
    ago what it shows was seen, and "detection", of faces. ``events``: what went wrong so far without stopping
    anything, by description.
    """

    prediction: Prediction
    sequence: int
    stamp_ns: int
    level: int
    ages: dict[str, int]
    latency: Latency
    events: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of frames so far. When all is over, ``received`` = ``results`` + ``dropped`` + ``failed``; before, ``waiting``
    more of them are under way.
    """

    received: int
    results: int
    dropped: int
    failed: int

    @property
    def waiting(self) -> int:
        """Frames under way."""
        return self.received - self.results - self.dropped - self.failed


class Live:
    """Predicts what a feed gives, while it gives it.

    Iterating gives a :class:`LiveResult` per frame that was not dropped, in order; it ends with the feed, or with
    :meth:`stop`. ``idle`` is called in the caller's thread about twenty times a second while there is nothing to do.
    One thread looks at pictures with the packaged network while the caller's thread does the rest; :meth:`close` ends
    it, as does the end of an iteration, also of an abandoned one.
    """

    def __init__(self, feed: Feed, predictor: Predictor, settings: LiveSettings | None = None) -> None:
        self.feed = feed
        self.settings = settings or LiveSettings()
        self.idle: Callable[[], None] = lambda: None
        self._predictor = predictor
        self._earlier = feed.taken
        self._pipeline = self._begin(feed.fps)
        self._level = _Level(self.settings.budget if feed.live else 0.0)
        self._room = threading.Semaphore(1)
        self._looked: queue.Queue[_Looked | Exception | None] = queue.Queue()
        self._stopped = threading.Event()
        self._abandoned = threading.Event()
        self._looker: threading.Thread | None = None
        self._sent: deque[_Looked] = deque()
        self._results = self._failed = 0
        self._latest: float | None = None
        self._size: tuple[int, int] | None = None
        self._started = False

    @property
    def level(self) -> int:
        """See :class:`LiveResult`."""
        return self._level.value

    @property
    def latency_frames(self) -> int:
        """How many frames the cues look ahead: results come at least so many frames late."""
        return self._pipeline.latency

    @property
    def counts(self) -> Counts:
        """Of frames so far."""
        return Counts(self.feed.received - self._earlier, self._results, self.feed.dropped, self._failed)

    def stop(self) -> None:
        """End after the results of the frames that are under way; may be called from any thread."""
        self._stopped.set()
        self.feed.close()

    def close(self) -> None:
        """End at once; frames under way are given up."""
        self.stop()
        self._abandoned.set()
        self._room.release()
        if self._looker is not None and self._looker is not threading.current_thread():
            self._looker.join()
        self._pipeline.close()

    def __iter__(self) -> Iterator[LiveResult]:
        if self._started:
            raise RuntimeError("a live run can be iterated once")
        self._started = True
        self._looker = threading.Thread(target=self._look_ahead, name="look", daemon=True)
        self._looker.start()
        try:
            while (looked := self._next()) is not None:
                self._room.release()
                if isinstance(looked, Exception):
                    raise looked
                yield from self._predict(looked)
            yield from self._finish()
        finally:
            self.close()

    def _next(self) -> _Looked | Exception | None:
        while True:
            try:
                return self._looked.get(timeout=IDLE)
            except queue.Empty:
                self.idle()

    # --- the thread that looks ----------------------------------------------------------------------------

    def _look_ahead(self) -> None:
        held: Glimpse | None = None
        age = 0
        try:
            while True:
                # A frame is taken only when there is room for it: until then a newer one may come.
                self._room.acquire()
                if self._abandoned.is_set():
                    break
                captured = self._receive()
                if captured is None:
                    break
                taken = time.monotonic_ns()
                level = self._level.value
                every = self.settings.update * (2 if level else 1)
                small = shrink(captured.frame.image) if held is not None and age + 1 < every else None
                if held is not None and small is not None and small.shape == held.small.shape:
                    held, age = replace(held, small=small), age + 1
                else:
                    held, age = self._look(captured, level), 0
                self._looked.put(_Looked(captured, held, age, level, taken, time.monotonic_ns()))
        except Exception as error:  # told where results are taken
            self._looked.put(error)
        else:
            self._looked.put(None)

    def _receive(self) -> Captured | None:
        while True:
            try:
                captured = self.feed.receive(0.5, newest=self._level.value >= HIGHEST_LEVEL)
            except FeedEndedError:
                return None
            if captured is not None:
                return captured
            if self._stopped.is_set():
                return None

    def _look(self, captured: Captured, level: int) -> Glimpse | None:
        if not self._pipeline.reads:
            return None
        if level >= 2:
            return self._predictor.networks.reader.read_coarsely(captured.frame.image, COARSE)
        return self._pipeline.look([captured.frame])[0]

    # --- the caller's thread ------------------------------------------------------------------------------

    def _predict(self, looked: _Looked) -> Iterator[LiveResult]:
        frame = looked.captured.frame
        if self._size not in (None, (frame.height, frame.width)):
            # What cues remember are pictures of the old size.
            yield from self._finish()
            self._begin_anew()
        self._size = (frame.height, frame.width)
        if self._latest is not None and frame.time <= self._latest:
            frame = replace(frame, time=self._latest + _STEP_BACK)
        self._latest = frame.time
        self._sent.append(looked)
        self._pipeline.ease(rest=looked.level > 0, shrink=SMALL if looked.level >= 2 else 1.0)
        began = time.monotonic_ns()
        try:
            predictions = self._pipeline.step([frame], [looked.captured.sound], [looked.glimpse])
        except GaspError:
            raise
        except Exception:
            log.exception("A frame could not be predicted; the pipeline begins anew")
            self._failed += len(self._sent)
            self._sent.clear()
            self._begin_anew()
            return
        yield from self._results_of(predictions, began)

    def _finish(self) -> Iterator[LiveResult]:
        """Results of the frames that still wait for later ones."""
        yield from self._results_of(self._pipeline.finish(), time.monotonic_ns())

    def _results_of(self, predictions: list[Prediction], began: int) -> Iterator[LiveResult]:
        now = time.monotonic_ns()
        for prediction in predictions:
            looked = self._sent.popleft()
            captured = looked.captured
            total = (now - captured.stamp_ns) / 1e9
            looking, computing = (looked.seen - looked.taken) / 1e9, (now - began) / 1e9
            waiting = max(0.0, total - looking - computing)
            latency = Latency(captured.decoding, waiting, looking, computing, total)
            self._results += 1
            if self._level.note(total, self._pipeline.latency / max(1e-3, self.feed.fps)):
                log.info("level %d: %.0f ms from arrival to result", self._level.value, 1000 * total)
            yield LiveResult(
                prediction, captured.sequence, captured.stamp_ns, looked.level,
                self._ages(prediction, looked.age), latency, dict(self._pipeline.events),
            )  # fmt: skip

    def _ages(self, prediction: Prediction, age: int) -> dict[str, int]:
        ages = self._pipeline.ages(age)
        return {name: max(one, prediction.ages.get(name, 0)) for name, one in ages.items()}

    def _begin_anew(self) -> None:
        self._pipeline.close()
        self._pipeline = self._begin(self.feed.fps)

    def _begin(self, fps: float) -> Pipeline:
        settings = self._predictor.settings
        return Pipeline(settings, self._predictor.networks, step=1 / fps if fps > 0 else 0.04, spread=SPREAD)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A frame that was looked at. ``age``: how many frames ago. ``taken``, ``seen``: when, on the clock of stamps."""

    captured: Captured
    glimpse: Glimpse | None
    age: int
    level: int
    taken: int
    seen: int


class _Level:
    """Which work is left out: rises when results are late, falls when they have been early for a while.

    After each fall that did not last, it takes longer until the next one is tried.
    """

    LATE = 5
    """Results in a row that are late before the level rises."""

    EARLY = 50
    """Results in a row that are early before it falls; doubled when the fall did not last, up to 16 times."""

    def __init__(self, budget: float) -> None:
        self.value = 0
        self._budget = budget
        self._late = self._early = 0
        self._patience = self.EARLY
        self._since = 0

    def note(self, latency: float, ahead: float = 0.0) -> bool:
        """Take note of a latency; whether the level changed. ``ahead``: seconds of it for which cues wait by design."""
        if not self._budget:
            return False
        self._since += 1
        late = latency - ahead > self._budget
        early = latency - ahead < 0.6 * self._budget
        self._late = self._late + 1 if late else 0
        self._early = self._early + 1 if early else 0
        if self._late >= self.LATE and self.value < HIGHEST_LEVEL:
            if self.value < HIGHEST_LEVEL and self._since < 2 * self.EARLY:
                self._patience = min(16 * self.EARLY, 2 * self._patience)
            return self._move(1)
        if self._early >= self._patience and self.value:
            return self._move(-1)
        return False

    def _move(self, by: int) -> bool:
        self.value += by
        self._late = self._early = self._since = 0
        return True


def warm_up(predictor: Predictor) -> None:
    """Predict a few grey pictures, so that the first frames of a source need not wait while memory is laid out."""
    pipeline = Pipeline(predictor.settings, predictor.networks)
    picture = np.full((360, 640, 3), 128, np.uint8)
    for index in range(3):
        frame = Frame(index, 0.04 * index, picture)
        pipeline.step([frame], [None], pipeline.look([frame]))


def open_feed(source: Any, settings: CaptureSettings | None = None) -> Feed:
    """A feed of what :func:`stream` takes. Raises :class:`~gasp.errors.InputError` where it cannot be opened."""
    if isinstance(source, Feed):
        return source
    if isinstance(source, VideoSource):
        return Pulled(source)
    if isinstance(source, (int, str)) or hasattr(source, "__fspath__"):
        return Capture(read_address(source), settings).open()
    return Pulled(open_source(source))


class Stream:
    """What :func:`stream` gives: predictions one after another, with what is known of how they came.

    ``live``: the driver beneath, with counts and level.
    """

    def __init__(self, live: Live) -> None:
        self.live = live
        self._results = iter(live)

    def results(self) -> Iterator[LiveResult]:
        """The same, as :class:`LiveResult`."""
        return self._results

    def __iter__(self) -> Iterator[Prediction]:
        return (result.prediction for result in self._results)

    async def __aiter__(self) -> AsyncIterator[Prediction]:
        import asyncio

        try:
            while (result := await asyncio.to_thread(next, self._results, None)) is not None:
                yield result.prediction
        finally:
            self.close()

    def each(self, callback: Callable[[Prediction], object]) -> None:
        """Call ``callback`` with every prediction until the source ends or :meth:`close` is called."""
        for prediction in self:
            callback(prediction)

    def close(self) -> None:
        """Stop; what waits is let go."""
        self.live.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stream(
    source: Any,
    *,
    budget: float = 0.2,
    update: int = 1,
    capture: CaptureSettings | None = None,
    **settings: Any,
) -> Stream:
    """Predict where people look while it happens.

    Args:
        source: The number of a camera, its device, the address of a stream, ``"screen"``, a file (played at its own
            speed), a :class:`~gasp.video.live.Pushed` to push frames into, or pictures in memory, which are all taken,
            as fast as they are predicted.
        budget: Seconds from a frame's arrival to its result, beyond which work is left out; 0: never.
        update: The packaged network looks at every so many frames.
        capture: How a live source is taken.
        settings: Fields of :class:`~gasp.config.settings.PredictSettings`.

    Returns:
        An iterable of :class:`~gasp.pipeline.prediction.Prediction`, also asynchronously.

    Raises:
        InputError: The source cannot be opened.
        UsageError: Settings are wrong.
        WeightsError: Weights must be downloaded first.
    """
    predictor = Predictor.load(PredictSettings.read({"batch": 1, **settings}))
    warm_up(predictor)
    return Stream(Live(open_feed(source, capture), predictor, LiveSettings(budget, update)))
