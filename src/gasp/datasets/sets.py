"""The sets of videos that can be opened by name, and where the 2021 working directory keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gasp.datasets.coutrot import CoutrotSet
from gasp.datasets.diem import DiemSet
from gasp.datasets.findwho import FindWhoSet
from gasp.datasets.findwho_mat import FindWhoMatSet
from gasp.datasets.gaze_table import GazeTableSet
from gasp.datasets.recordings.recording_set import RecordingSet, has_recordings
from gasp.datasets.recordings.viewing import Placement
from gasp.datasets.summe_etmd import SumMeEtmdSet
from gasp.datasets.video_set import Kernel, VideoSet
from gasp.errors import InputError, UsageError
from gasp.naming import nearest


@dataclass(frozen=True, slots=True)
class SetEntry:
    """How a set is opened. ``folder`` is relative to the working directory; ``reader`` is its class name of 2021."""

    folder: str
    reader: str
    open: Callable[[Path, Kernel], VideoSet]


def _open_findwho(folder: Path, kernel: Kernel) -> VideoSet:
    """Both layouts: as published, and as tables."""
    if (folder / "video_database.mat").is_file():
        return FindWhoMatSet(folder, kernel=kernel)
    return FindWhoSet(folder, kernel=kernel)


SETS = {
    "coutrot1": SetEntry(
        "datasets/ave/database1", "Coutrot1SampleReader", lambda folder, kernel: CoutrotSet(folder, 1)
    ),
    "coutrot2": SetEntry(
        "datasets/ave/database2", "Coutrot2SampleReader", lambda folder, kernel: CoutrotSet(folder, 2)
    ),
    "diem": SetEntry("datasets/ave/diem", "DIEMSampleReader", lambda folder, kernel: DiemSet(folder)),
    "findwho": SetEntry("datasets/findwho", "FindWhoSampleReader", _open_findwho),
    "summeetmd": SetEntry(
        "datasets/aveyetracking", "SumMeETMDSampleReader", lambda folder, kernel: SumMeEtmdSet(folder)
    ),
}
"""Name in the 2021 layout -> how it is opened."""


def open_set(
    name: str, folder: str | Path | None = None, *, root: str | Path = ".", kernel: Kernel = "authors",
    placement: Placement | None = None,
) -> VideoSet:  # fmt: skip
    """The set called ``name``, in ``folder`` or where the 2021 layout has it below ``root``.

    ``kernel``: whose density maps are meant where the code of 2021 differs from the authors (FindWho alone).

    ``placement``: of videos on the screen, for recordings of eye trackers.

    Any other name needs a ``folder`` in the general layout (:mod:`gasp.datasets.gaze_table`), or with recordings of eye
    trackers (:mod:`gasp.datasets.recordings`), and becomes its name.
    Raises :class:`~gasp.errors.UsageError` for an unknown name, :class:`~gasp.errors.InputError` for a folder that
    holds no such set.
    """
    entry = SETS.get(name)
    if entry is not None:
        return entry.open(Path(root) / entry.folder if folder is None else Path(folder), kernel)
    if folder is None:
        raise UsageError(
            f"unknown dataset {name!r}{nearest(name, SETS)}; for videos of your own, say in which folder they are"
        )
    if has_recordings(Path(folder)):
        return RecordingSet(folder, name=name, placement=placement)
    if placement is not None and placement != Placement():
        raise UsageError(
            f"{folder} holds no recordings of eye trackers, whose screen and start could be told"
        )
    if not (Path(folder) / "fixations.csv").is_file() and not (Path(folder) / "fixations.parquet").is_file():
        raise InputError(
            f"{folder} holds neither fixations.csv nor fixations.parquet, and {name!r} is no known set"
        )
    return GazeTableSet(folder, name=name)
