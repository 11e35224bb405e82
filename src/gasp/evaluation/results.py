"""Scores as plain arrays: of one video, and of a whole evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.evaluation.examples import Example
from gasp.evaluation.problems import Problems
from gasp.evaluation.scoring import METRICS
from gasp.evaluation.statistics import Interval, interval, nan_mean, paired_difference, resamples
from gasp.work.arrays import reading_arrays
from gasp.work.files import replacing

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class System:
    """One row of the tables. ``kind``: "system", "ablation", "sound" or "baseline"."""

    name: str
    kind: str


@dataclass(eq=False, slots=True)
class VideoScores:
    """Scores of one video.

    ``frames`` (F,): scored frames, from 0; ``times`` (F,) in seconds; ``since_cut`` (F,): seconds since the scene
    began; ``faces`` (F,): marked faces or, without marks, found ones, NaN when unknown; ``fixations`` (F,): how many.
    ``scores`` (F, systems, metrics), NaN where undefined. ``changes`` (F, systems, 2): 1 - CC with the prediction of
    the pipeline, and the share of mass that moved; NaN where a system is no variant of it. ``gates`` (F, gates).
    """

    id: str
    dataset: str
    frames: NDArray[np.int64]
    times: Floats
    since_cut: Floats
    faces: Floats
    fixations: NDArray[np.int64]
    scores: Floats
    changes: Floats
    gate_names: list[str]
    gates: Floats
    examples: list[Example] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    def save(self, path: Path) -> None:
        """One file, atomically."""
        text = {
            "id": self.id,
            "dataset": self.dataset,
            "gate_names": self.gate_names,
            "problems": self.problems.plain(),
            "examples": [[e.video, e.frame, e.time, e.system, list(e.scores)] for e in self.examples],
        }
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"jpeg{i}": np.frombuffer(e.jpeg, np.uint8) for i, e in enumerate(self.examples)}
        arrays["text"] = np.array(json.dumps(text))
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> VideoScores:
        """From :meth:`save`. Raises :class:`~gasp.errors.InputError` for a damaged file."""
        with reading_arrays(path), np.load(path, allow_pickle=False) as file:
            text: dict[str, Any] = json.loads(str(file["text"]))
            examples = [
                Example(video, frame, time, system, tuple(scores), file[f"jpeg{i}"].tobytes())
                for i, (video, frame, time, system, scores) in enumerate(text["examples"])
            ]
            arrays = {name: file[name] for name in _ARRAYS}
            return cls(
                text["id"], text["dataset"], **arrays, gate_names=text["gate_names"], examples=examples,
                problems=Problems.load(text["problems"]),
            )  # fmt: skip


_ARRAYS = ("frames", "times", "since_cut", "faces", "fixations", "scores", "changes", "gates")


@dataclass(eq=False)
class Evaluation:
    """All scores. ``videos``: those with at least one scored frame, in the dataset's order.

    ``gain_over``: what information is gained over. ``about``: settings and versions, for the manifest.
    """

    dataset: str
    systems: Sequence[System]
    videos: list[VideoScores]
    problems: Problems
    gain_over: str
    draws: int = 2000
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def samples(self) -> Floats:
        """Bootstrap samples, shared by everything."""
        return resamples(len(self.videos), self.draws, self.seed)

    @cached_property
    def per_video(self) -> Floats:
        """Means over frames, (videos, systems, metrics)."""
        if not self.videos:
            return np.full((0, len(self.systems), len(METRICS)), np.nan)
        return np.stack([nan_mean(video.scores) for video in self.videos])

    @property
    def names(self) -> list[str]:
        """Names of the systems, in the order of the arrays."""
        return [system.name for system in self.systems]

    @property
    def frame_count(self) -> int:
        """Scored frames of all videos."""
        return sum(len(video.frames) for video in self.videos)

    @property
    def unit(self) -> str:
        """What is drawn: "video" or "picture", with the plural's s where there are several."""
        kind = "video" if any(video.times.any() for video in self.videos) else "picture"
        return kind if len(self.videos) == 1 else f"{kind}s"

    @property
    def reference(self) -> int | None:
        """Place of the system that the others are compared with: the first; None with baselines only."""
        return next((i for i, system in enumerate(self.systems) if system.kind == "system"), None)

    def overall(self, system: int, metric: int) -> Interval:
        """Mean over videos."""
        return interval(self.per_video[:, system, metric], self.samples)

    def difference(self, system: int, other: int, metric: int) -> Interval:
        """Mean over videos of ``system`` less ``other``."""
        return paired_difference(
            self.per_video[:, system, metric], self.per_video[:, other, metric], self.samples
        )

    def best(self, metric: int) -> int | None:
        """Place of the best of several systems, baselines and variants aside; None where there is no contest."""
        rivals = [place for place, system in enumerate(self.systems) if system.kind == "system"]
        sign = 1 if METRICS[metric].higher else -1
        means = {place: sign * self.overall(place, metric).mean for place in rivals}
        known = {place: mean for place, mean in means.items() if np.isfinite(mean)}
        return max(known, key=lambda place: known[place]) if len(rivals) > 1 and known else None

    def undefined(self, system: int) -> int:
        """Frames in which a system has no score at all (no map, or one that cannot be scored)."""
        return sum(int(np.isnan(video.scores[:, system]).all(1).sum()) for video in self.videos)
