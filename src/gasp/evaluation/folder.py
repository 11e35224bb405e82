"""What an evaluation leaves in its folder: tables, the report, and the manifest that says what was compared how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gasp.evaluation.report import render_evaluation
from gasp.evaluation.results import Evaluation
from gasp.evaluation.score_tables import OUTPUTS, write_outputs
from gasp.results.folder import check_beside, publish_beside
from gasp.results.manifest import EVALUATION
from gasp.work.folder import NAME as WORK
from gasp.work.folder import WorkFolder
from gasp.work.provenance import describe_platform

REPORT = "report.html"


@contextmanager
def evaluation_folder(out: Path, *, report: bool = True, overwrite: bool = False) -> Iterator[WorkFolder]:
    """The work folder of an evaluation into ``out``, for this process alone.

    Raises:
        OutputError: Another evaluation is at work there, or something that is not ours is in the way of its results.
    """
    work = WorkFolder(out / WORK)
    with work.locked():
        names = [*OUTPUTS, REPORT] if report else [*OUTPUTS]
        check_beside(out, work.path, names, overwrite=overwrite)
        yield work


def write_evaluation(
    evaluation: Evaluation, out: Path, work: WorkFolder, *, report: bool = True, overwrite: bool = False
) -> None:
    """Publishes a finished evaluation in ``out``; the videos that were kept in ``work`` go."""
    assembled = work.assembled()
    write_outputs(evaluation, assembled)
    if report:
        (assembled / REPORT).write_text(render_evaluation(evaluation), encoding="utf-8")
    manifest = {
        "format": EVALUATION,
        **evaluation.about,
        "platform": describe_platform(),
        "videos": len(evaluation.videos),
        "frames": evaluation.frame_count,
        "problems": evaluation.problems.plain(),
    }
    publish_beside(assembled, out, work.path, manifest, overwrite=overwrite)
    work.remove()
