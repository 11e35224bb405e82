"""Still images as a source: one file, or a folder of numbered ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gasp.errors import InputError, UsageError
from gasp.naming import printable
from gasp.video.containers import check_file
from gasp.video.frames import Frame
from gasp.video.pictures import read_image, resize
from gasp.video.sound import SoundStream
from gasp.video.source import VideoSource

_log = logging.getLogger(__name__)


class ImageFiles(VideoSource):
    """Image files shown one after another at ``fps`` pictures per second, without sound.

    The first that can be read decides the size; others are scaled to it. Damaged files are left out and leave
    a hole: ``Frame.index`` is the place of the file in the folder. Both are counted and logged once.
    """

    def __init__(self, path: Path, files: Sequence[Path], fps: float = 25.0) -> None:
        self.path = path
        self.name = printable(path.stem if path.is_file() else path.name)
        self.fps = float(fps)
        self._files = list(files)
        self.frame_count = len(self._files)
        self.duration = self.frame_count / self.fps
        self.has_sound = False
        self.skipped = 0
        self._size: tuple[int, int] | None = None
        first = next(self._frames(0, 1), None)
        if first is None:
            if path.is_dir():
                raise InputError(f"None of the {len(self._files)} image files in {path} can be decoded.")
            raise InputError(f"{path} is damaged; the image cannot be decoded.")
        self.start_time = first.time
        self.width, self.height = first.width, first.height
        self._size = (first.width, first.height)

    def frames(self, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        """Iterate from picture ``start_index``, yielding each ``every``-th; see :class:`VideoSource`."""
        if start_index < 0 or every < 1:
            raise UsageError(f"start_index must be at least 0 and every at least 1: {start_index}, {every}.")
        return self._frames(start_index, every)

    def sound_stream(self, rate: int = 16000) -> SoundStream | None:
        """None: images have no sound."""
        return None

    def _frames(self, start_index: int, every: int) -> Iterator[Frame]:
        self.skipped = read = scaled = 0
        for index in range(start_index, len(self._files), every):
            try:
                picture = read_image(self._files[index])
            except InputError as error:
                self.skipped += 1
                _log.debug("%s", error)
                continue
            if self._size and picture.shape[1::-1] != self._size:
                picture = resize(picture, *self._size)
                scaled += 1
            read += 1
            yield Frame(index, index / self.fps, picture)
        if self.skipped and read:
            _log.warning("%s: damaged image files left out: %d.", self.path, self.skipped)
        if scaled:
            _log.warning(
                "%s: images of other sizes scaled to %d x %d: %d.",
                *(self.path, self.width, self.height, scaled),
            )


def open_image(path: Path, fps: float = 25.0) -> ImageFiles:
    """One image file as a source of one picture. Raises :class:`InputError` when it cannot be decoded."""
    check_file(path)
    return ImageFiles(path, [path], fps)


def open_folder(path: Path, fps: float = 25.0) -> ImageFiles:
    """The images of a folder in natural order (``2.png`` before ``10.png``); hidden files are passed over.

    Raises :class:`InputError` when it cannot be listed or holds no images.
    """
    try:
        entries = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"The folder {path} cannot be read: {error.strerror or error}.") from error
    files = [entry for entry in entries if _named_as_image(entry)]
    if not files:
        raise InputError(f"The folder {path} holds no images ({', '.join(sorted(_SUFFIXES))}).")
    return ImageFiles(path, sorted(files, key=_natural_order), fps)


_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}


def _named_as_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES


def _natural_order(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
