"""What scores depend on: the sound, each cue, the time since the scene began, the number of faces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gasp.evaluation.results import Evaluation, VideoScores
from gasp.evaluation.scoring import KEYS, METRICS
from gasp.evaluation.statistics import Interval, interval, nan_mean

SCENE_BOUNDS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, np.inf)
"""Seconds since the scene began that separate the groups of frames."""

MOST_FACES = 5
"""So many faces and more are one group."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of the pipeline beside the pipeline itself.

    ``changed``: 1 - CC of the two predictions; ``moved``: share of the prediction's mass that is elsewhere;
    ``differences``: score of the variant less that of the pipeline, paired by video, one per metric.
    """

    name: str
    kind: str
    changed: Interval
    moved: Interval
    differences: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that have something in common: mean over videos of one metric, for one system."""

    label: str
    low: float
    high: float
    frames: int
    score: Interval


def variants(evaluation: Evaluation, kind: str) -> list[Variant]:
    """The ablations ("ablation") or the variants with other sound ("sound"), those that ran on some video.

    Frames without the variant (a video without sound) are left out on both sides.
    """
    reference = evaluation.reference
    found = []
    for place, system in enumerate(evaluation.systems):
        if system.kind != kind or reference is None:
            continue
        changes = np.stack([nan_mean(video.changes[:, place]) for video in evaluation.videos])
        if not np.isfinite(changes).any():
            continue
        pairs = np.stack([nan_mean(v.scores[:, place] - v.scores[:, reference]) for v in evaluation.videos])
        samples = evaluation.samples
        found.append(
            Variant(
                system.name,
                kind,
                interval(changes[:, 0], samples),
                interval(changes[:, 1], samples),
                tuple(interval(pairs[:, metric], samples) for metric in range(len(METRICS))),
            )
        )
    return found


def by_scene_time(evaluation: Evaluation, system: int, metric: str) -> list[Group]:
    """Scores against the time since the scene began; groups without a frame are left out. Empty for pictures."""
    if not any(video.times.any() for video in evaluation.videos):
        return []
    groups = []
    for low, high in pairwise(SCENE_BOUNDS):
        label = f"{low:g} – {high:g} s" if np.isfinite(high) else f"{low:g} s and later"
        masks = [(video.since_cut >= low) & (video.since_cut < high) for video in evaluation.videos]
        groups += _group(evaluation, masks, system, metric, (label, low, high))
    return groups


def by_faces(evaluation: Evaluation, system: int, metric: str) -> list[Group]:
    """Scores against the number of faces, marked or (without marks) found."""
    groups = []
    for count in range(MOST_FACES + 1):
        last = count == MOST_FACES
        label = f"{count} and more" if last else str(count)
        masks = [v.faces >= count if last else v.faces == count for v in evaluation.videos]
        groups += _group(evaluation, masks, system, metric, (label, count, np.inf if last else count))
    return groups


def gates(evaluation: Evaluation) -> dict[str, Interval]:
    """Mean gate of each modality over videos."""
    names = list(dict.fromkeys(name for video in evaluation.videos for name in video.gate_names))
    means = {name: [_mean_gate(video, name) for video in evaluation.videos] for name in names}
    return {name: interval(np.array(values), evaluation.samples) for name, values in means.items()}


def _mean_gate(video: VideoScores, name: str) -> float:
    if name not in video.gate_names:
        return np.nan
    return float(nan_mean(video.gates[:, video.gate_names.index(name)]))


def _group(
    evaluation: Evaluation,
    masks: list[NDArray[np.bool_]],
    system: int,
    metric: str,
    bounds: tuple[str, float, float],
) -> list[Group]:
    frames = sum(int(mask.sum()) for mask in masks)
    if not frames:
        return []
    place = KEYS.index(metric)
    means = [
        nan_mean(v.scores[mask, system, place]) for v, mask in zip(evaluation.videos, masks, strict=True)
    ]
    return [Group(*bounds, frames, interval(np.array(means, np.float64), evaluation.samples))]
