"""Runs an evaluation: every item once, its frames scored beside the prediction, one part per video kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zipfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp import metrics
from gasp._version import __version__
from gasp.errors import GaspError, InputError, UsageError
from gasp.evaluation.ceiling import CeilingKernel, choose_kernel, sampled_truths
from gasp.evaluation.items import Item, ItemSet
from gasp.evaluation.problems import Problems
from gasp.evaluation.results import Evaluation, Shot, System, VideoScores
from gasp.evaluation.scoring import KEYS, METRICS, Context, change, score_maps, score_other_observers
from gasp.evaluation.systems import Look, MapFolder, PipelineSystem, plain_looks, read_map
from gasp.evaluation.triptych import triptych
from gasp.evaluation.truth import Others, Truth, centre_prior, faces_prior, truth_at
from gasp.video.cuts import CutDetector
from gasp.work.provenance import versions

log = logging.getLogger(__name__)

CENTRE, MEAN, FACES, OBSERVERS = "centre prior", "mean of other videos", "marked faces", "other observers"
"""The baselines: always beside the systems, where the dataset allows them."""

GAIN_OVER = ("centre", "others")

MOST_DRAWS = 100_000
"""Of the bootstrap: intervals do not change visibly long before, and memory grows with them."""

_LARGEST = 1e12  # squares and sums of such values are still usual numbers

_SHOWN_BY = KEYS.index("cc")

Progress = Callable[[str, int, int], None]
"""Called as (video, frames done of it, frames to do or 0)."""


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How an evaluation is done.

    ``rate``: scored frames per second of video, None for every frame; they lie in the middle of their interval.
    ``longest``: maps are scored at the size of the source with the longer side at most this many pixels, None at the
    source's own. ``gain_over``: the density that information is gained over, "centre" (prior) or "others" (mean
    density of the other videos). ``draws``, ``seed``: of the bootstrap. ``workers``: threads that score frames.
    ``ceiling``: also score the other observers, which takes the most time. ``shots``: keep the best and worst frame
    of every video as a picture.
    """

    rate: float | None = None
    longest: int | None = 640
    gain_over: str = "centre"
    draws: int = 2000
    seed: int = 0
    workers: int = 2
    ceiling: bool = True
    shots: bool = True

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < 1000:
            raise UsageError(f"rate = {self.rate}: the scored frames per second must be above 0")
        if self.longest is not None and self.longest < 16:
            raise UsageError(
                f"size = {self.longest}: maps are scored at 16 pixels or more (0: the source's size)"
            )
        if self.gain_over not in GAIN_OVER:
            raise UsageError(f"information is gained over {' or '.join(GAIN_OVER)}, not {self.gain_over!r}")
        if not 100 <= self.draws <= MOST_DRAWS:
            raise UsageError(f"draws = {self.draws}: the bootstrap takes 100 to {MOST_DRAWS} draws")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed = {self.seed}: use a whole number from 0 to 2**63 - 1")
        if not 1 <= self.workers <= 256:
            raise UsageError(f"workers = {self.workers}: use 1 to 256 threads")


def evaluate(
    items: ItemSet,
    *,
    pipeline: PipelineSystem | None = None,
    folders: Sequence[MapFolder] = (),
    settings: EvaluationSettings | None = None,
    parts: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores of the pipeline and of maps in folders against a dataset, beside the baselines.

    ``parts``: a folder in which finished videos are kept, so that an interrupted evaluation goes on from there; it is
    emptied when it belongs to another evaluation. What cannot be used is counted and named in ``problems``; a video
    that cannot be read costs itself only. Raises :class:`~gasp.errors.InputError` when nothing could be scored and
    :class:`~gasp.errors.UsageError` for impossible settings.
    """
    run = _Run(items, pipeline, list(folders), settings or EvaluationSettings())
    kept = _Parts(parts, run.fingerprint(), len(run.items.items)) if parts is not None else None
    videos = []
    for place, item in enumerate(run.items.items):
        scores = kept.load(place, item.id) if kept else None
        if scores is None:
            scores = run.score(place, progress or _silent)
            if kept:
                kept.save(place, scores)
        run.problems.add(scores.problems)
        if len(scores.frames):
            videos.append(scores)
    if not videos:
        raise InputError("; ".join([f"nothing of {items.name} could be scored", *run.problems.sentences()]))
    return run.result(videos)


@dataclass(frozen=True, eq=False, slots=True)
class _FrameScores:
    index: int
    time: float
    since_cut: float
    faces: float
    fixations: int
    scores: NDArray[np.float64]
    changes: NDArray[np.float64]
    gates: dict[str, float] | None
    problems: Problems
    shown: tuple[NDArray[np.uint8], dict[int, NDArray[np.float32]], Truth] | None


class _Run:
    """One evaluation; frames are scored in threads while the next are predicted."""

    def __init__(
        self,
        items: ItemSet,
        pipeline: PipelineSystem | None,
        folders: list[MapFolder],
        settings: EvaluationSettings,
    ) -> None:
        self.problems = Problems()
        self.items = ItemSet(items.name, self._usable(items.items), items.skipped)
        self.pipeline, self.folders, self.settings = pipeline, folders, settings
        for what, count in items.skipped.items():
            self.problems.note(f"{what} (by the dataset's reader)", count=count)
        self.systems = self._name_systems()
        self._places = {system.name: place for place, system in enumerate(self.systems)}
        if len(self._places) != len(self.systems):
            raise UsageError("two systems have one name, or that of a baseline: " + ", ".join(self._names()))
        self._compare_names()
        self._others = Others(self.items.items)
        self._kernel = self._choose_kernel()
        if len(self.items.items) == 1:
            self.problems.note("no other video: no shuffled AUC and no mean density", self.items.items[0].id)

    def fingerprint(self) -> str:
        """Equal for evaluations whose parts may be mixed."""
        about = {
            "gasp": __version__,
            "items": [(item.id, item.sigma) for item in self.items.items],
            "dataset": self.items.name,
            "systems": self._names(),
            "folders": [folder.state() for folder in self.folders],
            "settings": {**self.about(), "shots": self.settings.shots},
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()

    def about(self) -> dict[str, Any]:
        """What decides the numbers."""
        chosen = self.settings
        about: dict[str, Any] = {
            name: getattr(chosen, name)
            for name in ("rate", "longest", "gain_over", "draws", "seed", "ceiling")
        }
        if self.pipeline is not None:
            about["pipeline"] = self.pipeline.settings.model_dump(mode="json")
            about["shift"] = self.pipeline.shift if self.pipeline.sound else None
        about["ceiling_kernel"] = self._kernel.plain() if chosen.ceiling else None
        return about

    def result(self, videos: list[VideoScores]) -> Evaluation:
        """The evaluation of these videos."""
        about = {
            "dataset": self.items.name,
            "systems": {f.name: str(f.folder) for f in self.folders},
            "settings": self.about(),
            "versions": versions(),
        }
        over = CENTRE if self.settings.gain_over == "centre" else MEAN
        return Evaluation(
            self.items.name, self.systems, videos, self.problems, over,
            self.settings.draws, self.settings.seed, about,
        )  # fmt: skip

    # --- one video ---------------------------------------------------------------------------------------

    def score(self, place: int, progress: Progress) -> VideoScores:
        """All scores of the item at ``place``."""
        item, problems = self.items.items[place], Problems()
        truths = self._truths(item, problems)
        wanted = len(truths)
        rows: list[_FrameScores] = []
        shots = _Extremes(item.id, self.systems, self.settings.shots)
        if truths:
            context = self._context(place, next(iter(truths.values())))
            files = {folder.name: folder.files(item) for folder in self.folders}
            with ThreadPoolExecutor(self.settings.workers, "score") as pool:
                try:
                    for row in self._scored(pool, place, truths, context, files):
                        problems.add(row.problems)
                        shots.see(row)
                        rows.append(replace(row, shown=None))  # pictures of all frames would not fit
                        progress(item.id, len(rows), wanted)
                except GaspError as error:
                    problems.note("videos that could not be read to their end", f"{item.id} ({error})")
            problems.note("frames that could not be had from the source", item.id, wanted - len(rows))
        return _gather(item, rows, len(self.systems), shots.shots(), problems)

    def _truths(self, item: Item, problems: Problems) -> dict[int, Truth]:
        truths = {}
        try:
            for frame in _scored_frames(item, self.settings.rate, self._every()):
                truth = truth_at(item, frame, self.settings.longest)
                if len(truth.fixations):
                    truths[frame] = truth
                else:
                    problems.note("frames without fixations", item.id)
        except GaspError as error:
            problems.note("videos that could not be read", f"{item.id} ({error})")
        return truths

    def _context(self, place: int, truth: Truth) -> Context:
        height, width = truth.height, truth.width
        mean = self._others.density(place, height, width)
        baseline = centre_prior(height, width) if self.settings.gain_over == "centre" else mean
        return Context(self._others.fixated(place, height, width), baseline, mean, self._kernel)

    def _looks(self, place: int) -> Generator[Look]:
        item = self.items.items[place]
        if self.pipeline is None:
            return plain_looks(item, self._every())
        return self.pipeline.looks(item, self._other_sound(place))

    def _scored(
        self,
        pool: ThreadPoolExecutor,
        place: int,
        truths: dict[int, Truth],
        context: Context,
        files: dict[str, dict[int, Path]],
    ) -> Iterator[_FrameScores]:
        """The rows of the scored frames in order; a bounded number is under way."""
        waiting: deque[Future[_FrameScores]] = deque()
        item = self.items.items[place]
        cuts, began = CutDetector(), item.time(0)
        last = max(truths)
        with closing(self._looks(place)) as looks:
            for look in looks:
                time = item.time(look.index)
                if cuts.step(look.image):
                    began = time
                if look.index in truths:
                    # Its maps go with it, so that memory does not grow with the video.
                    job = (item, look, truths.pop(look.index), context, files, time, time - began)
                    waiting.append(pool.submit(self._score_frame, *job))
                    if len(waiting) > 2 * self.settings.workers:
                        yield waiting.popleft().result()
                if look.index >= last:
                    break
        while waiting:
            yield waiting.popleft().result()

    def _score_frame(
        self,
        item: Item,
        look: Look,
        truth: Truth,
        context: Context,
        files: dict[str, dict[int, Path]],
        time: float,
        since_cut: float,
    ) -> _FrameScores:
        problems = Problems()
        where = item.id if not item.fps else f"{item.id} frame {look.index}"
        found: dict[str, NDArray[np.float32]] = dict(look.maps)
        for name, of_frames in files.items():
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
                maps[self._places[name]] = ready
        shown = {p: maps[p] for p, system in enumerate(self.systems) if system.kind == "system" and p in maps}
        maps |= self._baseline_maps(truth, context)

        scores = np.full((len(self.systems), len(METRICS)), np.nan)
        scores[list(maps)] = score_maps(np.stack(list(maps.values())), truth, context)
        if OBSERVERS in self._places:
            scores[self._places[OBSERVERS]] = score_other_observers(truth, context)
        marked = item.faces(look.index)
        faces = look.faces if marked is None else len(marked)
        return _FrameScores(
            look.index, time, since_cut, np.nan if faces is None else faces, len(truth.fixations), scores,
            self._changes(look), look.gates, problems, (look.image, shown, truth),
        )  # fmt: skip

    def _baseline_maps(self, truth: Truth, context: Context) -> dict[int, NDArray[np.float32]]:
        maps = {self._places[CENTRE]: centre_prior(truth.height, truth.width)}
        if context.mean is not None:
            maps[self._places[MEAN]] = context.mean
        if FACES in self._places and truth.faces:
            maps[self._places[FACES]] = faces_prior(truth)
        return maps

    def _changes(self, look: Look) -> NDArray[np.float64]:
        changes = np.full((len(self.systems), 2), np.nan)
        reference = look.maps.get(self.pipeline.name) if self.pipeline else None
        if reference is not None and np.isfinite(reference).all():
            for name, values in look.maps.items():
                if values is not reference and values.shape == reference.shape and np.isfinite(values).all():
                    changes[self._places[name]] = change(values, reference)
        return changes

    # --- what is compared --------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        return [system.name for system in self.systems]

    def _name_systems(self) -> list[System]:
        systems = [System(self.pipeline.name, "system")] if self.pipeline else []
        systems += [System(folder.name, "system") for folder in self.folders]
        if self.pipeline:
            systems += [System(name, "ablation") for name in self.pipeline.ablations]
            systems += [System(name, "sound") for name in self.pipeline.variants]
        baselines = [CENTRE, MEAN]
        if any(item.faces(0) is not None for item in self.items.items[:1]):
            baselines.append(FACES)
        if self.settings.ceiling:
            baselines.append(OBSERVERS)
        return systems + [System(name, "baseline") for name in baselines]

    def _usable(self, items: Sequence[Item]) -> list[Item]:
        """The items whose size and fixations can be read; the others are named."""
        usable = []
        for item in items:
            try:
                _ = item.size, item.fixations()
            except GaspError as error:
                self.problems.note("videos that could not be read", f"{item.id} ({error})")
            else:
                usable.append(item)
        if not usable:
            raise InputError("; ".join(["there is nothing to evaluate", *self.problems.sentences()]))
        return usable

    def _compare_names(self) -> None:
        """Names in folders that the dataset does not know, and the reverse."""
        known = {item.id for item in self.items.items}
        for folder in self.folders:
            strange, lacking = sorted(folder.videos - known), sorted(known - folder.videos)
            for name in strange:
                self.problems.note(f"names in the folder of {folder.name} that are not evaluated", name)
            for name in lacking:
                self.problems.note(f"videos without any map of {folder.name}", name)
            if len(lacking) == len(known):
                has = ", ".join(strange[:6]) or "nothing"
                raise InputError(
                    f"{folder.folder} (system {folder.name}) has maps of none of the {len(known)} names of "
                    f"{self.items.name}, such as {min(known)!r}; it holds {has}. Maps are expected as "
                    "<name>/maps/000001.png, <name>/000001.png or <name>.png (or .npy)"
                )

    def _choose_kernel(self) -> CeilingKernel:
        if not self.settings.ceiling:
            return CeilingKernel()
        return choose_kernel(list(sampled_truths(self.items.items, self.settings.longest)))

    def _every(self) -> int:
        return self.pipeline.settings.every if self.pipeline else 1

    def _other_sound(self, place: int) -> Item | None:
        """The next video: who lends its sound is the same in every run."""
        items = self.items.items
        return items[(place + 1) % len(items)] if len(items) > 1 else None


def _scored_frames(item: Item, rate: float | None, every: int) -> list[int]:
    """The frames to score: all, or those in the middle of every 1 / ``rate`` seconds; only multiples of ``every``."""
    count = item.frame_count
    if rate is None or item.fps <= 0:
        return list(range(0, count, every))
    step = max(1.0, item.fps / rate)
    frames = (int(frame) // every * every for frame in np.arange(step / 2, count, step))
    return list(dict.fromkeys(frames)) or [0]


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


class _Extremes:
    """The best and the worst frame of every system in one video, by CC, as pictures."""

    def __init__(self, video: str, systems: Sequence[System], wanted: bool) -> None:
        self._video = video
        self._systems = [(p, s.name) for p, s in enumerate(systems) if s.kind == "system"] if wanted else []
        self._found: dict[tuple[int, int], tuple[float, Shot]] = {}

    def see(self, row: _FrameScores) -> None:
        """Keeps the frame if it is better or worse than all before."""
        assert row.shown is not None
        image, maps, truth = row.shown
        for place, name in self._systems:
            value = float(row.scores[place, _SHOWN_BY])
            if place not in maps or not np.isfinite(value):
                continue
            for sign in (1, -1):
                before = self._found.get((place, sign))
                if before is None or sign * value > sign * before[0]:
                    scores = tuple(float(score) for score in row.scores[place])
                    jpeg = triptych(image, maps[place], truth)
                    shot = Shot(self._video, row.index, row.time, name, scores, jpeg)
                    self._found[place, sign] = value, shot

    def shots(self) -> list[Shot]:
        """Each frame once."""
        return list({(shot.system, shot.frame): shot for _, shot in self._found.values()}.values())


def _gather(
    item: Item, rows: list[_FrameScores], systems: int, shots: list[Shot], problems: Problems
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
        shots=shots,
        problems=problems,
    )


class _Parts:
    """Finished videos on disk, for an evaluation that is interrupted."""

    def __init__(self, folder: Path, fingerprint: str, count: int) -> None:
        self._folder, self._digits = folder, len(str(count))
        plan = folder / "plan.json"
        try:
            same = json.loads(plan.read_text(encoding="utf-8"))["fingerprint"] == fingerprint
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            plan.write_text(json.dumps({"fingerprint": fingerprint}), encoding="utf-8")

    def load(self, place: int, identity: str) -> VideoScores | None:
        """The video at ``place`` if it was done."""
        try:
            scores = VideoScores.load(self._path(place))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return scores if scores.id == identity else None

    def save(self, place: int, scores: VideoScores) -> None:
        """Keeps a finished video."""
        scores.save(self._path(place))

    def _path(self, place: int) -> Path:
        return self._folder / f"{place:0{self._digits}d}.npz"


def _silent(video: str, done: int, total: int) -> None:
    """No progress is wanted."""
