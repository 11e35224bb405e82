"""A video in the layout of 2021 as a source: ``<video>/<frame>/<name>_1.jpg``, frames counted from 1."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError, UsageError
from gasp.naming import printable
from gasp.video.frames import Frame
from gasp.video.pictures import resize
from gasp.video.sound import SoundStream
from gasp.video.source import VideoSource

log = logging.getLogger(__name__)

Image = NDArray[np.uint8]

CAPTURED = "captured"
"""Name of the image that is the frame itself."""

COUNTER = "_1.jpg"
"""End of an image's file name; other counters are never read."""

BLACK: Image = np.zeros((10, 10, 3), np.uint8)
"""What stands for an image that is missing or damaged."""
BLACK.setflags(write=False)


MOST_FRAMES = 10_000_000
"""Of a video: a folder with a higher number is no frame's."""


def frame_numbers(folder: Path) -> list[int]:
    """The numbers of a video's frames, in order: of the folders called 1, 2, ..."""
    return sorted(int(path.name) for path in folder.iterdir() if is_frame_number(path.name))


def is_frame_number(name: str) -> bool:
    """Whether a folder's name is a frame's; decided by length first, since names may have 200 digits."""
    digits = name.isdecimal() and name.isascii() and not name.startswith("0") and len(name) <= 8
    return digits and int(name) <= MOST_FRAMES


def image_path(folder: Path, number: int, name: str) -> Path:
    """Where the image ``name`` of frame ``number`` lies."""
    return folder / str(number) / f"{name}{COUNTER}"


def read_colours(path: Path) -> Image | None:
    """An image as RGB uint8 (H, W, 3); None when it is missing or damaged."""
    return _decode(path, cv2.IMREAD_COLOR_RGB)


def read_grey(path: Path) -> Image | None:
    """An image as grey uint8 (H, W); None when it is missing or damaged."""
    return _decode(path, cv2.IMREAD_GRAYSCALE)


def read_or_black(path: Path) -> Image:
    """An image as RGB uint8 (H, W, 3); small and black when it is missing or damaged."""
    image = read_colours(path)
    return BLACK if image is None else image


class GroupedSource(VideoSource):
    """The captured images of a video's frame folders, shown at ``fps`` images per second, without sound.

    The first that can be read decides the size; others are scaled to it, and those that are missing or damaged are
    black. Both are counted and logged once.

    Attributes:
        folder: The video's folder.
        numbers: The frames' numbers; ``Frame.index`` is a place in this list.
    """

    def __init__(self, folder: Path, fps: float = 25.0) -> None:
        self.path = self.folder = folder
        self.name = printable(folder.name)
        self.fps = float(fps)
        self.numbers = frame_numbers(folder)
        if not self.numbers:
            raise InputError(f"{folder} holds no frame; <frame>/{CAPTURED}{COUNTER} was expected")
        self.frame_count = len(self.numbers)
        self.duration = self.frame_count / self.fps
        self.start_time = 0.0
        self.has_sound = False
        self.skipped = 0
        images = (read_colours(self._file(index)) for index in range(self.frame_count))
        first = next((image for image in images if image is not None), BLACK)
        self.height, self.width = first.shape[:2]

    def frames(self, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        """Iterate from frame ``start_index``, yielding each ``every``-th; see :class:`VideoSource`."""
        if start_index < 0 or every < 1:
            raise UsageError(f"start_index must be at least 0 and every at least 1: {start_index}, {every}.")
        return self._frames(start_index, every)

    def sound_stream(self, rate: int = 16000) -> SoundStream | None:
        """None: stored frames have no sound."""
        return None

    def _frames(self, start_index: int, every: int) -> Iterator[Frame]:
        self.skipped = scaled = 0
        for index in range(start_index, len(self.numbers), every):
            image = read_colours(self._file(index))
            if image is None:
                self.skipped += 1
                image = np.zeros((self.height, self.width, 3), np.uint8)
            elif image.shape[:2] != (self.height, self.width):
                scaled += 1
                image = resize(image, self.width, self.height)
            yield Frame(index, index / self.fps, image)
        if self.skipped:
            log.warning("%s: missing or damaged frames that count as black: %d.", self.path, self.skipped)
        if scaled:
            log.warning(
                "%s: images of other sizes scaled to %d x %d: %d.", self.path, self.width, self.height, scaled
            )

    def _file(self, index: int) -> Path:
        return image_path(self.folder, self.numbers[index], CAPTURED)


def _decode(path: Path, how: int) -> Image | None:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    image = cv2.imdecode(data, how) if data.size else None
    return None if image is None else np.asarray(image, np.uint8)
