"""Experiments trained one after another, scored alike, and compared in tables; an interrupted sweep goes on."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

from gasp.config.experiments import Experiment
from gasp.config.sweeps import Planned, Sweep
from gasp.errors import GaspError, UsageError
from gasp.networks.gasp import GASP
from gasp.pipeline.networks import choose_device
from gasp.training.data import find_videos
from gasp.training.runs import fingerprint
from gasp.training.scoring import Scores, score
from gasp.training.sources import ClipSource, Video, open_source
from gasp.training.sweep_tables import SweepRow, write_tables
from gasp.training.train import check, train
from gasp.weights.open import open_weights
from gasp.work.files import replacing
from gasp.work.progress import Progress, Report, silent

log = logging.getLogger(__name__)


def run_sweep(sweep: Sweep, root: str | Path = ".", *, report: Report = silent) -> list[SweepRow]:
    """Trains and scores every experiment of a sweep; what an earlier call has finished is not done again.

    ``scores.csv`` and ``tables.md`` in the sweep's folder are written anew whenever an experiment is finished. One
    that fails is named in its row. Raises :class:`~gasp.errors.GaspError` before the first training for what is wrong
    with any experiment.
    """
    root = Path(root)
    planned = check_sweep(sweep, root)
    rows: list[SweepRow] = []
    for done, one in enumerate(planned):
        report(Progress(sweep.name, done, len(planned), {"now": one.name}, unit="experiments"))
        rows.append(_row(one, sweep, root))
        write_tables(rows, sweep.place(root))
    report(Progress(sweep.name, len(planned), len(planned), unit="experiments"))
    return rows


def check_sweep(sweep: Sweep, root: str | Path = ".") -> list[Planned]:
    """The experiments of a sweep. Raises :class:`~gasp.errors.GaspError` for what would stop any of them later."""
    root = Path(root)
    planned = sweep.plan()
    if sweep.leave_one_out:
        planned = [part for one in planned for part in leave_each_out(one, root)]
    for one in planned:
        try:
            _check(one, root)
        except GaspError as error:
            raise type(error)(f"{one.name}: {error}") from None
    return planned


def leave_each_out(planned: Planned, root: Path) -> list[Planned]:
    """The experiment once for each of its training videos, without it; the left-out video is what it is scored on."""
    clips = planned.experiment.clips
    videos = find_videos(_source(planned.experiment, root), planned.experiment, clips.train, root)
    if len(videos) < 2:
        raise UsageError(f"the list {clips.train} has one video; nothing is left without it")
    table = f"{planned.experiment.name}, each video left out"
    return [
        replace(
            planned,
            experiment=planned.experiment.replaced(clips={"without": (*clips.without, name)}),
            table=table,
            row=name,
            column="",
            left_out=name,
        )
        for name in map("/".join, videos)
    ]


def _check(planned: Planned, root: Path) -> None:
    trainer = planned.experiment.trainer
    if trainer.nodes > 1 or not re.fullmatch(r"1|\d+,", trainer.devices):
        raise UsageError(
            f"a sweep trains on one device at a time, not on trainer.devices = {trainer.devices!r}; set it to 1"
        )
    check(planned.experiment, root)
    source = _source(planned.experiment, root)
    source.truth(_scored(planned, source, root)[0], planned.experiment.clips.targets)


def _row(planned: Planned, sweep: Sweep, root: Path) -> SweepRow:
    """The row that an earlier call has kept, or that of a new run."""
    path = sweep.place(root) / "results" / f"{planned.name}.json"
    made_of = {"experiment": fingerprint(planned.experiment, root), "every": sweep.every}
    kept = _read_results(path, made_of)
    if kept is not None:
        return SweepRow(planned, kept)
    try:
        videos = _train_and_score(planned, sweep.every, root)
    except GaspError as error:
        log.error("%s: %s", planned.name, error)
        return SweepRow(planned, failed=str(error))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**made_of, "videos": videos}, indent=1) + "\n", encoding="utf-8")
    return SweepRow(planned, videos)


def _read_results(path: Path, made_of: dict[str, object]) -> dict[str, Scores] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        videos: dict[str, Scores] = kept.pop("videos")
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return videos if kept == made_of else None


def _train_and_score(planned: Planned, every: int, root: Path) -> dict[str, Scores]:
    experiment = planned.experiment
    run = train(experiment, root)
    options = experiment.network_options
    network = open_weights(run.last_model, network=experiment.network, options=options).load()
    assert isinstance(network, GASP)
    device = choose_device("cpu" if experiment.trainer.accelerator == "cpu" else "auto")
    source = _source(experiment, root)
    videos = _scored(planned, source, root)
    others = find_videos(source, experiment, experiment.clips.train, root) if planned.left_out else ()
    scores = score(network, source, videos, experiment, others=others, every=every, device=device)
    return {"/".join(video): scores[video] for video in videos}


def _source(experiment: Experiment, root: Path) -> ClipSource:
    clips = experiment.clips
    return open_source(root / clips.source, clips.size, clips.target_size)


def _scored(planned: Planned, source: ClipSource, root: Path) -> list[Video]:
    """The videos that the trained network is scored on."""
    clips = planned.experiment.clips
    if planned.left_out is not None:
        dataset, _, video = planned.left_out.partition("/")
        return [(dataset, video)]
    if clips.test is None:
        raise UsageError("clips.test names no list of videos to score")
    tested = planned.experiment.replaced(clips={"inputs": clips.test_inputs or clips.inputs})
    return find_videos(source, tested, clips.test, root)


__all__ = ["SweepRow", "check_sweep", "leave_each_out", "run_sweep"]
