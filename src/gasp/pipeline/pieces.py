"""A video in pieces that depend on the video alone.

A grid of a fixed number of frames lies over the video. Every piece is computed by a pipeline of its own that begins
some frames earlier, as many as its cues and its fusion remember, so that a piece is the same whether the ones before
it were computed just now, yesterday, or on another machine. Frames are computed in blocks that lie on the grid, too,
since the last digit of a network's output depends on how frames are grouped.

In one pass over a video frames are decoded, and the packaged network looks at them, once: where two pieces meet, both
pipelines are given the same frames.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from gasp.config.settings import PredictSettings
from gasp.faces.glance_reader import Glimpse
from gasp.faces.joining import FaceJoiner, People, Seen, seen
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.timing import Sound, step_of, with_ends
from gasp.video import SoundStream, VideoSource, prefetch
from gasp.video.frames import Frame

SHORTEST = 500
"""Frames of a piece at least."""

WARM_UPS = 20
"""A piece has at least so many times the frames that are computed again before it: they cost at most 5 % more."""

LONGEST_SOUND = 10.0
"""Seconds of sound that belong to one frame at most: a still picture may stand for an hour."""


@dataclass(frozen=True, slots=True)
class Span:
    """The frames of one piece: from index ``first`` up to, without, ``stop`` (None: the end of the video).

    Computing starts at ``begin``.
    """

    number: int
    begin: int
    first: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class Grid:
    """Where pieces begin and end; all numbers count predicted frames.

    ``length``: of a piece, None for one piece however long the video. ``warm_up``: before a piece. ``block``: frames
    that are computed together. ``every``: indices between predicted frames.
    """

    length: int | None
    warm_up: int
    block: int
    every: int

    def span(self, number: int) -> Span:
        """The piece of that number, from 0."""
        if self.length is None:
            return Span(0, 0, 0, None)
        first = number * self.length
        begin = max(0, first - self.warm_up)
        return Span(number, *(self.every * frame for frame in (begin, first, first + self.length)))

    def block_of(self, index: int) -> int:
        """The number of the block that the frame of this index is in."""
        return index // (self.every * self.block)


def grid_of(source: VideoSource, pipeline: Pipeline) -> Grid:
    """The grid over a source for pipelines like this one.

    One piece, where cues remember everything since the beginning, or the source cannot be read from another place.
    """
    settings, warm_up = pipeline.settings, pipeline.warm_up
    block = settings.batch
    if warm_up is None or not source.seekable:
        return Grid(None, 0, block, settings.every)
    warm_up = _whole_blocks(warm_up, block)
    length = settings.piece or max(SHORTEST, WARM_UPS * warm_up)
    return Grid(_whole_blocks(max(1, length), block), warm_up, block, settings.every)


def _whole_blocks(frames: int, block: int) -> int:
    return -(-frames // block) * block


@dataclass(frozen=True, slots=True)
class Before:
    """What a piece must know of the pieces before it, to give people the same numbers.

    ``people``: everybody so far. ``seen``: who was where in the latest frames, at least those of a warm-up.
    ``skipped``: images that the source had to leave out so far.
    """

    people: People = field(default_factory=People)
    seen: Sequence[Seen] = ()
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Predicted:
    """A frame of the piece ``span``."""

    span: Span
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Ended:
    """The piece ``span`` is over; ``last``: and so is the video.

    ``people``: everybody up to here. ``events``: what went wrong in it without stopping it, by description.
    """

    span: Span
    last: bool
    people: People
    events: Counter[str]


@dataclass(frozen=True, slots=True)
class _Block:
    """Frames that are computed together, with their sound for each piece that is given them."""

    frames: list[Frame]
    sounds: dict[int, list[Sound]]
    glimpses: list[Glimpse | None] = field(default_factory=list)


def predict_pieces(
    source: VideoSource,
    begin: Callable[[], Pipeline],
    grid: Grid,
    *,
    first: int = 0,
    until: int | None = None,
    before: Before | None = None,
) -> Iterator[Predicted | Ended]:
    """Predictions of the pieces from number ``first`` up to, without, ``until`` (None: to the end), in order.

    When the source fails on the way, the frames before that are still predicted; then its error is raised. The piece
    that is cut off so does not end: it would be another one if the source went on.

    Args:
        source: An open source.
        begin: Makes a pipeline without any memory for this source.
        grid: Of this source and such pipelines.
        first: The first piece.
        until: The piece after the last one.
        before: What is known of the pieces before ``first``.
    """
    before = before or Before()
    pipeline = begin()
    reach = pipeline.latency * grid.every
    frames = _frames(source, grid, first, until, reach, before)
    plain = _with_sound(source, frames, grid, first, until, reach, pipeline)
    # Of pictures that are yet to come no more is taken than is needed.
    ahead = source.seekable and not source.live
    blocks = prefetch(_looked_at(prefetch(plain, 2), pipeline), 1) if ahead else _looked_at(plain, pipeline)
    walk = _Walk(pipeline, begin, source.start_time, grid, first, until, before)
    error = None
    try:
        while True:
            try:
                block = next(blocks, None)
            except Exception as problem:
                error, block = problem, None
            if block is None:
                break
            yield from walk.step(block)
        blocks.close()  # type: ignore[attr-defined]
        yield from walk.finish(ended=error is None)
    finally:
        blocks.close()  # type: ignore[attr-defined]
        walk.close()
    if error is not None:
        raise error


@dataclass(slots=True)
class _Active:
    """A piece under way.

    ``begun``: whether a frame of it was predicted. ``finished``: whether its pipeline was. ``events``: what that had
    counted before the piece's first frame.
    """

    span: Span
    pipeline: Pipeline
    joiner: FaceJoiner
    begun: bool = False
    finished: bool = False
    events: Counter[str] | None = None


class _Walk:
    """Gives every piece its frames and takes its predictions."""

    def __init__(
        self,
        pipeline: Pipeline,
        begin: Callable[[], Pipeline],
        start_time: float,
        grid: Grid,
        first: int,
        until: int | None,
        before: Before,
    ) -> None:
        self._begin, self._start_time, self._grid = begin, start_time, grid
        self._next, self._until = first, until
        self._people = before.people
        self._unused: Pipeline | None = pipeline
        kept = grid.warm_up + grid.block + pipeline.latency
        self._seen: deque[Seen] = deque(before.seen, maxlen=kept)
        self._active: deque[_Active] = deque()
        self._tracks = pipeline.settings.face_finding.tracking

    def step(self, block: _Block) -> Iterator[Predicted | Ended]:
        for active in self._with_new(block.frames[0].index):
            sounds = block.sounds.get(active.span.number)
            if sounds is None:
                continue  # past its end
            if active.events is None and block.frames[-1].index >= active.span.first:
                active.events = Counter(active.pipeline.events)
            yield from self._emit(active, active.pipeline.step(block.frames, sounds, block.glimpses))

    def finish(self, *, ended: bool) -> Iterator[Predicted | Ended]:
        """No more frames come: the last piece that has any ends, unless it was cut off (not ``ended``)."""
        for active in list(self._active):
            yield from self._emit(active, self._rest(active), ended=ended)
        # With its first frame a piece has ended the one before it: only the last one that has any is left.
        for active in self._active:
            if active.begun and ended:
                yield self._end(active, last=self._until is None)

    def close(self) -> None:
        """The pipelines give up what they hold outside; nothing is asked of them any more."""
        for active in self._active:
            active.pipeline.close()

    def _with_new(self, index: int) -> list[_Active]:
        """The pieces under way, with those that begin at this frame."""
        while self._until is None or self._next < self._until:
            span = self._grid.span(self._next)
            if span.begin > index or (self._grid.length is None and self._next > span.number):
                break
            pipeline, self._unused = self._unused or self._begin(), None
            pipeline.begin(self._start_time)
            self._active.append(_Active(span, pipeline, FaceJoiner(self._seen)))
            self._next += 1
        return list(self._active)

    def _emit(
        self, active: _Active, predictions: list[Prediction], *, ended: bool = True
    ) -> Iterator[Predicted | Ended]:
        span = active.span
        for prediction in predictions:
            if prediction.index < span.first:
                active.joiner.learn(prediction.index, prediction.faces)
                continue
            if span.stop is not None and prediction.index >= span.stop:
                continue
            if not active.begun:
                yield from self._end_earlier(active, ended=ended)
                active.joiner.begin(self._people)
                active.begun = True
            yield Predicted(span, self._renamed(active, prediction))

    def _end_earlier(self, active: _Active, *, ended: bool) -> Iterator[Predicted | Ended]:
        while self._active[0] is not active:
            earlier = self._active[0]
            yield from self._emit(earlier, self._rest(earlier))
            self._active.popleft()
            if earlier.begun:
                end = self._end(earlier, last=False)
                if ended:
                    yield end

    @staticmethod
    def _rest(active: _Active) -> list[Prediction]:
        """What the pipeline still holds, asked for once."""
        if active.finished:
            return []
        active.finished = True
        return active.pipeline.finish()

    def _end(self, active: _Active, *, last: bool) -> Ended:
        # As they come back from a file: what follows must not depend on an interruption.
        self._people = People.from_plain(active.joiner.end().plain()) if active.begun else self._people
        events = Counter(active.pipeline.events)
        events.subtract(active.events or {})
        return Ended(active.span, last, self._people, +events)

    def _renamed(self, active: _Active, prediction: Prediction) -> Prediction:
        if not self._tracks:
            return prediction
        faces = active.joiner.rename(prediction.index, prediction.time, prediction.faces)
        self._seen.append(seen(prediction.index, faces))
        return replace(prediction, faces=faces)


def _frames(
    source: VideoSource, grid: Grid, first: int, until: int | None, reach: int, before: Before
) -> Iterator[Frame]:
    """The frames that the pieces need, and one more, whose time tells how long the last one is shown."""
    limit = _limit(grid, until, reach)
    # In a damaged file, frames can only be counted from the beginning.
    source.skipped = before.skipped
    for frame in source.frames(grid.span(first).begin, grid.every):
        yield frame
        if limit is not None and frame.index >= limit:
            return


def _limit(grid: Grid, until: int | None, reach: int) -> int | None:
    """The index from which on the pieces up to ``until`` need no frames."""
    stop = None if until is None else grid.span(until - 1).stop
    return None if stop is None else stop + _whole_blocks(reach // grid.every, grid.block) * grid.every


def _with_sound(
    source: VideoSource,
    frames: Iterator[Frame],
    grid: Grid,
    first: int,
    until: int | None,
    reach: int,
    pipeline: Pipeline,
) -> Iterator[_Block]:
    """Blocks of frames, with the sound of each frame, from its time to the next frame's, for each piece."""
    settings = pipeline.settings
    heard = settings.sound and source.has_sound
    streams: dict[int, SoundStream | None] = {}
    number = first
    limit = _limit(grid, until, reach)
    timed = with_ends(frames, step_of(source, settings))
    needed = timed if limit is None else takewhile(lambda item: item[0].index < limit, timed)
    for block in _blocks(needed, grid):
        index = block[0][0].index
        while (until is None or number < until) and grid.span(number).begin <= index:
            if grid.length is None and streams:
                break
            # A stream of its own for each piece, so that its samples do not depend on what was read before.
            streams[number] = source.sound_stream(pipeline.sound_rate) if heard else None
            number += 1
        for gone in [n for n in streams if _is_over(grid, n, index, reach)]:
            stream = streams.pop(gone)
            if stream is not None:
                stream.close()
        sounds = {n: _sounds(stream, block, settings) for n, stream in streams.items()}
        yield _Block([frame for frame, _ in block], sounds)


def _is_over(grid: Grid, number: int, index: int, reach: int) -> bool:
    """Whether a piece needs no frames from ``index`` on, the first of a block."""
    stop = grid.span(number).stop
    return stop is not None and index >= stop + _whole_blocks(reach // grid.every, grid.block) * grid.every


def _sounds(
    stream: SoundStream | None, block: Sequence[tuple[Frame, float]], settings: PredictSettings
) -> list[Sound]:
    if stream is None:
        return [None] * len(block)
    return [stream.window(frame.time, min(end, frame.time + LONGEST_SOUND)) for frame, end in block]


def _blocks(items: Iterator[tuple[Frame, float]], grid: Grid) -> Iterator[list[tuple[Frame, float]]]:
    """Frames that are computed together; the unfinished block comes also before an error of ``items``."""
    block: list[tuple[Frame, float]] = []
    try:
        for item in items:
            new = block and grid.block_of(item[0].index) != grid.block_of(block[-1][0].index)
            if new or len(block) == grid.block:
                yield block
                block = []
            block.append(item)
            if _fills(block[-1][0], grid):
                yield block
                block = []
    except Exception:
        if block:
            yield block
        raise
    if block:
        yield block


def _fills(frame: Frame, grid: Grid) -> bool:
    """Whether no other frame can be in the block of this one."""
    return grid.block_of(frame.index + grid.every) != grid.block_of(frame.index)


def _looked_at(blocks: Iterator[_Block], pipeline: Pipeline) -> Iterator[_Block]:
    """With what the packaged network sees, which depends on nothing but the frames."""
    try:
        for block in blocks:
            yield replace(block, glimpses=pipeline.look(block.frames))
    finally:
        blocks.close()  # type: ignore[attr-defined]
