"""Pictures of faces, cut out of frames for the networks that look at faces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp.faces.face import Box


def whole_pixels(box: Box) -> Box | None:
    """The box with its sides truncated to whole pixels, as the published pipeline holds boxes.

    None for a box that is not finite.
    """
    return Box(*(float(math.trunc(side)) for side in box)) if all(map(math.isfinite, box)) else None


def crop_face(image: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8] | None:
    """The part of a picture in a box of whole pixels, at ``size`` x ``size``: bilinear, without antialiasing.

    What lies beyond the picture is cut off; None where nothing is left.
    """
    left, top, right, bottom = (int(side) for side in box)
    part = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    return _resize(part, size, cv2.INTER_LINEAR) if part.size else None


def head_box(box: Box, share: float = 1.4) -> Box | None:
    """The square around a face with ``share`` times its longer side, in whole pixels: about the head.

    None for a box that is not finite or empty.
    """
    if not all(map(math.isfinite, box)) or box.area <= 0:
        return None
    half = max(1.0, share * max(box.width, box.height)) / 2
    x, y = box.centre
    return Box(*(float(round(side)) for side in (x - half, y - half, x + half, y + half)))


def crop_head(image: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8] | None:
    """The part of a picture in a box of whole pixels, at ``size`` x ``size``; the border is repeated beyond the
    picture. None where the box does not touch the picture.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = (int(side) for side in box)
    part = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if not part.size:
        return None
    # A box without measure must not cost memory without measure.
    most = max(height, width)
    above, below, before, behind = (
        min(most, max(0, side)) for side in (-top, bottom - height, -left, right - width)
    )
    if above or below or before or behind:
        part = np.asarray(
            cv2.copyMakeBorder(part, above, below, before, behind, cv2.BORDER_REPLICATE), np.uint8
        )
    return _resize(part, size, cv2.INTER_AREA if max(part.shape[:2]) > size else cv2.INTER_LINEAR)


def as_batch(crops: Sequence[NDArray[np.uint8]], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Pictures of one size, RGB uint8, as floats in 0..1: (N, 3, H, W)."""
    batch = torch.from_numpy(np.stack(crops)).to(device)
    return (batch.permute(0, 3, 1, 2).float() / 255).contiguous().to(dtype)


def _resize(picture: NDArray[np.uint8], size: int, interpolation: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (size, size), interpolation=interpolation), np.uint8)
