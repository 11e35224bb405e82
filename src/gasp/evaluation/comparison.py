"""What an evaluation compares, and on what: the usable items, the systems, and the baselines beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp._version import __version__
from gasp.errors import GaspError, InputError, UsageError
from gasp.evaluation.ceiling import CeilingKernel, choose_kernel, sampled_truths
from gasp.evaluation.items import Item, ItemSet
from gasp.evaluation.problems import Problems
from gasp.evaluation.results import System
from gasp.evaluation.scoring import Context
from gasp.evaluation.settings import EvaluationSettings
from gasp.evaluation.systems import Look, MapFolder, PipelineSystem, plain_looks
from gasp.evaluation.truth import Others, Truth, faces_prior
from gasp.metrics.density import centre_prior
from gasp.work.fingerprint import fingerprint

CENTRE, MEAN, FACES, OBSERVERS = "centre prior", "mean of other videos", "marked faces", "other observers"
"""The baselines: always beside the systems, where the dataset allows them."""


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """What is compared, and on what.

    ``items``: those whose size and fixations can be read. ``systems``: the rows of the tables, baselines last;
    ``places``: where each stands, by name. ``others``: fixations of all items, for what is known of the other videos.
    ``kernel``: with which observers predict each other. ``problems``: what was found wrong before anything was scored.
    """

    items: ItemSet
    pipeline: PipelineSystem | None
    folders: Sequence[MapFolder]
    settings: EvaluationSettings
    systems: list[System]
    places: Mapping[str, int]
    others: Others
    kernel: CeilingKernel
    problems: Problems

    @property
    def every(self) -> int:
        """Only multiples of this are predicted."""
        return self.pipeline.settings.every if self.pipeline else 1

    @property
    def gain_over(self) -> str:
        """The baseline that information is gained over."""
        return CENTRE if self.settings.gain_over == "centre" else MEAN

    def decisive(self) -> dict[str, Any]:
        """The settings that decide the numbers, as plain values."""
        about: dict[str, Any] = self.settings.model_dump()
        if self.pipeline is not None:
            about["pipeline"] = self.pipeline.settings.model_dump(mode="json")
            about["shift"] = self.pipeline.shift if self.pipeline.sound else None
        about["ceiling_kernel"] = self.kernel.plain() if self.settings.ceiling else None
        return about

    def fingerprint(self) -> str:
        """Equal for evaluations whose parts may be mixed."""
        return fingerprint(
            {
                "gasp": __version__,
                "items": [_state(item) for item in self.items.items],
                "dataset": self.items.name,
                "systems": [system.name for system in self.systems],
                "folders": [folder.state() for folder in self.folders],
                "settings": {**self.decisive(), "examples": self.settings.examples},
                "predictor": None if self.pipeline is None else self.pipeline.predictor.decisive(),
            }
        )

    def context(self, place: int, truth: Truth) -> Context:
        """What the scores of the item at ``place`` need besides it, at the size of ``truth``."""
        height, width = truth.height, truth.width
        mean = self.others.density(place, height, width)
        baseline = centre_prior(height, width) if self.settings.gain_over == "centre" else mean
        return Context(self.others.fixated(place, height, width), baseline, mean, self.kernel)

    def looks(self, place: int) -> Generator[Look]:
        """Every frame of the item at ``place``, with the pipeline's maps where it is compared."""
        item = self.items.items[place]
        if self.pipeline is None:
            return plain_looks(item, self.every)
        return self.pipeline.looks(item, self._other_sound(place))

    def baseline_maps(self, truth: Truth, context: Context) -> dict[int, NDArray[np.float32]]:
        """The maps of the baselines by their place, at the size of ``truth``."""
        maps = {self.places[CENTRE]: centre_prior(truth.height, truth.width)}
        if context.mean is not None:
            maps[self.places[MEAN]] = context.mean
        if FACES in self.places and truth.faces:
            maps[self.places[FACES]] = faces_prior(truth)
        return maps

    def _other_sound(self, place: int) -> Item | None:
        """The next video: who lends its sound is the same in every run."""
        items = self.items.items
        return items[(place + 1) % len(items)] if len(items) > 1 else None


def compare(
    items: ItemSet,
    pipeline: PipelineSystem | None,
    folders: Sequence[MapFolder],
    settings: EvaluationSettings,
) -> Comparison:
    """What is compared on these items.

    Raises:
        UsageError: two systems have one name.
        InputError: no item can be read, or a folder holds maps of none of them.
    """
    problems = Problems()
    usable = ItemSet(items.name, _usable(items.items, problems), items.skipped)
    for what, count in items.skipped.items():
        problems.note(f"{what} (by the dataset's reader)", count=count)
    systems = _systems(usable.items, pipeline, folders, ceiling=settings.ceiling)
    places = {system.name: place for place, system in enumerate(systems)}
    if len(places) != len(systems):
        names = ", ".join(system.name for system in systems)
        raise UsageError(f"two systems have one name, or that of a baseline: {names}")
    for folder in folders:
        _compare_names(usable, folder, problems)
    kernel = CeilingKernel()
    if settings.ceiling:
        kernel = choose_kernel(list(sampled_truths(usable.items, settings.longest)))
    if len(usable.items) == 1:
        problems.note("no other video: no shuffled AUC and no mean density", usable.items[0].id)
    others = Others(usable.items)
    return Comparison(usable, pipeline, folders, settings, systems, places, others, kernel, problems)


def _usable(items: Sequence[Item], problems: Problems) -> list[Item]:
    """The items whose size and fixations can be read; the others are named."""
    usable = []
    for item in items:
        try:
            _ = item.size, item.fixations()
        except GaspError as error:
            problems.note("videos that could not be read", f"{item.id} ({error})")
        else:
            usable.append(item)
    if not usable:
        raise InputError("; ".join(["there is nothing to evaluate", *problems.sentences()]))
    return usable


def _systems(
    items: Sequence[Item], pipeline: PipelineSystem | None, folders: Sequence[MapFolder], *, ceiling: bool
) -> list[System]:
    systems = [System(pipeline.name, "system")] if pipeline else []
    systems += [System(folder.name, "system") for folder in folders]
    if pipeline:
        systems += [System(name, "ablation") for name in pipeline.ablations]
        systems += [System(name, "sound") for name in pipeline.variants]
    baselines = [CENTRE, MEAN]
    if any(item.faces(0) is not None for item in items[:1]):
        baselines.append(FACES)
    if ceiling:
        baselines.append(OBSERVERS)
    return systems + [System(name, "baseline") for name in baselines]


def _compare_names(items: ItemSet, folder: MapFolder, problems: Problems) -> None:
    """Names in the folder that the dataset does not know, and the reverse."""
    known = {item.id for item in items.items}
    strange, lacking = sorted(folder.videos - known), sorted(known - folder.videos)
    for name in strange:
        problems.note(f"names in the folder of {folder.name} that are not evaluated", name)
    for name in lacking:
        problems.note(f"videos without any map of {folder.name}", name)
    if len(lacking) == len(known):
        has = ", ".join(strange[:6]) or "nothing"
        raise InputError(
            f"{folder.folder} (system {folder.name}) has maps of none of the {len(known)} names of "
            f"{items.name}, such as {min(known)!r}; it holds {has}. Maps are expected as "
            "<name>/maps/000001.png, <name>/000001.png or <name>.png (or .npy)"
        )


def _state(item: Item) -> tuple[object, ...]:
    """Changes with the gaze on an item, and when its video is written anew."""
    fixations = item.fixations()
    digest = hashlib.sha256()
    for values in (fixations.x, fixations.y, fixations.onset, fixations.duration, fixations.weight):
        digest.update(np.ascontiguousarray(values).tobytes())
    file = None if item.path is None else item.path.stat()
    return (
        item.id,
        item.sigma,
        digest.hexdigest(),
        *(() if file is None else (file.st_size, file.st_mtime_ns)),
    )
