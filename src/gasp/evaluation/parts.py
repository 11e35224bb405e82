"""Finished videos on disk, from which an evaluation that was interrupted goes on."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from gasp.evaluation.results import VideoScores
from gasp.work.files import replacing


class Parts:
    """One file per finished video in ``folder``, which is emptied when it belongs to another evaluation.

    Args:
        folder: made where it is not there.
        fingerprint: of the evaluation, see :meth:`gasp.evaluation.comparison.Comparison.fingerprint`.
        count: how many videos there are.
    """

    def __init__(self, folder: Path, fingerprint: str, count: int) -> None:
        self._folder, self._digits = folder, len(str(count))
        plan = folder / "plan.json"
        if _read_fingerprint(plan) != fingerprint:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(plan) as temporary:
                temporary.write_text(json.dumps({"fingerprint": fingerprint}), encoding="utf-8")

    def load(self, place: int, identity: str) -> VideoScores | None:
        """The video at ``place`` if it was done."""
        try:
            scores = VideoScores.load(self._path(place))
        except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile):
            return None
        return scores if scores.id == identity else None

    def save(self, place: int, scores: VideoScores) -> None:
        """Keeps a finished video."""
        scores.save(self._path(place))

    def _path(self, place: int) -> Path:
        return self._folder / f"{place:0{self._digits}d}.npz"


def _read_fingerprint(plan: Path) -> object:
    """None where there is no plan, or none that was written here."""
    try:
        return json.loads(plan.read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
