"""Still pictures: any array or image file becomes RGB, uint8, (H, W, 3)."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gasp.errors import InputError

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG"
# How files begin that OpenCV decodes to pixels that to_rgb takes, as patterns of bytes.
_BEGINNINGS = (
    re.compile(rb"\xff\xd8\xff"),  # JPEG
    re.compile(rb"\x89PNG\r\n\x1a\n"),
    re.compile(rb"BM"),  # BMP
    re.compile(rb"RIFF....WEBP", re.DOTALL),
    re.compile(rb"II[*+]\0|MM\0[*+]"),  # TIFF
    re.compile(rb"P[1-7]\s"),  # PBM, PGM, PPM, PAM
    re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),  # JPEG 2000
    re.compile(rb"....ftyp(avif|mif1)", re.DOTALL),  # AVIF (an image sequence, avis, is a video)
    re.compile(rb"\x59\xa6\x6a\x95"),  # Sun raster
)


def to_rgb(picture: ArrayLike) -> NDArray[np.uint8]:
    """Turn a grey, RGB or RGBA picture into RGB.

    ``picture`` is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), bool, uint8 or uint16 (the high byte is kept).
    A picture with alpha is laid over black. Returns a C-contiguous uint8 array (H, W, 3): the input itself
    where it is one already. Raises :class:`InputError` for anything else.
    """
    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(
            f"A picture must have the shape (height, width) or (height, width, 1, 3 or 4), not {array.shape}."
        )
    channels = _to_bytes(array)
    if channels.shape[2] == 1:
        channels = np.broadcast_to(channels, (*channels.shape[:2], 3))
    elif channels.shape[2] == 4:
        channels = over_black(channels)
    return np.ascontiguousarray(channels)


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a picture with (not premultiplied) alpha, uint8 (H, W, 4), over black; returns (H, W, 3)."""
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[..., :3])
    weighted = rgba[..., :3].astype(np.uint16) * alpha + 127
    return (weighted // 255).astype(np.uint8)


def resize(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale an RGB picture to ``width`` x ``height`` pixels, averaging areas where it shrinks."""
    smaller = width * height < picture.shape[0] * picture.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)


def is_image_file(path: Path) -> bool:
    """Whether the file begins like a still image that can be read here (a GIF is a video)."""
    # OpenCV's own probe takes a name and ends the process where that is not UTF-8.
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError:
        return False
    return any(pattern.match(begin) for pattern in _BEGINNINGS)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as RGB, uint8 (H, W, 3), upright (EXIF orientation applied), alpha laid over black.

    Palette, grey and 16-bit pictures are converted. Raises :class:`InputError` when it cannot be decoded.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    picture = _decode(data) if data.size else None
    if picture is None:
        raise InputError(f"{path} is empty, damaged or not an image.")
    return picture


def _decode(data: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    try:
        if data[:2].tobytes() != _JPEG:
            # Alpha survives only in what is stored, orientation is applied only without it.
            stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            if stored is None:
                return None
            if stored.ndim == 3 and stored.shape[2] == 4:
                return to_rgb(cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA))
            if data[:4].tobytes() == _PNG and b"eXIf" not in data.tobytes():
                return to_rgb(stored if stored.ndim == 2 else cv2.cvtColor(stored, cv2.COLOR_BGR2RGB))
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    except (cv2.error, InputError):
        return None
    return None if picture is None else to_rgb(picture)


def _to_bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array.view(np.uint8)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)  # type: ignore[operator]
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    raise InputError(f"A picture must hold uint8 values from 0 to 255, not {array.dtype}.")
