"""The sound of a written video: the source's own packets where the container can hold them, else AAC."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from gasp.video.containers import clock_origin, open_container, pick_sound, read_packets
from gasp.video.sound import Chunks, Sound, iterate_sound, one_chunk

# Codecs that MP4, MOV and Matroska hold and that players understand there.
_COPIED = {"aac", "ac3", "alac", "eac3", "mp3", "mp3float", "opus", "libopus"}
_PIECE = 1 << 15  # samples that are encoded at once at most
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

_Packets: TypeAlias = "Generator[tuple[float, Packet[Any]], None, None]"


class Soundtrack:
    """Packets for one output stream, handed out in step with the pictures."""

    def __init__(self, packets: _Packets) -> None:
        self._packets = packets
        self._next = next(packets, None)

    def until(self, time: float) -> Iterator[Packet[Any]]:
        """The packets that begin before ``time`` (seconds on the output's clock) and were not given yet."""
        while self._next is not None and self._next[0] < time:
            packet = self._next[1]
            self._next = next(self._packets, None)
            yield packet

    def close(self) -> None:
        """Close the file that is read."""
        self._packets.close()
        self._next = None


def open_soundtrack(
    output: OutputContainer, sound: Path | Sound, start: float, end: float | None, *, copy: bool = True
) -> Soundtrack | None:
    """Add a sound stream to ``output``; None when the file has no sound.

    What lies between ``start`` and ``end`` seconds of the source's clock is kept and moved back by ``start``.
    With ``copy`` packets are copied unchanged where that is common. Otherwise the sound is encoded as AAC,
    mono or stereo.
    """
    if isinstance(sound, Sound):
        rate = _aac_rate(sound.rate)
        resampled = sound.resampled(rate)
        stop = resampled.end if end is None else end
        kept = resampled.window(start, max(start, min(stop, resampled.end)))
        return _encode(output, one_chunk(Sound(kept, rate, start)), rate, 1, start)
    container = open_container(sound)
    stream = pick_sound(container)
    if stream is not None and copy and _can_be_copied(stream):
        try:
            target = output.add_stream_from_template(stream)
        except ValueError:  # this container does not hold this codec
            container.close()
            raise
        return Soundtrack(_copied(container, stream, target, Fraction(start), end))
    container.close()
    if stream is None:
        return None
    rate = _aac_rate(stream.codec_context.sample_rate)
    channels = min(2, stream.codec_context.channels)
    chunks = iterate_sound(sound, rate, channels=channels, start=start, end=end)
    return _encode(output, chunks, rate, channels, start, end)


def _can_be_copied(stream: AudioStream) -> bool:
    context = stream.codec_context
    # AAC from broadcast streams lacks the description that other containers need.
    return context.name in _COPIED and (context.name != "aac" or bool(context.extradata))


def _aac_rate(rate: int) -> int:
    return next((known for known in _AAC_RATES if known >= rate), _AAC_RATES[-1])


def _copied(
    container: InputContainer, stream: AudioStream, target: AudioStream, start: Fraction, end: float | None
) -> _Packets:
    base = stream.time_base or Fraction(1, av.time_base)
    moved = start + clock_origin(container)
    ticks = round(moved / base)
    latest = None
    with closing(container):
        for packet in read_packets(container, stream, lambda: None):
            if packet.dts is None or (latest is not None and packet.dts <= latest):
                continue  # without an order of their own, packets cannot be stored
            latest = packet.dts
            time = float(packet.dts * base - moved)
            if end is not None and time >= end - start:
                return
            if start > 0 and time < 0:
                continue
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts -= ticks
            packet.stream = target
            yield time, packet


def _encode(
    output: OutputContainer, chunks: Chunks, rate: int, channels: int, start: float, end: float | None = None
) -> Soundtrack:
    layout = "mono" if channels == 1 else "stereo"
    stream = output.add_stream("aac", rate=rate, layout=layout, bit_rate=64000 * channels)
    base = Fraction(1, rate)
    begin = round(start * rate)
    stop = None if end is None else round(end * rate)

    def packets() -> _Packets:
        with closing(chunks):
            for place, samples in _without_gaps(chunks, begin, stop):
                frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, place - begin, base
                for packet in stream.encode(frame):
                    yield float((packet.pts or 0) * base), packet
            for packet in stream.encode(None):
                yield float((packet.pts or 0) * base), packet

    return Soundtrack(packets())


def _without_gaps(chunks: Chunks, begin: int, stop: int | None) -> Chunks:
    """Chunks from ``begin`` to ``stop``, in pieces of bounded length, with silence in the gaps."""
    position: int | None = None
    for index, samples in chunks:
        if index < begin:
            samples, index = samples[:, begin - index :], begin
        if stop is not None:
            samples = samples[:, : max(0, stop - index)]
        if not samples.shape[1]:
            continue
        while position is not None and position < index:
            silence = min(index - position, _PIECE)
            yield position, np.zeros((len(samples), silence), np.float32)
            position += silence
        for first in range(0, samples.shape[1], _PIECE):
            yield index + first, samples[:, first : first + _PIECE]
        position = index + samples.shape[1]
