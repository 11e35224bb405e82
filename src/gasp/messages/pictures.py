"""Compressed pictures in messages."""

from __future__ import annotations

import io
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError


def encode_picture(picture: NDArray[np.uint8], encoding: Literal["jpeg", "png"], quality: int = 90) -> bytes:
    """A picture, uint8 RGB (h, w, 3) or grey (h, w), as a file. Raises ValueError for other arrays."""
    if picture.dtype != np.uint8 or picture.shape[2:] not in ((), (3,)) or not picture.size:
        raise ValueError(f"a picture is uint8 (h, w) or (h, w, 3), not {picture.dtype} {picture.shape}")
    ordered = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    suffix, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]) if encoding == "jpeg" else (".png", [])
    done, coded = cv2.imencode(suffix, ordered, options)
    if not done:
        raise ValueError(f"a picture of {picture.shape} cannot be written as {encoding}")
    return coded.tobytes()


def decode_picture(file: bytes | memoryview, most_pixels: int) -> NDArray[np.uint8]:
    """The picture in a JPEG or PNG file, uint8 RGB (h, w, 3) or grey (h, w).

    Its size is read from the file's head and checked before memory for the pixels is taken. Raises ValueError for what
    is no such picture, larger than ``most_pixels``, or cut short.
    """
    try:
        with Image.open(io.BytesIO(file), formats=("JPEG", "PNG")) as head:
            width, height = head.size
            grey = head.mode in ("L", "1")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("it is no JPEG or PNG picture") from error
    if width * height > most_pixels:
        raise ValueError(f"a picture of {width} x {height}; at most {most_pixels} pixels are taken")
    # IMREAD_COLOR turns pictures upright by themselves, which a camera's frame never needs.
    flags = (cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded = cv2.imdecode(np.frombuffer(file, np.uint8), flags)
    except cv2.error as error:
        raise ValueError("it is a damaged picture") from error
    if decoded is None or decoded.shape[:2] != (height, width):
        raise ValueError("it is a damaged picture")
    return np.asarray(decoded if grey else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
