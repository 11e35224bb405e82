"""One way in for everything that holds pictures."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from numpy.typing import ArrayLike

from gasp.errors import InputError, UsageError
from gasp.video.containers import check_file
from gasp.video.frames import Frame
from gasp.video.image_files import open_folder, open_image
from gasp.video.memory import MemorySource
from gasp.video.pictures import is_image_file
from gasp.video.sound import Sound
from gasp.video.source import VideoSource
from gasp.video.video_file import VideoFile


def open_source(
    source: str | PathLike[str] | ArrayLike | Iterable[ArrayLike | Frame],
    *,
    fps: float = 25.0,
    sound: Sound | tuple[ArrayLike, int] | None = None,
) -> VideoSource:
    """Open a video file, an image, a folder of numbered images, or pictures in memory.

    ``fps`` is the rate of sources that have none of their own. ``sound`` goes with pictures in memory: a
    :class:`Sound` or ``(samples, rate)``. Raises :class:`InputError` in one sentence when ``source`` cannot
    be used: missing, empty, damaged from the start, not a video, without pictures, not permitted.
    """
    if not 0 < fps < float("inf"):
        raise UsageError(f"fps must be above 0, not {fps}.")
    if isinstance(source, VideoSource):
        return source
    if not isinstance(source, str | PathLike):
        return MemorySource(source, fps, sound)
    if sound is not None:
        raise UsageError("sound can only be given with pictures in memory; a file brings its own.")
    path = Path(source)
    try:
        folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise InputError(f"{str(path)!r} is not the name of a file: {error}.") from error
    if folder:
        return open_folder(path, fps)
    check_file(path)
    if is_image_file(path):
        return open_image(path, fps)
    return VideoFile(path, fps)
