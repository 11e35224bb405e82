"""Opening containers (mp4, mkv, webm, avi, gif ...) and reading their packets, damaged or not."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from gasp.errors import InputError

_log = logging.getLogger(__name__)

# Formats whose clocks start anywhere, such as broadcast streams (FFmpeg's AVFMT_TS_DISCONT).
_ANY_START = 0x0200
# FFmpeg reads any text as the output of a terminal; nobody means that by a video.
_NOT_VIDEO = {"tty", "bin", "adf", "idf", "xbin"}
_MAX_FAILURES_IN_A_ROW = 100


def check_file(path: Path) -> None:
    """Raise :class:`InputError` unless ``path`` is a readable regular file with something in it.

    Pipes, devices and sockets are refused unopened: opening or reading one may never return.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not the name of a file: {error}.") from error
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a folder, not a file.")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"{path} is {_kind(found.st_mode)}, not a regular file; save what it gives as a file first."
        )
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read: you have no permission to.")
    if found.st_size == 0:
        raise InputError(f"{path} is empty (0 bytes).")


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def file_url(path: Path) -> str:
    """What FFmpeg opens as this very file.

    A bare name with a colon ("Interview: part 1.mp4", "http:/talk.mp4") would be taken for an address.
    """
    return f"file:{path.absolute()}"


def open_container(path: Path) -> InputContainer:
    """Open a container for reading; :class:`InputError` says in one sentence why it cannot be."""
    check_file(path)
    try:
        container = av.open(file_url(path), "r", metadata_errors="replace")
    except (av.FFmpegError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as video: {_reason(error)}") from error
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise InputError(f"{path} cannot be read as video: it holds text.")
    return container


def _reason(error: Exception) -> str:
    if isinstance(error, av.InvalidDataError):
        return "it is not a video, or its index is missing because it was cut short."
    if isinstance(error, av.FFmpegError) and error.errno == errno.EACCES:
        return "you have no permission to."
    return f"{getattr(error, 'strerror', None) or error}."


def pick_video(container: InputContainer) -> VideoStream | None:
    """The stream to look at: FFmpeg's best choice, never an attached cover picture; None without video."""
    moving = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    if best in moving:
        return best
    return max(moving, key=lambda stream: stream.width * stream.height, default=None)


def pick_sound(container: InputContainer) -> AudioStream | None:
    """The stream to listen to; None when there is none that can be decoded."""
    audible = [
        stream
        for stream in container.streams.audio
        if stream.codec_context is not None and stream.codec_context.sample_rate > 0
    ]
    best = container.streams.best("audio")
    if best in audible:
        return best
    return audible[0] if audible else None


def clock_origin(container: InputContainer) -> Fraction:
    """What time stamps count from, in seconds, to be subtracted from them.

    0 for files that have a clock of their own (mp4, mkv, avi ...). Broadcast formats start at any value;
    there the clock begins with the container's first packet.
    """
    arbitrary = container.format.flags & _ANY_START and container.start_time is not None
    return Fraction(container.start_time, av.time_base) if arbitrary else Fraction(0)


def read_packets(
    container: InputContainer, stream: VideoStream | AudioStream, on_damage: Callable[[], None]
) -> Iterator[Packet[Any]]:
    """Packets of one stream up to the end of the file, going on after damaged stretches.

    ``on_damage`` is called for each read that failed.
    """
    failures = 0
    while failures < _MAX_FAILURES_IN_A_ROW:
        try:
            for packet in container.demux(stream):
                failures = 0
                if packet.size:  # an empty packet would put the decoder into its final state
                    yield packet
            return
        except av.FFmpegError:
            failures += 1
            on_damage()
