"""Where clips come from: a packed store, or the folders of 2021; both with one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gasp.datasets.grouped import FIXATED, GroupedFrames, GroupedVideo, Window
from gasp.datasets.store import INDEX, PackedStore
from gasp.errors import InputError, UsageError

Size = tuple[int, int]
Video = tuple[str, str]
"""(dataset, video)."""


class ClipSource(Protocol):
    """Windows of pictures by video. May be copied into other processes."""

    folder: Path

    @property
    def videos(self) -> tuple[Video, ...]:
        """What there is."""

    def frames(self, video: Video) -> int:
        """How many frames a video has."""

    def names(self, video: Video) -> Sequence[str]:
        """Pictures that a video may have, for messages."""

    def has(self, video: Video, name: str) -> bool:
        """Whether the picture is there in any frame."""

    def problem(self, video: Video) -> str | None:
        """Why the video cannot be relied on; None when it can."""

    def window(
        self, video: Video, start: int, length: int, maps: Sequence[str], targets: Sequence[str]
    ) -> Window:
        """Frames ``start`` (from 0) to ``start + length - 1``; missing pictures are marked."""

    def truth(self, video: Video, targets: Sequence[str]) -> Window:
        """Targets of all frames to compare with, without maps; pixels of fixation maps above 0 are fixated."""


class StoreSource:
    """A store of ``gasp pack``."""

    def __init__(self, store: PackedStore) -> None:
        self.store = store
        self.folder = store.folder

    @property
    def videos(self) -> tuple[Video, ...]:
        """What there is."""
        return tuple(self.store.videos)

    def frames(self, video: Video) -> int:
        """How many frames a video has."""
        return self.store.video(*video).frames

    def names(self, video: Video) -> Sequence[str]:
        """Pictures that a video may have."""
        return (*self.store.maps, *self.store.targets)

    def has(self, video: Video, name: str) -> bool:
        """Whether the picture is there in any frame."""
        known = self.store.video(*video)
        return name in known.missing and known.missing[name] < known.frames

    def problem(self, video: Video) -> str | None:
        """Why the video cannot be relied on."""
        return None if self.frames(video) else "holds no frame"

    def window(
        self, video: Video, start: int, length: int, maps: Sequence[str], targets: Sequence[str]
    ) -> Window:
        """Frames from ``start``, counted from 0."""
        return self.store.window(*video, start, length, maps, targets)

    def truth(self, video: Video, targets: Sequence[str]) -> Window:
        """Targets of all frames."""
        if self.store.options.fixations_above is None:
            raise UsageError(
                f"{self.folder} was packed with the haze around fixations, so that predictions cannot be compared "
                "with them; pack it again without that"
            )
        return self.window(video, 0, self.frames(video), (), targets)


class FolderSource:
    """A ``Grouped_frames`` folder; pictures are resized to ``size`` and ``target_size`` (height, width)."""

    def __init__(self, grouped: GroupedFrames, size: Size, target_size: Size) -> None:
        self.grouped = grouped
        self.folder = grouped.folder
        self.size, self.target_size = size, target_size

    @property
    def videos(self) -> tuple[Video, ...]:
        """What there is."""
        return tuple(self.grouped.videos)

    def frames(self, video: Video) -> int:
        """How many frames a video has."""
        return self._video(video).frames

    def names(self, video: Video) -> Sequence[str]:
        """Pictures that a video may have."""
        return self._video(video).names()

    def has(self, video: Video, name: str) -> bool:
        """Whether the picture is there in any frame."""
        found = self._video(video)
        return any(found.path(number, name).is_file() for number in found.numbers)

    def problem(self, video: Video) -> str | None:
        """Why the video cannot be relied on."""
        return self._video(video).problem()

    def window(
        self, video: Video, start: int, length: int, maps: Sequence[str], targets: Sequence[str]
    ) -> Window:
        """Frames from ``start``, counted from 0."""
        found = self._video(video)
        return found.window(start, length, maps, targets, size=self.size, target_size=self.target_size)

    def truth(self, video: Video, targets: Sequence[str]) -> Window:
        """Targets of all frames."""
        found, size = self._video(video), self.target_size
        return found.window(0, found.frames, (), targets, target_size=size, fixations_above=FIXATED)

    def _video(self, video: Video) -> GroupedVideo:
        return self.grouped.video(*video)


def open_source(folder: Path, size: Size, target_size: Size) -> ClipSource:
    """The store or ``Grouped_frames`` folder at ``folder``.

    Raises :class:`~gasp.errors.InputError` when it is neither, :class:`~gasp.errors.UsageError` when a store has
    pictures of other sizes.
    """
    if not folder.exists():
        raise InputError(
            f"{folder} does not exist; clips.source must be a store (`gasp pack`) or a Grouped_frames folder "
            "(`gasp generate`)"
        )
    if not (folder / INDEX).is_file():
        return FolderSource(GroupedFrames(folder), size, target_size)
    store = PackedStore(folder)
    for field, wanted, stored in (
        ("size", size, store.options.size),
        ("target_size", target_size, store.options.target_size),
    ):
        if wanted != stored:
            raise UsageError(
                f"clips.{field} is {_say(wanted)}, but {folder} was packed at {_say(stored)}: set "
                f"clips.{field} to [{stored[0]}, {stored[1]}], or run `gasp pack` again"
            )
    return StoreSource(store)


def _say(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
