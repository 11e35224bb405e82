"""Joining pieces of a video without encoding anything again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

from gasp.errors import OutputError
from gasp.video.containers import file_url, open_container, read_packets
from gasp.video.sound import Sound
from gasp.video.soundtrack import open_soundtrack
from gasp.video.target import Target, cannot_write


def join_videos(
    pieces: Sequence[tuple[Path, float]],
    path: Path,
    *,
    sound_from: Path | Sound | None = None,
    sound_end: float | None = None,
) -> None:
    """Write ``pieces`` one after another to the MP4 ``path`` and add sound up to ``sound_end`` seconds.

    The pieces come from :class:`~gasp.video.writer.VideoWriter` with the same size, rate and options. Each is
    given with the time in seconds at which its clock begins in the whole (the writer's ``start``). Pictures
    are copied as they are. Raises :class:`OutputError` when the result cannot be written.
    """
    target = Target(path)
    try:
        options = {"movflags": "+faststart", "movie_timescale": "120000"}
        with av.open(file_url(target.temporary), "w", format="mp4", container_options=options) as output:
            with closing(open_container(pieces[0][0])) as first:
                stream = output.add_stream_from_template(first.streams.video[0])
            soundtrack = None if sound_from is None else open_soundtrack(output, sound_from, 0.0, sound_end)
            try:
                for packet in _in_order(pieces):
                    if soundtrack is not None and packet.dts is not None and packet.time_base is not None:
                        for sound in soundtrack.until(float(packet.dts * packet.time_base)):
                            output.mux(sound)
                    packet.stream = stream
                    output.mux(packet)
                for sound in soundtrack.until(float("inf")) if soundtrack is not None else ():
                    output.mux(sound)
            finally:
                if soundtrack is not None:
                    soundtrack.close()
    except (av.FFmpegError, OSError) as error:
        target.discard()
        raise cannot_write(path, error) from error
    except BaseException:
        with suppress(OSError):
            target.discard()
        raise
    target.complete()


def _in_order(pieces: Sequence[tuple[Path, float]]) -> Iterator[Packet[Any]]:
    """The packets of all pieces; decoding times never go back."""
    latest: Fraction | None = None
    for piece, start in pieces:
        with closing(open_container(piece)) as container:
            for packet in read_packets(container, container.streams.video[0], lambda: None):
                base = packet.time_base
                if packet.dts is None or packet.pts is None or base is None:
                    raise OutputError(f"{piece} is damaged: a picture has no time.")
                moved = round(start / base)
                packet.pts += moved
                packet.dts += moved
                if latest is not None and packet.dts * base <= latest:
                    # Encoders place the first decoding times of a piece before its beginning.
                    packet.dts = int(latest / base) + 1
                latest = packet.dts * base
                yield packet
