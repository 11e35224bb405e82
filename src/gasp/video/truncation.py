"""Whether a file's end is missing: players say nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from av.video.stream import VideoStream

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut_short(path: Path, stream: VideoStream) -> bool:
    """Whether the index (MP4, MOV) or the header (Matroska, AVI) speaks of contents after the end of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        promised = _promised_size(file)
    return promised > size or any(entry.pos + entry.size > size for entry in stream.index_entries)


def _promised_size(file: BinaryIO) -> int:
    """Where a Matroska (RFC 8794, 8.1) or RIFF file ends by its own first bytes; 0 where they do not tell."""
    begin = file.read(8)
    if begin[:4] == b"RIFF":
        return 8 + int.from_bytes(begin[4:8], "little")
    if begin[:4] != _EBML:
        return 0
    file.seek(4)
    length = _read_length(file)
    if length is None:
        return 0
    file.seek(length, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length = _read_length(file)
    return 0 if length is None else file.tell() + length


def _read_length(file: BinaryIO) -> int | None:
    """A variable-length integer (RFC 8794, 4); None for one that is not there or means "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big") - (1 << 7 * (more + 1))
    return None if value == (1 << 7 * (more + 1)) - 1 else value
