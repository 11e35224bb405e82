"""What every source of pictures offers, whatever it is read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal

from gasp.video.frames import Frame
from gasp.video.sound import Sound, SoundStream, read_sound

Clock = Literal["media", "capture"]


class VideoSource(ABC):
    """A sequence of pictures, perhaps with sound.

    Iterating gives :class:`Frame` after :class:`Frame`, lazily and in bounded memory. Sources on disk and
    arrays can be iterated again and again; generators once.

    ``name``: the file's name without suffix. ``path``: None for pictures in memory. ``width`` and ``height``:
    of the pictures that come, in pixels: upright, and pixels are square. ``fps``: average rate. ``frame_count``: how
    many pictures to expect, None when unknown (the header's word or an estimate, not a promise). ``duration``: seconds,
    None when unknown. ``start_time``: the first picture's time in seconds on the clock of :attr:`Frame.time`.
    ``has_sound``: whether there is sound to read. ``skipped``: damaged packets, and pictures that are damaged or
    missing, in the latest pass.

    What kind of source it is: ``seekable``: whether it can be read again and from any index, the index of a picture
    being its place. ``live``: whether pictures come when they are made, and are lost when nobody takes them. ``clock``:
    what :attr:`Frame.time` counts from, "media" (the beginning of the recording) or "capture" (the monotonic clock of
    the process that received the picture).
    """

    name: str
    path: Path | None
    width: int
    height: int
    fps: float
    frame_count: int | None
    duration: float | None
    start_time: float
    has_sound: bool
    skipped: int = 0
    seekable: bool = True
    live: bool = False
    clock: Clock = "media"

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height in source pixels, those of the file (upright): tables count in them."""
        return self.width, self.height

    @property
    def pixel_aspect(self) -> float:
        """Width of a source pixel by its height, as shown; 1 for square ones."""
        width, height = self.stored_size
        return self.width * height / (width * self.height)

    @property
    def still(self) -> bool:
        """Whether this is one picture and no video."""
        return self.frame_count == 1 and not self.live

    @abstractmethod
    def frames(self, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        """Iterate from picture ``start_index`` (counted from 0), yielding each ``every``-th.

        ``Frame.index`` and ``Frame.time`` are those of the whole source. Beyond the end there is nothing.
        """

    @abstractmethod
    def sound_stream(self, rate: int = 16000) -> SoundStream | None:
        """Sound in pieces, in bounded memory (mono at ``rate`` samples per second); None without sound."""

    def read_sound(
        self, rate: int = 16000, *, start: float | None = None, end: float | None = None
    ) -> Sound | None:
        """The whole sound, or that from ``start`` to ``end`` seconds, on the frames' clock; None without."""
        return None if self.path is None else read_sound(self.path, rate, start=start, end=end)

    def original_sound(self) -> Path | Sound | None:
        """The sound as it is copied beside what is drawn of the pictures: the file that has it, or samples; or None."""
        if not self.has_sound:
            return None
        return self.path or self.read_sound(48000)

    def close(self) -> None:  # noqa: B027  (most sources hold nothing open between passes)
        """Let go of open files; passes under way end."""

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
