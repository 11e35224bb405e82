"""What an evaluation leaves in its folder: tables, the report, and the manifest that says what was compared how."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from gasp.evaluation.report import render_evaluation
from gasp.evaluation.results import Evaluation
from gasp.evaluation.score_tables import write_outputs
from gasp.work.files import replacing
from gasp.work.provenance import describe_platform

FORMAT = "gasp-evaluation-1"


def parts_folder(out: Path) -> Path:
    """Where an evaluation into ``out`` keeps finished videos until it is done."""
    return out / ".partial"


def write_evaluation(evaluation: Evaluation, out: Path, *, report: bool = True) -> None:
    """Writes a finished evaluation into ``out``; its kept parts are no longer needed and go."""
    write_outputs(evaluation, out)
    if report:
        with replacing(out / "report.html") as temporary:
            temporary.write_text(render_evaluation(evaluation), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        **evaluation.about,
        "platform": describe_platform(),
        "videos": len(evaluation.videos),
        "frames": evaluation.frame_count,
        "problems": evaluation.problems.plain(),
    }
    with replacing(out / "run.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=2, default=str) + "\n", encoding="utf-8")
    shutil.rmtree(parts_folder(out), ignore_errors=True)
