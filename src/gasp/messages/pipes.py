"""Messages over a stream of bytes, such as a pipe.

Each message begins with 16 bytes: the characters ``GASP``, then three whole numbers of 4 bytes, little-endian: how many
bytes the header has, how many parts follow it, and how many bytes these have together. Then come as many numbers of 8
bytes, the parts' lengths, the header, and the parts.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from gasp.messages.message import Limits, Message, ProtocolError, pack, unpack

PROGRAM = "GASP_PROGRAM"
"""Set in the environment of programs that are to answer messages over their standard output."""

MAGIC = b"GASP"
_HEAD = struct.Struct("<4sIII")


def write_message(stream: BinaryIO, message: Message) -> None:
    """Write a message and flush."""
    header, *parts = pack(message)
    lengths = [len(part) for part in parts]
    stream.write(_HEAD.pack(MAGIC, len(header), len(parts), sum(lengths)))
    stream.write(struct.pack(f"<{len(parts)}Q", *lengths))
    for part in (header, *parts):
        stream.write(part)
    stream.flush()


def read_message(stream: BinaryIO, limits: Limits | None = None) -> Message | None:
    """The next message; None at the end of the stream.

    Raises:
        ProtocolError: What comes is no message, larger than allowed (then no memory for it was taken), or cut short.
            Where the next message begins is then unknown: the stream is of no use any more.
    """
    limits = limits or Limits()
    head = _read(stream, _HEAD.size, at_end=True)
    if not head:
        return None
    magic, header_size, count, size = _HEAD.unpack(head)
    if magic != MAGIC:
        raise ProtocolError(f"No message: it begins with {bytes(head[:16])!r} in place of {MAGIC!r}.")
    if header_size > limits.header or count > limits.arrays or size + header_size > limits.message:
        raise ProtocolError(
            f"A message with a header of {header_size} bytes and {count} arrays of {size} bytes; at most "
            f"{limits.header}, {limits.arrays} and {limits.message} are taken."
        )
    lengths = struct.unpack(f"<{count}Q", _read(stream, 8 * count))
    if sum(lengths) != size:
        raise ProtocolError(f"The parts of a message have {sum(lengths)} bytes, not the {size} told before.")
    return unpack([_read(stream, length) for length in (header_size, *lengths)], limits)


def _read(stream: BinaryIO, size: int, *, at_end: bool = False) -> bytes:
    """So many bytes; none where the stream is over and ``at_end`` says that it may be."""
    parts, missing = [], size
    while missing:
        part = stream.read(missing)
        if not part:
            if at_end and missing == size:
                return b""
            raise ProtocolError("The stream ends in the middle of a message.")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
