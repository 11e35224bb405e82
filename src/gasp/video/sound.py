"""Sound as mono samples on the clock of the pictures."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import ArrayLike, NDArray

from gasp.errors import InputError, UsageError
from gasp.video.containers import clock_origin, open_container, pick_sound, read_packets

_log = logging.getLogger(__name__)

# Decoded sound: where a chunk begins on the grid where sample k is at time k / rate, and its samples
# (channels, n). Chunks are in order and do not overlap; there may be gaps between them.
Chunks: TypeAlias = Generator[tuple[int, NDArray[np.float32]], None, None]

# Time stamps in containers are rounded (1 ms in Matroska): smaller jumps are no gaps.
_TOLERANCE = 0.05
_LARGEST_OVERLAP = 1.0
# Containers whose index leads to the exact place; elsewhere sound is decoded from the start.
_SEEKABLE = ("mp4", "matroska")
# Codecs need some sound before the place that is asked for.
_PREROLL = 1.0


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono sound: ``samples`` float32 (n,) within about -1..1, ``rate`` samples per second.

    ``start`` is the time in seconds of the first sample on the clock of :attr:`Frame.time`.
    """

    samples: NDArray[np.float32]
    rate: int
    start: float = 0.0

    @classmethod
    def from_array(cls, samples: ArrayLike, rate: int, start: float = 0.0) -> Sound:
        """Sound from samples in memory: (n,), (n, channels) or (channels, n), floats in -1..1 or integers.

        Channels (the shorter axis) are averaged. Integers are scaled by their type's range.
        """
        array = np.asarray(samples)
        if rate <= 0:
            raise InputError(f"The rate of sound must be above 0 samples per second, not {rate}.")
        if array.ndim not in (1, 2) or not (np.issubdtype(array.dtype, np.number) and np.isrealobj(array)):
            raise InputError(
                f"Sound must be an array of numbers (n,) or (n, channels), not {array.dtype} {array.shape}."
            )
        if np.issubdtype(array.dtype, np.integer):
            array = _from_integers(array)
        if array.ndim == 2:
            array = array.mean(axis=int(np.argmin(array.shape)))
        return cls(np.ascontiguousarray(array, np.float32), int(rate), float(start))

    @property
    def end(self) -> float:
        """Time in seconds just after the last sample."""
        return self.start + len(self.samples) / self.rate

    def window(self, t0: float, t1: float) -> NDArray[np.float32]:
        """The ``round((t1 - t0) * rate)`` samples from time ``t0`` on; zeros where there is no sound."""
        first = round((t0 - self.start) * self.rate)
        return _cut(self.samples, first, first + round((t1 - t0) * self.rate))

    def resampled(self, rate: int) -> Sound:
        """The same sound at another rate."""
        if rate == self.rate:
            return self
        return Sound(np.asarray(soxr.resample(self.samples, self.rate, rate), np.float32), rate, self.start)


def read_sound(
    path: str | PathLike[str], rate: int = 16000, *, start: float | None = None, end: float | None = None
) -> Sound | None:
    """Read the sound of a file as mono float32 at ``rate`` samples per second.

    Channels are averaged (after the usual mix to stereo where there are more than two).
    ``start`` and ``end`` (seconds on the frames' clock) limit what is read; the result then lies within them.
    Gaps in the sound are silence; a stretch that cannot be decoded is a gap, logged once with a count.
    Returns None when there is no sound that can be decoded. Raises :class:`InputError` for unreadable files.
    """
    with open_container(Path(path)) as container:
        if pick_sound(container) is None:
            return None
    pieces: list[NDArray[np.float32]] = []
    first = position = None
    lowest = None if start is None else round(start * rate)
    highest = None if end is None else round(end * rate)
    for index, chunk in iterate_sound(Path(path), rate, start=start, end=end):
        begin = index if lowest is None else max(index, lowest)
        stop = index + chunk.shape[1] if highest is None else min(index + chunk.shape[1], highest)
        if stop <= begin:
            continue
        if position is None:
            first = position = begin
        if begin > position:
            pieces.append(np.zeros(begin - position, np.float32))
        pieces.append(chunk[0, begin - index : stop - index])
        position = stop
    if first is None:
        silent = start is not None or end is not None
        return Sound(np.zeros(0, np.float32), rate, start or 0.0) if silent else None
    return Sound(np.concatenate(pieces), rate, first / rate)


class SoundStream:
    """Sound read piece by piece, so that its length does not matter; mono float32 at ``rate``.

    ``source`` is a file or a :class:`Sound`. :meth:`until` gives consecutive pieces from ``start`` on
    (seconds on the frames' clock). :meth:`window` works like :meth:`Sound.window` while ``t0`` does not go
    back by more than ``keep`` seconds from the latest window. Use one of the two on one stream. Zeros stand
    where there is no sound: before its beginning, in gaps, and after its end.
    """

    def __init__(
        self, source: str | PathLike[str] | Sound, rate: int = 16000, *, start: float = 0.0, keep: float = 5.0
    ) -> None:
        if rate <= 0:
            raise UsageError(f"The rate of sound must be above 0 samples per second, not {rate}.")
        self.rate = rate
        self._keep = round(keep * rate)
        self._position = round(start * rate)
        self._chunks = _chunks_of(source, rate, start - keep)
        self._buffer = np.zeros(0, np.float32)
        self._first = 0  # place of the buffer's first sample on the grid where sample n is at time n / rate
        self._forgotten: int | None = None
        self._ended = False

    def until(self, t: float) -> NDArray[np.float32]:
        """The samples between the end of the piece before and time ``t``; empty when ``t`` is not later."""
        first, stop = self._position, max(self._position, round(t * self.rate))
        self._position = stop
        self._read_to(stop)
        piece = _cut(self._buffer, first - self._first, stop - self._first)
        self._forget(stop)
        return piece

    def window(self, t0: float, t1: float) -> NDArray[np.float32]:
        """The ``round((t1 - t0) * rate)`` samples from time ``t0`` on."""
        first = round(t0 * self.rate)
        stop = first + round((t1 - t0) * self.rate)
        if self._forgotten is not None and first < self._forgotten:
            raise UsageError(
                f"Sound at {t0:.2f} s is no longer kept: "
                f"windows may go back by {self._keep / self.rate:.1f} s."
            )
        self._forget(first - self._keep)
        self._read_to(stop)
        return _cut(self._buffer, first - self._first, stop - self._first)

    def close(self) -> None:
        """Close the file."""
        self._chunks.close()
        self._ended = True

    def __enter__(self) -> SoundStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_to(self, stop: int) -> None:
        """Decode until the buffer reaches ``stop``, in one growth however many chunks that takes."""
        pieces = [self._buffer]
        end = self._first + len(self._buffer)
        while not self._ended and end < stop:
            index, chunk = next(self._chunks, (0, None))
            if chunk is None:
                self._ended = True
                break
            samples = chunk[0]
            if self._forgotten is not None and index < self._forgotten:
                samples, index = samples[self._forgotten - index :], self._forgotten
            if not len(samples):
                continue
            if len(pieces) == 1 and not len(self._buffer):
                self._first = end = index
            pieces += [np.zeros(index - end, np.float32), samples]
            end = index + len(samples)
        self._buffer = np.concatenate(pieces)

    def _forget(self, before: int) -> None:
        if self._forgotten is None or before > self._forgotten:
            self._forgotten = before
            gone = min(max(0, before - self._first), len(self._buffer))
            self._buffer = self._buffer[gone:].copy()
            self._first += gone


def iterate_sound(
    path: Path, rate: int, *, channels: int = 1, start: float | None = None, end: float | None = None
) -> Chunks:
    """Decode the sound of a file in chunks on the frames' clock (see :data:`Chunks`), ``channels`` 1 or 2.

    ``start`` and ``end`` (seconds) save work: chunks well outside are left out. Nothing comes when the file
    has no sound.
    """
    with open_container(path) as container:
        stream = pick_sound(container)
        if stream is None:
            return
        if start is not None and start > 2 * _PREROLL and any(n in container.format.name for n in _SEEKABLE):
            _seek(container, stream, start - _PREROLL)
        decoder = _SoundDecoder(container, stream, rate, channels)
        stop = None if end is None else end * rate
        for index, samples in decoder.chunks():
            if stop is not None and index > stop:
                return
            yield index, samples


class _SoundDecoder:
    """Places decoded sound on the frames' clock: closes small jumps of the time stamps, keeps real gaps."""

    def __init__(self, container: InputContainer, stream: AudioStream, rate: int, channels: int) -> None:
        self._container = container
        self._stream = stream
        self._rate = rate
        self._channels = channels
        self._origin = clock_origin(container)
        self._latest = _latest_time(container)
        self._resampler: AudioResampler | None = None
        self._position = 0  # where the next resampled chunk goes
        self._surplus = 0  # samples to drop because sound overlaps what is there already
        self._expected: float | None = None  # when the next decoded frame should begin
        self._damaged = 0

    def chunks(self) -> Chunks:
        for frame in self._decoded():
            yield from self._place(frame)
        yield from self._drain()
        if self._damaged:
            _log.warning(
                "%s: %d stretches of sound cannot be decoded and are silent.",
                self._container.name.removeprefix("file:"),
                self._damaged,
            )

    def _decoded(self) -> Iterator[AudioFrame]:
        context = self._stream.codec_context
        for packet in read_packets(self._container, self._stream, self._count_damage):
            try:
                yield from context.decode(packet)
            except av.FFmpegError:
                self._count_damage()
        try:
            yield from context.decode(None)
        except av.FFmpegError:
            self._count_damage()

    def _count_damage(self) -> None:
        self._damaged += 1

    def _place(self, frame: AudioFrame) -> Chunks:
        if not frame.samples or not frame.sample_rate:
            return
        begin = self._begin(frame)
        if begin != self._expected:
            yield from self._drain()
            yield from self._start(frame, begin)
        self._expected = begin + frame.samples / frame.sample_rate
        try:
            pieces = self._resample(frame)
        except ValueError:  # the format of the sound changed
            yield from self._drain()
            pieces = self._resample(frame)
        yield from self._advance(pieces)

    def _start(self, frame: AudioFrame, begin: float) -> Chunks:
        """Begin a stretch of sound at a time that both rates share, with a little silence up to ``begin``.

        That way resampling does not depend on where decoding began.
        """
        period = frame.sample_rate // math.gcd(frame.sample_rate, self._rate)
        first = round(begin * frame.sample_rate)
        lead = first % period
        place = (first - lead) * self._rate // frame.sample_rate
        self._surplus = 0 if self._expected is None else max(0, self._position - place)
        self._position = place + self._surplus
        if lead:
            silence = AudioFrame(frame.format.name, frame.layout.name, lead)
            level = b"\x80" if frame.format.name.startswith("u8") else b"\0"
            for plane in silence.planes:
                plane.update(level * plane.buffer_size)
            silence.sample_rate, silence.time_base = frame.sample_rate, frame.time_base
            yield from self._advance(self._resample(silence))

    def _begin(self, frame: AudioFrame) -> float:
        """When a decoded frame begins: where the one before ended, unless its stamp says otherwise.

        Stamps that jump far back or beyond the end of the file are not believed.
        """
        stamp = None
        if frame.pts is not None and frame.time_base:
            stamp = float(frame.pts * frame.time_base - self._origin)
        if self._expected is None:
            return stamp or 0.0
        if stamp is None or abs(stamp - self._expected) <= _TOLERANCE:
            return self._expected
        return stamp if self._expected - _LARGEST_OVERLAP < stamp < self._latest else self._expected

    def _resample(self, frame: AudioFrame) -> list[AudioFrame]:
        if self._resampler is None:
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=self._rate)
        return self._resampler.resample(frame)

    def _drain(self) -> Chunks:
        if self._resampler is not None:
            rest = [piece for piece in self._resampler.resample(None) if piece is not None]
            self._resampler = None
            yield from self._advance(rest)

    def _advance(self, pieces: list[AudioFrame]) -> Chunks:
        for piece in pieces:
            samples = self._mixed(np.asarray(piece.to_ndarray(), np.float32))
            dropped = min(self._surplus, samples.shape[1])
            self._surplus -= dropped
            samples = samples[:, dropped:]
            if samples.shape[1]:
                yield self._position, samples
                self._position += samples.shape[1]

    def _mixed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._channels == 1:
            return samples.mean(0, keepdims=True)
        return np.broadcast_to(samples, (self._channels, samples.shape[1]))


def _latest_time(container: InputContainer) -> float:
    """Time stamps beyond this are nonsense (they would make hours of silence)."""
    if not container.duration:
        return float("inf")
    return (container.duration + (container.start_time or 0)) / av.time_base + 10.0


def _seek(container: InputContainer, stream: AudioStream, time: float) -> None:
    try:
        base = stream.time_base or 1
        container.seek(int((time + float(clock_origin(container))) / base), stream=stream)
    except av.FFmpegError:
        container.seek(0)


def _chunks_of(source: str | PathLike[str] | Sound, rate: int, start: float) -> Chunks:
    if isinstance(source, Sound):
        return one_chunk(source.resampled(rate))
    return iterate_sound(Path(source), rate, start=start)


def one_chunk(sound: Sound) -> Chunks:
    """A sound in memory as the one chunk of a stream."""
    yield round(sound.start * sound.rate), sound.samples[None]


def _cut(samples: NDArray[np.float32], first: int, stop: int) -> NDArray[np.float32]:
    """``samples[first:stop]`` with zeros where that lies outside; always a copy."""
    piece = np.zeros(max(0, stop - first), np.float32)
    low, high = min(max(first, 0), len(samples)), min(max(stop, 0), len(samples))
    if high > low:
        piece[low - first : high - first] = samples[low:high]
    return piece


def _from_integers(array: NDArray[np.generic]) -> NDArray[np.float32]:
    limits = np.iinfo(array.dtype.name)
    middle = 0.0 if limits.min < 0 else (limits.max + 1) / 2
    return ((array.astype(np.float64) - middle) / (limits.max - middle + 1)).astype(np.float32)
