"""Which videos are for training, validation and test: the lists of 2021, one's own, and a part held back by name.

A list is a CSV file with the columns ``video_id,fps,scene_type,dataset``; ``video_id`` is the folder's name in the 2021
layout. The published lists ship with the package and are known by name (``train_ave``, ``test_stavis_1``, ...).
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from gasp.datasets.columns import check_name, field, read_csv
from gasp.errors import InputError, UsageError
from gasp.naming import nearest
from gasp.work.files import replacing

if TYPE_CHECKING:
    from gasp.datasets.video_set import VideoSet

log = logging.getLogger(__name__)

COLUMNS = ("video_id", "fps", "scene_type", "dataset")

SOCIAL = "Social"
"""The scene type that training and inference limited to split videos use."""

PUBLISHED = Path(str(files("gasp.datasets"))) / "splits"


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One video of a list."""

    video_id: str
    fps: float
    scene_type: str
    dataset: str


@dataclass(frozen=True, slots=True)
class Split:
    """A list of videos; ``name`` is for messages."""

    name: str
    rows: tuple[SplitRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, video: object) -> bool:
        """Whether (dataset, video_id) is in the list."""
        return any((row.dataset, row.video_id) == video for row in self.rows)

    def only(self, scene_type: str | None = SOCIAL, datasets: Collection[str] | None = None) -> Split:
        """The rows of exactly this scene type (None: any), of these datasets (None: any)."""
        rows = (row for row in self.rows if scene_type is None or row.scene_type == scene_type)
        return Split(self.name, tuple(row for row in rows if datasets is None or row.dataset in datasets))

    def check(self, dataset: str, videos: Collection[str]) -> list[str]:
        """Ids of this split's videos of ``dataset``; raises :class:`~gasp.errors.InputError` for unknown ones."""
        wanted = [row.video_id for row in self.rows if row.dataset == dataset]
        unknown = [video for video in wanted if video not in videos]
        if unknown:
            raise InputError(
                f"the split {self.name} names {len(unknown)} videos that {dataset} does not have: "
                f"{', '.join(unknown[:8])}{nearest(unknown[0], videos)}"
            )
        return wanted


def split_names() -> list[str]:
    """Names of the published lists."""
    return sorted(path.stem for path in PUBLISHED.glob("*.csv"))


def read_split(name: str | Path) -> Split:
    """The list in a CSV file, or the published one of this name.

    The paths in 2021's presets (``datasets/processed/train_ave.csv``) mean the published list where there is no such
    file. A row that is repeated counts once. Raises :class:`~gasp.errors.UsageError` for an unknown name and
    :class:`~gasp.errors.InputError` for a damaged file.
    """
    path = Path(name)
    if not path.is_file():
        shipped = PUBLISHED / f"{path.name.removesuffix('.csv')}.csv"
        by_name = path.name == str(name) or path.parent.as_posix().endswith("datasets/processed")
        if not (by_name and shipped.is_file()):
            raise UsageError(
                f"there is no split {str(name)!r}: no such file{nearest(path.stem, split_names())}"
            )
        path = shipped
    rows: dict[tuple[str, str], SplitRow] = {}
    for line in read_csv(path, COLUMNS):
        row = SplitRow(
            check_name(line["video_id"] or "", path),
            field(line, "fps", float, path),
            line["scene_type"] or "",
            check_name(line["dataset"] or "", path),
        )
        if not 0 < row.fps <= 1000:
            raise InputError(f"{path}: the frame rate of {row.video_id!r} is {row.fps}")
        if rows.setdefault((row.dataset, row.video_id), row) != row:
            raise InputError(f"{path}: {row.video_id!r} of {row.dataset} occurs twice, with other values")
    if not rows:
        raise InputError(f"{path} names no video")
    return Split(str(name), tuple(rows.values()))


def split_videos(videos: VideoSet, splits: Iterable[str], scene_type: str | None = SOCIAL) -> list[str]:
    """Ids of the set's videos in these lists, each once; one that runs at another rate than its list says is named.

    Raises:
        InputError: a list names a video that the set does not have.
        UsageError: the lists name no video of the set with this scene type (None: any).
    """
    names: dict[str, None] = {}
    for name in splits:
        split = read_split(name).only(scene_type, [videos.name])
        split.check(videos.name, videos.ids)
        for row in split.rows:
            names[row.video_id] = None
            fps = videos.video(row.video_id).fps
            if abs(fps - row.fps) > 0.01 * row.fps:
                log.warning(
                    "%s: %s is at %.3f frames per second, the list says %g",
                    split.name,
                    row.video_id,
                    fps,
                    row.fps,
                )
    if not names:
        raise UsageError(f"the lists name no video of {videos.name} with scene type {scene_type or 'any'}")
    return list(names)


def write_split(path: str | Path, rows: Sequence[SplitRow]) -> None:
    """Write a list, atomically."""
    with replacing(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((row.video_id, f"{row.fps:g}", row.scene_type, row.dataset) for row in rows)


def held_back(ids: Iterable[str], fraction: float = 0.15, seed: str = "gasp") -> frozenset[str]:
    """The ids that are kept for evaluation: about ``fraction`` of them.

    Whether an id is held back depends on the id and ``seed`` alone, never on the other ids, so that adding
    images to a dataset moves none from one side to the other. A smaller fraction holds back a subset.
    """
    if not 0 <= fraction <= 1:
        raise UsageError(f"the fraction to hold back must be between 0 and 1, not {fraction}")
    return frozenset(name for name in ids if _place(name, seed) < fraction)


def _place(name: str, seed: str) -> float:
    """A number in [0, 1) that looks random and never changes."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
