"""One message: what kind it is, plain data, and arrays.

On the wire a message is a list of parts. The first is the header, a msgpack map:

    protocol  "gasp"
    version   1
    kind      what the message is, such as "frame" or "result"
    body      a map of plain data: numbers, text, lists, maps
    arrays    a list of maps, one per further part: name, encoding, dtype, shape

Each further part is the memory of one array. ``encoding`` "raw": ``dtype`` (NumPy's name, little-endian) and ``shape``
describe it, C-contiguous. "jpeg" and "png": the part is such a file, ``dtype`` is "uint8" and ``shape`` that of the
decoded picture, (h, w, 3) RGB or (h, w) grey. Over ZeroMQ the parts are the frames of one multipart message; over a
pipe see :mod:`gasp.messages.pipes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import msgpack
import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError
from gasp.messages.pictures import decode_picture, encode_picture

VERSION = 1
"""Of the protocol: peers of other versions are refused."""

Encoding: TypeAlias = Literal["raw", "jpeg", "png"]
Part: TypeAlias = bytes | memoryview

DTYPES = ("uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64")


class ProtocolError(InputError):
    """A message that is not what the protocol says, of another version, or larger than allowed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a receiver takes. ``header`` and ``message``: bytes; ``pixels``: of a compressed picture; ``arrays``."""

    header: int = 2**16
    message: int = 2**25
    pixels: int = 2**26
    arrays: int = 64


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture to be sent compressed: uint8 RGB (h, w, 3) or grey (h, w). ``quality``: of JPEG, 1..100."""

    picture: NDArray[np.uint8]
    encoding: Literal["jpeg", "png"] = "jpeg"
    quality: int = 90


@dataclass(frozen=True, slots=True)
class Message:
    """``kind``: what it is; ``body``: plain data; ``arrays``: by name; received ones are read-only."""

    kind: str
    body: dict[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any] | Encoded] = field(default_factory=dict)

    def array(self, name: str) -> NDArray[Any]:
        """An array that must be there. Raises :class:`ProtocolError` where it is not."""
        found = self.arrays.get(name)
        if found is None:
            raise ProtocolError(f"A message of the kind {self.kind!r} needs an array {name!r}.")
        return found.picture if isinstance(found, Encoded) else found


def pack(message: Message) -> list[Part]:
    """The parts of a message; arrays are not copied where they are contiguous."""
    entries, parts = [], []
    for name, array in message.arrays.items():
        if isinstance(array, Encoded):
            encoding: Encoding = array.encoding
            dtype, shape = "uint8", array.picture.shape
            part: Part = encode_picture(array.picture, array.encoding, array.quality)
        else:
            if array.dtype.name not in DTYPES:
                raise TypeError(
                    f"an array of {array.dtype} cannot be sent; the types are {', '.join(DTYPES)}"
                )
            plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            encoding, dtype, shape = "raw", plain.dtype.name, array.shape
            # An empty array has no memory that a view could show.
            part = plain.data.cast("B") if plain.size else b""
        entries.append({"name": name, "encoding": encoding, "dtype": dtype, "shape": list(shape)})
        parts.append(part)
    header = {"protocol": "gasp", "version": VERSION, "kind": message.kind, "body": message.body}
    return [msgpack.packb({**header, "arrays": entries}), *parts]


def unpack(parts: Sequence[Part], limits: Limits | None = None) -> Message:
    """The message of these parts.

    Raises:
        ProtocolError: It is not one, not of this version, or larger than the limits; nothing of that size was taken.
    """
    limits = limits or Limits()
    if not parts:
        raise ProtocolError("An empty message.")
    size = sum(len(part) for part in parts)
    if size > limits.message:
        raise ProtocolError(f"A message of {size} bytes; at most {limits.message} are taken.")
    header = read_header(parts[0], limits)
    entries = header["arrays"]
    if len(entries) != len(parts) - 1:
        raise ProtocolError(f"The header tells of {len(entries)} arrays, but {len(parts) - 1} came with it.")
    arrays = {}
    for entry, part in zip(entries, parts[1:], strict=True):
        name, array = _read_array(entry, part, limits)
        if name in arrays:
            raise ProtocolError(f"Two arrays are called {name!r}.")
        arrays[name] = array
    return Message(header["kind"], header["body"], arrays)


def read_header(part: Part, limits: Limits) -> dict[str, Any]:
    """The header, of which kind, body and arrays are there and of the right types."""
    if len(part) > limits.header:
        raise ProtocolError(f"A header of {len(part)} bytes; at most {limits.header} are taken.")
    try:
        header = msgpack.unpackb(part, strict_map_key=False)
    except Exception as error:  # msgpack raises errors of many kinds, ValueError and its own
        raise ProtocolError("The first part is no msgpack map.") from error
    if not isinstance(header, dict) or header.get("protocol") != "gasp":
        raise ProtocolError('The header is no map with "protocol": "gasp".')
    if header.get("version") != VERSION:
        raise ProtocolError(f"Version {header.get('version')!r} of the protocol; this is version {VERSION}.")
    header = {"body": {}, "arrays": [], **header}
    for name, kind in (("kind", str), ("body", dict), ("arrays", list)):
        if not isinstance(header.get(name), kind):
            raise ProtocolError(f"The header's {name!r} is not a {kind.__name__}.")
    if len(header["arrays"]) > limits.arrays:
        raise ProtocolError(f"{len(header['arrays'])} arrays; at most {limits.arrays} are taken.")
    return header


def _read_array(entry: object, part: Part, limits: Limits) -> tuple[str, NDArray[Any]]:
    if not isinstance(entry, dict):
        raise ProtocolError("What the header tells of an array is no map.")
    name, encoding, dtype = entry.get("name"), entry.get("encoding", "raw"), entry.get("dtype", "uint8")
    if not isinstance(name, str):
        raise ProtocolError("An array has no name.")
    if encoding not in get_args(Encoding):
        raise ProtocolError(f"Array {name!r}: encoding {encoding!r}; known are raw, jpeg and png.")
    if encoding != "raw":
        try:
            return name, decode_picture(part, limits.pixels)
        except ValueError as error:
            raise ProtocolError(f"Array {name!r}: {error}.") from error
    if dtype not in DTYPES:
        raise ProtocolError(f"Array {name!r}: dtype {dtype!r}; known are {', '.join(DTYPES)}.")
    shape = _read_shape(entry.get("shape"), name)
    wanted = math.prod(shape) * np.dtype(dtype).itemsize
    if wanted != len(part):
        raise ProtocolError(f"Array {name!r}: {dtype} {shape} takes {wanted} bytes, but {len(part)} came.")
    return name, np.frombuffer(part, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def _read_shape(shape: object, name: str) -> tuple[int, ...]:
    if (
        not isinstance(shape, list)
        or len(shape) > 8
        or not all(
            isinstance(length, int) and not isinstance(length, bool) and length >= 0 for length in shape
        )
    ):
        raise ProtocolError(f"Array {name!r}: its shape must be a list of at most 8 whole numbers.")
    return tuple(shape)
