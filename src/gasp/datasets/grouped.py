"""The folder layout of 2021: ``Grouped_frames/<dataset>/<video>/<frame>/<name>_1.jpg``, frames counted from 1.

A map that is missing or entirely black is not written, so a frame may lack any but ``captured``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gasp.datasets.split import SOCIAL, read_split
from gasp.errors import InputError
from gasp.naming import nearest
from gasp.video.grouped import CAPTURED as CAPTURED
from gasp.video.grouped import COUNTER, MOST_FRAMES, frame_numbers, image_path, is_frame_number

DENSITY, FIXATIONS = "transformed_salmap", "transformed_fixmap"
TARGETS = (DENSITY, FIXATIONS)
FIXATED = 127
"""Pixels of stored fixation maps above this are fixated: JPEG leaves a haze around points."""

_OLD_NAMES = {"captured": CAPTURED, "videogaze": "det_transformed_vidgaze"}


def picture_name(modality: str) -> str:
    """A modality's name on disk: ``captured``, ``det_transformed_dave``, ``det_transformed_vidgaze``, ..."""
    return _OLD_NAMES.get(modality, f"det_transformed_{modality}")


def modality_name(picture: str) -> str:
    """The modality of a name on disk: ``det_transformed_vidgaze`` is ``videogaze``."""
    known = {old: name for name, old in _OLD_NAMES.items()}
    return known.get(picture, picture.removeprefix("det_transformed_"))


class Window(NamedTuple):
    """Successive frames of a video.

    ``maps``: uint8 (T, K, H, W), K = 3 per map (R, G, B) in the order asked for. ``targets``: uint8 (T, G, h, w), grey.
    ``has_map``: bool (T, M), ``has_target``: bool (T, G); where they are False, the picture is black: the frame lies
    beyond the end of the video, or its map was not written.
    """

    maps: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    has_map: NDArray[np.bool_]
    has_target: NDArray[np.bool_]


@dataclass(frozen=True)
class GroupedVideo:
    """One video's frame folders."""

    dataset: str
    name: str
    folder: Path

    @cached_property
    def numbers(self) -> list[int]:
        """The frames' numbers in order; see :meth:`problem` for other folders of digits."""
        return frame_numbers(self.folder)

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.numbers)

    def path(self, number: int, name: str) -> Path:
        """Where the picture ``name`` of frame ``number`` lies; only counter 1 is ever read."""
        return image_path(self.folder, number, name)

    def names(self) -> list[str]:
        """Names of the pictures that at least one frame has, sorted; a map that is black for long is found too."""
        found: set[str] = set()
        for number in self.numbers:
            with os.scandir(self.folder / str(number)) as files:
                found |= {file.name.removesuffix(COUNTER) for file in files if file.name.endswith(COUNTER)}
        return sorted(found)

    def problem(self) -> str | None:
        """Why the folder looks half-written; None when it does not."""
        if not self.numbers:
            return "holds no frame"
        names = (path.name for path in self.folder.iterdir())
        strange = sorted(name for name in names if name.isdecimal() and not is_frame_number(name))
        if strange:
            return f"holds a folder {strange[0][:20]!r}, which is no frame's number (1 to {MOST_FRAMES})"
        missing = self.numbers[-1] - len(self.numbers)
        if missing:
            first = next(k for k, number in enumerate(self.numbers, 1) if k != number)
            return f"lacks {missing} frames between 1 and {self.numbers[-1]}, such as {first}"
        bare = [number for number in self.numbers if not _filled(self.path(number, CAPTURED))]
        if bare:
            return f"has no or an empty {CAPTURED}_1.jpg in {len(bare)} frames, such as {bare[0]}"
        return None

    def fingerprint(self, names: Sequence[str]) -> str:
        """Changes when a picture is added, removed, or written anew."""
        digest = hashlib.sha256()
        for number in self.numbers:
            for name in names:
                try:
                    state = self.path(number, name).stat()
                except OSError:
                    continue
                digest.update(f"{number}/{name}:{state.st_size}:{state.st_mtime_ns};".encode())
        return digest.hexdigest()

    def window(
        self,
        start: int,
        length: int,
        maps: Sequence[str],
        targets: Sequence[str] = TARGETS,
        *,
        size: tuple[int, int] = (120, 120),
        target_size: tuple[int, int] = (60, 60),
        fixations_above: int | None = None,
    ) -> Window:
        """Frames ``start`` (from 0) to ``start + length - 1``, resized to (height, width) as in 2021's training.

        ``fixations_above``: fixation maps are made 0 or 255 at this value first.
        """
        window = empty_window(length, len(maps), len(targets), size, target_size)
        for place, number in enumerate(self.numbers[start : start + length]):
            for index, name in enumerate(maps):
                picture = read_picture(self.path(number, name), size)
                if picture is not None:
                    window.maps[place, 3 * index : 3 * index + 3] = picture
                    window.has_map[place, index] = True
            for index, name in enumerate(targets):
                path = self.path(number, name)
                if name == FIXATIONS and fixations_above is not None:
                    picture = read_points(path, target_size, fixations_above)
                else:
                    picture = read_picture(path, target_size, grey=True)
                if picture is not None:
                    window.targets[place, index] = picture[0]
                    window.has_target[place, index] = True
        return window


class GroupedFrames:
    """The folder ``Grouped_frames``. ``videos`` maps (dataset, video) to :class:`GroupedVideo`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(
                f"{self.folder} is not a folder; <dataset>/<video>/<frame>/<name>_1.jpg was expected"
            )
        found = (
            GroupedVideo(dataset.name, video.name, video)
            for dataset in _folders(self.folder)
            for video in _folders(dataset)
        )
        self.videos = {(video.dataset, video.name): video for video in found}
        if not self.videos:
            raise InputError(f"{self.folder} holds no <dataset>/<video> folder")

    def __len__(self) -> int:
        return len(self.videos)

    def video(self, dataset: str, video: str) -> GroupedVideo:
        """One video. Raises :class:`~gasp.errors.InputError` for an unknown one."""
        if (dataset, video) not in self.videos:
            known = [name for one, name in self.videos if one == dataset]
            raise InputError(f"{self.folder} has no video {dataset}/{video}{nearest(video, known, most=4)}")
        return self.videos[dataset, video]


def choose_videos(
    folder: str | Path, splits: Iterable[str] = (), datasets: Collection[str] | None = None
) -> list[tuple[str, str]] | None:
    """(dataset, video) of the social videos in these lists, or of all in the folder ``Grouped_frames``.

    ``datasets``: only these. None where neither is given: all videos, whatever they are.
    """
    splits = list(splits)
    if splits:
        rows = [row for name in splits for row in read_split(name).only(SOCIAL, datasets).rows]
        return list(dict.fromkeys((row.dataset, row.video_id) for row in rows))
    if datasets is None:
        return None
    return [video for video in GroupedFrames(folder).videos if video[0] in datasets]


def empty_window(
    length: int, maps: int, targets: int, size: tuple[int, int], target_size: tuple[int, int]
) -> Window:
    """A window of black pictures that are marked as missing."""
    return Window(
        np.zeros((length, 3 * maps, *size), np.uint8),
        np.zeros((length, targets, *target_size), np.uint8),
        np.zeros((length, maps), bool),
        np.zeros((length, targets), bool),
    )


def read_picture(path: Path, size: tuple[int, int], *, grey: bool = False) -> NDArray[np.uint8] | None:
    """A picture at (height, width) ``size``, uint8 (3 or 1, height, width); None when it is missing or damaged.

    Resized with Pillow's anti-aliased bilinear filter, as in 2021's training.
    """
    try:
        with Image.open(path) as picture:
            converted = picture.convert("L" if grey else "RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    resized = np.asarray(converted.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.uint8)
    return resized[None] if grey else resized.transpose(2, 0, 1)


def read_points(path: Path, size: tuple[int, int], above: int) -> NDArray[np.uint8] | None:
    """A fixation map, as :func:`read_picture` gives it, that is made 0 or 255 at ``above`` before it is resized."""
    try:
        with Image.open(path) as picture:
            points = picture.convert("L").point(lambda value: 255 if value > above else 0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return np.asarray(points.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.uint8)[None]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
