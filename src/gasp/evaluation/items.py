"""What is evaluated: videos and pictures with recorded fixations, in one form.

An :class:`Item` is a video, or a picture that counts as a video of one frame. A dataset of one's own plugs in by
offering objects of this form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gasp.datasets.fixations import Fixations
from gasp.datasets.image_set import ImageSet
from gasp.datasets.images import BLUR
from gasp.datasets.recordings.recording_set import has_recordings
from gasp.datasets.recordings.viewing import Placement
from gasp.datasets.sets import SETS, open_set
from gasp.datasets.split import held_back, read_split
from gasp.datasets.video_set import MOST_FRAMES, Kernel, Video, VideoSet
from gasp.errors import InputError, UsageError
from gasp.faces.face import Box
from gasp.naming import nearest
from gasp.video import VideoSource, open_source

IMAGES = "images"
"""Name of the reader of still pictures; the set's own name is its folder's."""


class Item(Protocol):
    """A video, or a picture as a video of one frame.

    ``id`` is its name, unique in the dataset; ``dataset`` the set's name in the 2021 layout.
    """

    @property
    def id(self) -> str:
        """Name of the video or picture."""

    @property
    def dataset(self) -> str:
        """Name of its dataset."""

    @property
    def path(self) -> Path | None:
        """The video's file; None for pictures."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, of which fixations are given."""

    @property
    def sigma(self) -> float:
        """Standard deviation of density maps in these pixels."""

    @property
    def frame_count(self) -> int:
        """How many frames there are."""

    @property
    def fps(self) -> float:
        """Frames per second; 0 for a picture."""

    def time(self, frame: int) -> float:
        """When frame ``frame`` (from 0) is shown, in seconds on the container's clock."""

    def open(self) -> VideoSource:
        """The pictures and the sound."""

    def fixations(self, frame: int | None = None) -> Fixations:
        """Fixations at a frame, or all there are."""

    def faces(self, frame: int) -> list[Box] | None:
        """Faces marked in a frame; None when the set has no such marks."""


@dataclass(frozen=True)
class PictureItem:
    """Picture ``index`` of a set of pictures."""

    images: ImageSet
    index: int
    dataset: str
    marked: bool
    path: None = None
    fps: float = 0.0
    frame_count: int = 1

    @property
    def id(self) -> str:
        """Name of the picture."""
        return self.images.ids[self.index]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.images.size(self.index)

    @property
    def sigma(self) -> float:
        """The set's blur in pixels of this picture."""
        return self.images.blur * self.size[1]

    def time(self, frame: int) -> float:
        """0."""
        return 0.0

    def open(self) -> VideoSource:
        """The picture as a source of one frame."""
        return open_source(self.images.image(self.index))

    def fixations(self, frame: int | None = None) -> Fixations:
        """All fixations on the picture."""
        return self.images.fixations(self.index)

    def faces(self, frame: int) -> list[Box] | None:
        """Faces marked by hand; None when the set has none in any picture."""
        return [face.box for face in self.images.faces(self.index)] if self.marked else None


@dataclass(frozen=True)
class VideoItem:
    """Video ``id`` of a set of videos."""

    videos: VideoSet
    id: str

    @property
    def dataset(self) -> str:
        """The set's name in the 2021 layout."""
        return self.videos.name

    @property
    def _video(self) -> Video:
        return self.videos.video(self.id)

    @property
    def path(self) -> Path | None:
        """The video's file."""
        return self._video.path

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self._video.height, self._video.width

    @property
    def sigma(self) -> float:
        """The set's density kernel in pixels of this video."""
        return self.videos.sigma(self.id)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._video.fps

    @property
    def frame_count(self) -> int:
        """As the file says; where it does not, until the last fixation."""
        if self._video.frames:
            return self._video.frames
        fixations = self.fixations()
        last = float((fixations.onset + fixations.duration).max(initial=self._video.first_frame))
        count = np.ceil((last - self._video.first_frame) * self.fps)
        if not count <= MOST_FRAMES:
            raise InputError(f"{self.id}: its fixations last until {last:g} s, which cannot be right")
        return int(count)

    def time(self, frame: int) -> float:
        """The middle of the frame's time on screen."""
        return self._video.time(frame)

    def open(self) -> VideoSource:
        """The video."""
        return open_source(self._video.path)

    def fixations(self, frame: int | None = None) -> Fixations:
        """Fixations going on at a frame, or all."""
        return self.videos.fixations(self.id) if frame is None else self.videos.fixations_at(self.id, frame)

    def faces(self, frame: int) -> list[Box] | None:
        """Faces marked by hand, where the set knows any."""
        marks: Any = getattr(self.videos, "faces", None)
        return None if marks is None else [face.box for face in marks(self.id, frame)]


@dataclass(frozen=True)
class ItemSet:
    """What a dataset's folder offers for evaluation: its name, its items, and what its reader left out."""

    name: str
    items: Sequence[Item]
    skipped: dict[str, int] = field(default_factory=dict)

    def only(self, names: Iterable[str]) -> ItemSet:
        """The items of these names, in their order. Raises :class:`~gasp.errors.UsageError` for an unknown one."""
        known = {item.id: item for item in self.items}
        chosen = list(dict.fromkeys(names))
        for name in chosen:
            if name not in known:
                raise UsageError(f"--videos: {self.name} has no {name!r}{nearest(name, known)}")
        return ItemSet(self.name, [known[name] for name in chosen], self.skipped)


def open_items(
    folder: str | Path,
    dataset: str | None = None,
    *,
    split: str | None = None,
    blur: float | None = None,
    kernel: Kernel = "authors",
    placement: Placement | None = None,
) -> ItemSet:
    """The items of a dataset's folder.

    ``dataset``: how it is read, "images" or a name of :data:`gasp.datasets.sets.SETS`; by default it is found out.
    ``split``: "held-back" (default for pictures: those that our networks did not train on), "all" (default for
    videos), or the name or file of a list of videos. ``blur``: standard deviation of the density maps of pictures as
    a fraction of their width; by default the authors' choice, or 0.03. ``kernel``: whose density maps of videos, see
    :func:`gasp.datasets.open_set`; ``placement``: of videos on the screen, for recordings of eye trackers.

    Raises :class:`~gasp.errors.InputError` for a folder that holds no such set and
    :class:`~gasp.errors.UsageError` for unknown names.
    """
    folder = Path(folder)
    name = dataset or detect(folder)
    if name == IMAGES:
        return _pictures(folder, split or "held-back", blur)
    if blur is not None:
        raise UsageError("the blur is part of a set of videos; it can only be chosen for pictures")
    tables = (folder / "fixations.csv").is_file() or (folder.is_dir() and has_recordings(folder))
    if name not in SETS and dataset is not None and not tables:
        raise UsageError(f"unknown dataset {dataset!r}{nearest(dataset, [IMAGES, *SETS])}")
    videos = open_set(name, folder, kernel=kernel, placement=placement)
    chosen = _chosen(videos.ids, split or "all", videos.name)
    return ItemSet(videos.name, [VideoItem(videos, video) for video in chosen], videos.skipped)


def detect(folder: Path) -> str:
    """How a folder is to be read. Raises :class:`~gasp.errors.InputError` when it looks like no known set."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; a dataset with fixations was expected there")
    if (folder / "images.csv").is_file():
        return IMAGES
    if (folder / "video_database.mat").is_file():
        return "findwho"
    if (folder / "videos.csv").is_file() and "first_frame_s" in _first_line(folder / "videos.csv"):
        return "findwho"
    for place in (1, 2):
        if (folder / f"coutrot_database{place}.mat").is_file():
            return f"coutrot{place}"
    if (folder / "SumMe_ETMD").is_dir() or (folder / "eyetracking" / "all_videos.mat").is_file():
        return "summeetmd"
    if next(folder.glob("*/event_data"), None) is not None:
        return "diem"
    tables = (folder / "fixations.csv").is_file() or (folder / "fixations.parquet").is_file()
    if tables or has_recordings(folder):
        return folder.resolve().name.lower()
    raise InputError(
        f"{folder} looks like no dataset that can be read: there is neither images.csv nor fixations.csv nor a "
        f"published set's files; name it with --dataset ({', '.join([IMAGES, *SETS])})"
    )


def _pictures(folder: Path, split: str, blur: float | None) -> ItemSet:
    name = folder.resolve().name.lower()
    images = ImageSet(folder, blur=BLUR.get(name, 0.03) if blur is None else blur)
    if not images.blur > 0:
        raise UsageError(f"the blur must be above 0, not {images.blur}")
    if split not in ("held-back", "all"):
        raise UsageError(f'the split of pictures is "held-back" or "all", not {split!r}')
    marked = any(images.faces(i) for i in range(len(images)))
    chosen = set(_chosen(images.ids, split, name))
    items = [PictureItem(images, i, name, marked) for i, one in enumerate(images.ids) if one in chosen]
    return ItemSet(name, items, images.skipped)


def _chosen(ids: list[str], split: str, dataset: str) -> list[str]:
    if split == "all":
        return ids
    wanted: Collection[str] = held_back(ids) if split == "held-back" else _listed(ids, split, dataset)
    chosen = [one for one in ids if one in wanted]
    if not chosen:
        raise InputError(
            f"the split {split!r} holds none of the {len(ids)} ids of {dataset}; use --split all"
        )
    return chosen


def _listed(ids: list[str], split: str, dataset: str) -> list[str]:
    return [row.video_id for row in read_split(split).only(None).rows if row.dataset == dataset]


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(4096)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
