"""Finished videos on disk, from which an evaluation that was interrupted goes on."""

from __future__ import annotations

from gasp.errors import InputError
from gasp.evaluation.results import VideoScores
from gasp.work.folder import Piece, WorkFolder

_SCORES = "scores.npz"


class Parts:
    """A piece of ``work`` for each finished video; those of another evaluation go.

    Args:
        work: The work folder, locked.
        fingerprint: Of the evaluation, see :meth:`gasp.evaluation.comparison.Comparison.fingerprint`.
        anew: Take up nothing.
    """

    def __init__(self, work: WorkFolder, fingerprint: str, *, anew: bool = False) -> None:
        self._work = work
        self._pieces: dict[str, Piece] = {p.name: p for p in work.begin(fingerprint, anew=anew)}

    def load(self, place: int, identity: str) -> VideoScores | None:
        """The video at ``place`` if it was done."""
        piece = self._pieces.get(_name(place))
        if piece is None:
            return None
        try:
            scores = VideoScores.load(piece.folder / _SCORES)
        except InputError:
            return None
        return scores if scores.id == identity else None

    def save(self, place: int, scores: VideoScores) -> None:
        """Keeps a finished video."""
        folder = self._work.writing()
        scores.save(folder / _SCORES)
        self._work.commit(folder, _name(place), {"video": scores.id})


def _name(place: int) -> str:
    return f"{place:06d}"
