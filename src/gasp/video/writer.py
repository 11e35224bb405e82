"""Writing videos with the original sound, at the original times."""

from __future__ import annotations

import logging
import queue
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from fractions import Fraction
from os import PathLike
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from numpy.typing import ArrayLike, NDArray

from gasp.errors import GaspError, OutputError, UsageError
from gasp.video.containers import file_url
from gasp.video.pictures import to_rgb
from gasp.video.sound import Sound
from gasp.video.soundtrack import Soundtrack, open_soundtrack
from gasp.video.source import VideoSource
from gasp.video.target import Target, cannot_write

_log = logging.getLogger(__name__)

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Holds the common rates (24, 25, 30, 60 and their 1001 kin) without rounding.
_TIME_BASE = Fraction(1, 120000)
LARGEST_SIDE = 16384
"""Pixels of a picture's side that H.264 holds at most, as libx264 has it."""

_QUEUE_LENGTH = 8
_QUEUE_BYTES = 128 << 20
_SMPTE170M = 6  # BT.601, the matrix that OpenCV converts with (ITU-T H.273, table 4)

# What the muxer says to sound that it cannot hold, as opposed to a disk that is full.
_REFUSALS = (av.InvalidDataError, av.ArgumentError, ValueError)


class PictureWriter(ABC):
    """Writes pictures one after another; the result appears under its name when it is complete.

    Use it in a ``with`` block: leaving it cleanly completes the result, leaving it by an exception removes
    what was written, or with ``keep_partial`` finishes it as ``<stem>.partial<suffix>``. Anything that
    cannot be written raises :class:`OutputError`.
    """

    def __init__(self, target: Target, keep_partial: bool) -> None:
        self._target = target
        self._keep_partial = keep_partial
        self._closed = False
        self.count = 0

    @property
    def path(self) -> Path:
        """Where the complete result goes."""
        return self._target.path

    def write(self, image: ArrayLike, time: float | None = None) -> None:
        """Add a picture (see :func:`to_rgb` for the kinds), shown from ``time`` seconds on.

        The array may be changed afterwards. Without ``time`` it follows the one before at the writer's rate.
        """
        if self._closed:
            raise UsageError(f"{self.path} is closed; nothing can be added.")
        try:
            self._add(image, time)
        except (av.FFmpegError, OSError, cv2.error) as error:
            raise cannot_write(self.path, error) from error
        self.count += 1

    def close(self) -> None:
        """Complete the result. Raises :class:`OutputError` when that fails or nothing was written."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self.count:
                raise OutputError(f"{self.path} was not written: there were no pictures.")
            self._finish(complete=True)
        except (av.FFmpegError, OSError) as error:
            self._remove()
            raise cannot_write(self.path, error) from error
        except BaseException:
            self._remove()
            raise
        self._target.complete()

    def abort(self) -> None:
        """Give up: remove what was written, or finish it under another name (``keep_partial``)."""
        if self._closed:
            return
        self._closed = True
        if self._keep_partial and self.count:
            try:
                self._finish(complete=False)
                self._target.keep_partial()
                _log.warning("%s is unfinished: %d pictures.", self._target.partial_path, self.count)
                return
            except (av.FFmpegError, OSError, GaspError) as error:
                _log.warning("The unfinished %s could not be kept: %s", self.path, error)
        self._remove()

    def _remove(self) -> None:
        with suppress(av.FFmpegError, OSError):
            self._release()
        self._target.discard()

    @abstractmethod
    def _add(self, image: ArrayLike, time: float | None) -> None:
        """Write one picture."""

    @abstractmethod
    def _finish(self, *, complete: bool) -> None:
        """Write what is still waiting and close the file."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of open files; nothing is written any more. No error if that was done."""

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class VideoWriter(PictureWriter):
    """An H.264 video (yuv420p, BT.601, limited range), MP4 with its index in front, or MOV or Matroska.

    ``width`` and ``height`` in pixels are those of every picture. H.264 needs even sizes: an odd one grows by
    one pixel that repeats the edge. ``fps`` is the nominal rate, and with ``times=False`` the only one; with
    ``times=True`` each picture keeps the time it is written with, so variable rates and a late first picture
    survive.

    ``sound_from`` brings sound: a file, a :class:`VideoSource`, or a :class:`Sound`. It is copied as it is
    where the container can hold it, otherwise encoded as AAC, and stays in place relative to the pictures.
    ``start`` and ``end`` (seconds on the source's clock) are for a part of a source: sound outside is left
    out, and written times and sound are moved back by ``start``.

    Encoding runs in a thread of its own behind a short queue; ``write`` waits only when that is full.
    ``preset`` and ``crf`` are those of libx264.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        width: int,
        height: int,
        fps: float,
        *,
        sound_from: str | PathLike[str] | VideoSource | Sound | None = None,
        times: bool = True,
        keep_partial: bool = False,
        start: float = 0.0,
        end: float | None = None,
        preset: str = "ultrafast",
        crf: int = 20,
        threads: int = 2,
    ) -> None:
        path = Path(path)
        if path.suffix.lower() not in _FORMATS:
            raise UsageError(f"{path}: a video's name must end in {', '.join(_FORMATS)}.")
        if width < 1 or height < 1 or not 0 < fps < float("inf"):
            raise UsageError(
                f"A video of {width} x {height} pixels at {fps} frames per second is impossible."
            )
        if max(width, height) > LARGEST_SIDE:
            raise UsageError(
                f"{path}: a video of {width} x {height} pixels is impossible; "
                f"a side has at most {LARGEST_SIDE}."
            )
        super().__init__(Target(path), keep_partial)
        self._size = (int(width), int(height))
        self._times = times
        self._start = start
        self._step = float(1 / _TIME_BASE) / fps
        self._latest: int | None = None
        self._error: Exception | None = None
        self._container: OutputContainer | None = None
        self._soundtrack: Soundtrack | None = None
        try:
            sound = _sound_of(sound_from)
            rate = Fraction(fps).limit_denominator(1001)
            options = {"preset": preset, "crf": str(crf)}
            try:
                self._open(rate, options, threads, sound, end, copy=True)
            except _REFUSALS:
                if sound is None:
                    raise
                self._release()
                self._open(rate, options, threads, sound, end, copy=False)
        except (av.FFmpegError, OSError) as error:
            self._remove()
            raise cannot_write(path, error) from error
        except BaseException:
            self._remove()
            raise
        length = max(1, min(_QUEUE_LENGTH, _QUEUE_BYTES // (width * height * 3 // 2 + 1)))
        self._queue: queue.Queue[tuple[NDArray[np.uint8], int] | None] = queue.Queue(length)
        self._worker = threading.Thread(target=self._work, name=f"write {path.name}", daemon=True)
        self._worker.start()

    def __enter__(self) -> VideoWriter:
        return self

    def _open(
        self,
        rate: Fraction,
        options: dict[str, str],
        threads: int,
        sound: Path | Sound | None,
        end: float | None,
        *,
        copy: bool,
    ) -> None:
        """Make the container with its streams and write its header, which shows whether it can hold them."""
        kind = _FORMATS[self.path.suffix.lower()]
        # Edit lists, which hold a late start, count in the movie's time scale: 1 ms unless told.
        settings = {"movflags": "+faststart", "movie_timescale": str(1 / _TIME_BASE)}
        if kind == "matroska":
            settings = {}
        container = av.open(file_url(self._target.temporary), "w", format=kind, container_options=settings)
        self._container = container
        self._stream = self._add_video(container, rate, options, threads)
        if sound is not None:
            self._soundtrack = open_soundtrack(container, sound, self._start, end, copy=copy)
        container.start_encoding()

    def _add_video(
        self, container: OutputContainer, rate: Fraction, options: dict[str, str], threads: int
    ) -> av.VideoStream:
        stream = container.add_stream("libx264", rate, options=options)
        context = stream.codec_context
        stream.width, stream.height = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        context.time_base = _TIME_BASE
        context.thread_count = threads
        context.color_range = ColorRange.MPEG
        context.colorspace = _SMPTE170M
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        return stream

    def _add(self, image: ArrayLike, time: float | None) -> None:
        picture = to_rgb(image)
        if picture.shape[1::-1] != self._size:
            raise UsageError(
                f"{self.path}: pictures must be {self._size[0]} x {self._size[1]} pixels, "
                f"not {picture.shape[1]} x {picture.shape[0]}."
            )
        if self._error is not None:
            raise self._error
        self._queue.put((_to_i420(picture), self._ticks(time)))

    def _ticks(self, time: float | None) -> int:
        if not self._times:
            ticks = round(self.count * self._step)
        elif time is not None:
            ticks = round((time - self._start) / _TIME_BASE)
        else:
            ticks = 0 if self._latest is None else round(self._latest + self._step)
        if self._latest is not None:
            ticks = max(ticks, self._latest + 1)
        self._latest = ticks
        return ticks

    def _work(self) -> None:
        """Encode what is in the queue; after an error only empty it, so that nobody waits for ever."""
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._encode(*item)
                except Exception as error:  # told to the caller by the next write or close
                    self._error = error

    def _encode(self, picture: NDArray[np.uint8], ticks: int) -> None:
        assert self._container is not None
        self._add_sound(float(ticks * _TIME_BASE))
        frame = VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base, frame.duration = ticks, _TIME_BASE, round(self._step)
        self._container.mux(self._stream.encode(frame))

    def _add_sound(self, until: float) -> None:
        assert self._container is not None
        if self._soundtrack is not None:
            try:
                for packet in self._soundtrack.until(until):
                    self._container.mux(packet)
            except _REFUSALS as error:
                _log.warning("%s: the rest of the sound cannot be stored: %s", self.path, error)
                self._soundtrack.close()
                self._soundtrack = None

    def _finish(self, *, complete: bool) -> None:
        assert self._container is not None
        self._stop_worker()
        if self._error is not None:
            raise self._error
        self._container.mux(self._stream.encode(None))
        if complete:
            self._add_sound(float("inf"))
        elif self._latest is not None:
            self._add_sound(float((self._latest + self._step) * _TIME_BASE))
        self._release()

    def _stop_worker(self) -> None:
        if self._worker.is_alive():
            self._queue.put(None)
            self._worker.join()

    def _release(self) -> None:
        if hasattr(self, "_worker"):
            self._stop_worker()
        if self._soundtrack is not None:
            self._soundtrack.close()
            self._soundtrack = None
        if self._container is not None:
            container, self._container = self._container, None
            container.close()


def _sound_of(source: str | PathLike[str] | VideoSource | Sound | None) -> Path | Sound | None:
    if source is None or isinstance(source, Sound):
        return source
    if isinstance(source, VideoSource):
        return source.original_sound()
    return Path(source)


def _to_i420(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to planar YUV 4:2:0 (BT.601, limited range), odd sizes extended by their edge; a new array."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
