"""Scores of one item: its frames are scored in threads while the next are predicted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gasp import metrics
from gasp.errors import GaspError, InputError
from gasp.evaluation.comparison import OBSERVERS, Comparison
from gasp.evaluation.examples import Example, ExampleFinder, Pictures
from gasp.evaluation.items import Item
from gasp.evaluation.problems import Problems
from gasp.evaluation.results import VideoScores
from gasp.evaluation.scoring import METRICS, Context, change, score_maps, score_other_observers
from gasp.evaluation.systems import Look, read_map
from gasp.evaluation.truth import Truth, truth_at
from gasp.video.cuts import CutDetector
from gasp.work.progress import Progress, Report

_LARGEST = 1e12  # squares and sums of such values are still usual numbers


@dataclass(frozen=True, eq=False, slots=True)
class _Subject:
    """One item and what its scores need besides. ``files``: maps in folders, by system and frame."""

    comparison: Comparison
    place: int
    context: Context
    files: Mapping[str, Mapping[int, Path]]

    @property
    def item(self) -> Item:
        return self.comparison.items.items[self.place]


@dataclass(frozen=True, eq=False, slots=True)
class _FrameScores:
    """One scored frame; ``scores`` (systems, metrics), ``changes`` (systems, 2)."""

    index: int
    time: float
    since_cut: float
    faces: float
    fixations: int
    scores: NDArray[np.float64]
    changes: NDArray[np.float64]
    gates: dict[str, float] | None
    problems: Problems
    pictures: Pictures | None


def score_item(comparison: Comparison, place: int, report: Report) -> VideoScores:
    """All scores of the item at ``place``; ``report`` hears of every scored frame."""
    settings = comparison.settings
    item, problems = comparison.items.items[place], Problems()
    truths = _truths(item, settings.rate, comparison.every, settings.longest, problems)
    wanted = len(truths)
    rows: list[_FrameScores] = []
    shown = {p: s.name for p, s in enumerate(comparison.systems) if s.kind == "system"}
    finder = ExampleFinder(item.id, shown if settings.examples else {})
    if truths:
        context = comparison.context(place, next(iter(truths.values())))
        files = {folder.name: folder.files(item) for folder in comparison.folders}
        subject = _Subject(comparison, place, context, files)
        with ThreadPoolExecutor(settings.workers, "score") as pool:
            try:
                for row in _scored(pool, subject, truths):
                    problems.add(row.problems)
                    assert row.pictures is not None
                    finder.see(row.index, row.time, row.scores, row.pictures)
                    rows.append(replace(row, pictures=None))  # pictures of all frames would not fit
                    report(Progress(item.id, len(rows), wanted))
            except GaspError as error:
                problems.note("videos that could not be read to their end", f"{item.id} ({error})")
        problems.note("frames that could not be had from the source", item.id, wanted - len(rows))
    return _gather(item, rows, len(comparison.systems), finder.examples(), problems)


def _truths(
    item: Item, rate: float | None, every: int, longest: int | None, problems: Problems
) -> dict[int, Truth]:
    truths = {}
    try:
        for frame in _scored_frames(item, rate, every):
            truth = truth_at(item, frame, longest)
            if len(truth.fixations):
                truths[frame] = truth
            else:
                problems.note("frames without fixations", item.id)
    except GaspError as error:
        problems.note("videos that could not be read", f"{item.id} ({error})")
    return truths


def _scored_frames(item: Item, rate: float | None, every: int) -> list[int]:
    """The frames to score: all, or those in the middle of every 1 / ``rate`` seconds; only multiples of ``every``."""
    count = item.frame_count
    if rate is None or item.fps <= 0:
        return list(range(0, count, every))
    step = max(1.0, item.fps / rate)
    frames = (int(frame) // every * every for frame in np.arange(step / 2, count, step))
    return list(dict.fromkeys(frames)) or [0]


def _scored(pool: ThreadPoolExecutor, subject: _Subject, truths: dict[int, Truth]) -> Iterator[_FrameScores]:
    """The rows of the scored frames in order; a bounded number is under way."""
    waiting: deque[Future[_FrameScores]] = deque()
    item, most = subject.item, 2 * subject.comparison.settings.workers
    cuts, began = CutDetector(), item.time(0)
    last = max(truths)
    with closing(subject.comparison.looks(subject.place)) as looks:
        for look in looks:
            time = item.time(look.index)
            if cuts.step(look.image):
                began = time
            if look.index in truths:
                # Its maps go with it, so that memory does not grow with the video.
                truth = truths.pop(look.index)
                waiting.append(pool.submit(_score_frame, subject, look, truth, time, time - began))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            if look.index >= last:
                break
    while waiting:
        yield waiting.popleft().result()


def _score_frame(subject: _Subject, look: Look, truth: Truth, time: float, since_cut: float) -> _FrameScores:
    comparison, context, item = subject.comparison, subject.context, subject.item
    systems, places = comparison.systems, comparison.places
    problems = Problems()
    maps = _ready_maps(subject, look, truth, problems)
    shown = {p: maps[p] for p, system in enumerate(systems) if system.kind == "system" and p in maps}
    maps |= comparison.baseline_maps(truth, context)

    scores = np.full((len(systems), len(METRICS)), np.nan)
    scores[list(maps)] = score_maps(np.stack(list(maps.values())), truth, context)
    if OBSERVERS in places:
        scores[places[OBSERVERS]] = score_other_observers(truth, context)
    marked = item.faces(look.index)
    faces = look.faces if marked is None else len(marked)
    return _FrameScores(
        index=look.index,
        time=time,
        since_cut=since_cut,
        faces=np.nan if faces is None else faces,
        fixations=len(truth.fixations),
        scores=scores,
        changes=_changes(comparison, look),
        gates=look.gates,
        problems=problems,
        pictures=Pictures(look.image, shown, truth),
    )


def _ready_maps(
    subject: _Subject, look: Look, truth: Truth, problems: Problems
) -> dict[int, NDArray[np.float32]]:
    """The maps of the systems by their place, as the metrics take them."""
    item = subject.item
    where = item.id if not item.fps else f"{item.id} frame {look.index}"
    found: dict[str, NDArray[np.float32]] = dict(look.maps)
    for name, of_frames in subject.files.items():
        path = of_frames.get(look.index)
        if path is None:
            problems.note(f"missing maps of {name}", where)
            continue
        try:
            found[name] = read_map(path)
        except InputError as error:
            problems.note(f"unreadable maps of {name}", f"{where} ({error})")
    maps = {}
    for name, values in found.items():
        ready = _prepare(values, truth, name, where, problems, own=name in look.maps)
        if ready is not None:
            maps[subject.comparison.places[name]] = ready
    return maps


def _prepare(
    values: NDArray[np.float32], truth: Truth, name: str, where: str, problems: Problems, *, own: bool
) -> NDArray[np.float32] | None:
    """A map as the metrics take it: finite, zero or more, of the truth's size; None when it cannot be made so.

    ``own``: it comes from the pipeline and covers the picture, whatever its shape is.
    """
    if not np.isfinite(values).all():
        problems.note(f"maps of {name} with NaN or infinity (not scored)", where)
        return None
    low, high = float(values.min()), float(values.max())
    if max(-low, high) > _LARGEST:
        problems.note(f"maps of {name} with values beyond {_LARGEST:g} (not scored)", where)
        return None
    if low == high:
        problems.note(f"constant maps of {name} (NSS, CC and SIM are undefined)", where)
    if low < 0:
        problems.note(f"maps of {name} with negative values (raised so that the least is 0)", where)
        values = values - np.float32(low)
    if abs(values.shape[1] * truth.height / (values.shape[0] * truth.width) - 1) > 0.1 and not own:
        problems.note(f"maps of {name} of another shape than the picture (stretched over it)", where)
    if values.shape != (truth.height, truth.width):
        values = np.asarray(metrics.resize(values, truth.height, truth.width))
    # Interpolation may fall below 0 by rounding.
    return np.maximum(values, 0).astype(np.float32, copy=False)


def _changes(comparison: Comparison, look: Look) -> NDArray[np.float64]:
    """How far each variant's map is from the pipeline's, (systems, 2)."""
    changes = np.full((len(comparison.systems), 2), np.nan)
    reference = look.maps.get(comparison.pipeline.name) if comparison.pipeline else None
    if reference is not None and np.isfinite(reference).all():
        for name, values in look.maps.items():
            if values is not reference and values.shape == reference.shape and np.isfinite(values).all():
                changes[comparison.places[name]] = change(values, reference)
    return changes


def _gather(
    item: Item, rows: Sequence[_FrameScores], systems: int, examples: list[Example], problems: Problems
) -> VideoScores:
    gates = list(dict.fromkeys(name for row in rows for name in row.gates or ()))
    return VideoScores(
        id=item.id,
        dataset=item.dataset,
        frames=np.array([row.index for row in rows], np.int64),
        times=np.array([row.time for row in rows], np.float64),
        since_cut=np.array([row.since_cut for row in rows], np.float64),
        faces=np.array([row.faces for row in rows], np.float64),
        fixations=np.array([row.fixations for row in rows], np.int64),
        scores=np.array([row.scores for row in rows], np.float64).reshape(len(rows), systems, len(METRICS)),
        changes=np.array([row.changes for row in rows], np.float64).reshape(len(rows), systems, 2),
        gate_names=gates,
        gates=np.array(
            [[(row.gates or {}).get(name, np.nan) for name in gates] for row in rows], np.float64
        ).reshape(len(rows), len(gates)),
        examples=examples,
        problems=problems,
    )
