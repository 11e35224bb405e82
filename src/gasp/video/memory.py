"""Pictures in memory as a source: arrays, lists, generators, frames."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gasp.errors import InputError, UsageError
from gasp.video.frames import Frame
from gasp.video.pictures import resize, to_rgb
from gasp.video.sound import Sound, SoundStream
from gasp.video.source import VideoSource

_log = logging.getLogger(__name__)


class MemorySource(VideoSource):
    """Pictures in memory, shown at ``fps`` pictures per second, or :class:`Frame` with times of their own.

    ``pictures`` is an array (T, H, W, 3) or of one picture, or an iterable of pictures or of frames; see
    :func:`to_rgb` for the kinds of picture. The first decides the size; others are scaled to it, which is
    logged once with a count. A generator is read lazily and can be iterated once. ``sound``: a
    :class:`Sound` or ``(samples, rate)``, beginning at time 0.
    """

    def __init__(
        self,
        pictures: ArrayLike | Iterable[ArrayLike | Frame],
        fps: float = 25.0,
        sound: Sound | tuple[ArrayLike, int] | None = None,
    ) -> None:
        self.path = None
        self.name = "frames"
        self.fps = float(fps)
        self.skipped = 0
        self._sound = sound if isinstance(sound, Sound) or sound is None else Sound.from_array(*sound)
        self.has_sound = self._sound is not None
        self._items = _as_items(pictures)
        self._used = False
        sized = isinstance(self._items, Sequence | np.ndarray)
        self.frame_count = len(self._items) if sized else None
        first = self._peek()
        self.width, self.height, self.start_time = first.width, first.height, first.time
        self.seekable = self.frame_count is not None and not isinstance(self._items[0], Frame)
        if self.frame_count is not None and isinstance(self._items[0], Frame):
            self.fps = _rate_of(self._items) or self.fps
        self.duration = None if self.frame_count is None else self.frame_count / self.fps

    def frames(self, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        """Iterate from picture ``start_index``, yielding each ``every``-th; see :class:`VideoSource`."""
        if start_index < 0 or every < 1:
            raise UsageError(f"start_index must be at least 0 and every at least 1: {start_index}, {every}.")
        if isinstance(self._items, Iterator):
            if self._used:
                raise InputError("These pictures come from a generator, which can be iterated only once.")
            self._used = True
        return self._frames(start_index, every)

    def read_sound(
        self, rate: int = 16000, *, start: float | None = None, end: float | None = None
    ) -> Sound | None:
        """The sound given with the pictures, at another rate; None without."""
        if self._sound is None:
            return None
        sound = self._sound.resampled(rate)
        if start is None and end is None:
            return sound
        begin = max(sound.start, sound.start if start is None else start)
        stop = max(begin, min(sound.end, sound.end if end is None else end))
        return Sound(sound.window(begin, stop), rate, begin)

    def sound_stream(self, rate: int = 16000) -> SoundStream | None:
        """The sound given with the pictures piece by piece; None without."""
        return None if self._sound is None else SoundStream(self._sound, rate)

    def _peek(self) -> Frame:
        if not isinstance(self._items, Iterator):
            if not len(self._items):
                raise InputError("There are no pictures: the sequence is empty.")
            return self._frame(0, self._items[0])
        item = next(self._items, None)
        if item is None:
            raise InputError("There are no pictures: the generator is empty.")
        self._items = chain([item], self._items)
        return self._frame(0, item)

    def _frames(self, start_index: int, every: int) -> Iterator[Frame]:
        scaled = 0
        for index, item in enumerate(self._items):
            if index < start_index or (index - start_index) % every:
                continue
            frame = self._frame(index, item)
            if (frame.width, frame.height) != (self.width, self.height):
                frame = Frame(frame.index, frame.time, resize(frame.image, self.width, self.height))
                scaled += 1
            yield frame
        if scaled:
            _log.warning("Pictures of other sizes scaled to %d x %d: %d.", self.width, self.height, scaled)

    def _frame(self, index: int, item: Any) -> Frame:
        if isinstance(item, Frame):
            return Frame(item.index, item.time, to_rgb(item.image))
        try:
            return Frame(index, index / self.fps, to_rgb(item))
        except (ValueError, TypeError) as error:
            raise InputError(f"Picture {index} is not an array of pixels: {error}.") from error
        except InputError as error:
            raise InputError(f"Picture {index}: {error}") from error


def _as_items(pictures: Any) -> Any:
    """A sequence or an iterator of single pictures."""
    if isinstance(pictures, Frame):
        return [pictures]
    if hasattr(pictures, "__array__"):
        array = np.asarray(pictures)
        one = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
        if not one and array.ndim not in (3, 4):
            raise InputError(f"Pictures must have the shape (T, H, W, 3) or (H, W, 3), not {array.shape}.")
        return array[None] if one else array
    if isinstance(pictures, Sequence) and not isinstance(pictures, str | bytes):
        return pictures
    if isinstance(pictures, Iterable) and not isinstance(pictures, str | bytes):
        return iter(pictures)
    raise InputError(
        f"Pictures must be a path, an array or a sequence of arrays, not {type(pictures).__name__}."
    )


def _rate_of(frames: Sequence[Frame]) -> float | None:
    span = frames[-1].time - frames[0].time
    return (len(frames) - 1) / span if span > 0 else None
