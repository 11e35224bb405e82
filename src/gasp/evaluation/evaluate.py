"""Runs an evaluation: every item once, one part per video kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gasp.errors import InputError
from gasp.evaluation.comparison import Comparison, compare
from gasp.evaluation.item_scoring import score_item
from gasp.evaluation.items import ItemSet
from gasp.evaluation.parts import Parts
from gasp.evaluation.problems import Problems
from gasp.evaluation.results import Evaluation, VideoScores
from gasp.evaluation.settings import EvaluationSettings
from gasp.evaluation.systems import MapFolder, PipelineSystem
from gasp.work.folder import WorkFolder
from gasp.work.progress import Progress, Report, silent
from gasp.work.provenance import versions


def evaluate(
    items: ItemSet,
    *,
    pipeline: PipelineSystem | None = None,
    folders: Sequence[MapFolder] = (),
    settings: EvaluationSettings | None = None,
    work: WorkFolder | None = None,
    anew: bool = False,
    progress: Report = silent,
) -> Evaluation:
    """Scores of the pipeline and of maps in folders against a dataset, beside the baselines.

    ``work``: a locked work folder in which finished videos are kept, so that an interrupted evaluation goes on from
    there; what belongs to another evaluation, or with ``anew`` all, is removed. ``progress`` hears of scored frames of
    each video and of finished videos. What cannot be used is counted and named in ``problems``; a video that cannot be
    read costs itself only. Raises :class:`~gasp.errors.InputError` when nothing could be scored and
    :class:`~gasp.errors.UsageError` for impossible settings.
    """
    comparison = compare(items, pipeline, list(folders), settings or EvaluationSettings())
    kept = None if work is None else Parts(work, comparison.fingerprint(), anew=anew)
    problems = Problems()
    problems.add(comparison.problems)
    videos = []
    for scores in _scores(comparison, kept, progress):
        problems.add(scores.problems)
        if len(scores.frames):
            videos.append(scores)
    if not videos:
        raise InputError("; ".join([f"nothing of {items.name} could be scored", *problems.sentences()]))
    return _evaluation(comparison, videos, problems)


def _scores(comparison: Comparison, kept: Parts | None, progress: Report) -> Iterator[VideoScores]:
    """Scores of every item in order: those of an earlier call, or new ones, which are kept."""
    name, items = comparison.items.name, comparison.items.items
    for place, item in enumerate(items):
        progress(Progress(name, place, len(items), unit="videos"))
        scores = kept.load(place, item.id) if kept else None
        if scores is None:
            scores = score_item(comparison, place, progress)
            if kept:
                kept.save(place, scores)
        yield scores
    progress(Progress(name, len(items), len(items), unit="videos"))


def _evaluation(comparison: Comparison, videos: list[VideoScores], problems: Problems) -> Evaluation:
    settings = comparison.settings
    about = {
        "dataset": comparison.items.name,
        "systems": {folder.name: str(folder.folder) for folder in comparison.folders},
        "settings": comparison.decisive(),
        "versions": versions(),
    }
    return Evaluation(
        comparison.items.name, comparison.systems, videos, problems, comparison.gain_over,
        settings.draws, settings.seed, about,
    )  # fmt: skip
