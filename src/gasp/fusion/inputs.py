"""Cue maps as the fusion network takes them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp.weights.preprocessing import Preprocessing

PUBLISHED_FILES = (500, 500)
"""Width and height of the pictures that the published pipeline stored between its two stages."""


def resize_map(picture: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.uint8]:
    """A map at the network's size, RGB uint8 (height, width, 3); grey is repeated."""
    if how.files is not None:
        picture = _stored(picture, how.files)
    if picture.shape[:2] != (how.height, how.width):
        size = (how.width, how.height)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, 2)
    return picture


def stack_maps(pictures: Sequence[NDArray[np.uint8]], how: Preprocessing) -> NDArray[np.uint8]:
    """The maps of one frame in modality order, uint8 (K, height, width), K = 3 per modality."""
    return np.concatenate([resize_map(picture, how).transpose(2, 0, 1) for picture in pictures])


def normalise_maps(stacked: Tensor, how: Preprocessing) -> Tensor:
    """uint8 (..., K, height, width) to the network's float input."""
    modalities = stacked.shape[-3] // 3
    mean, std = (np.tile(np.array(v, np.float64), modalities) for v in (how.mean, how.std))
    scale, shift = (
        torch.tensor(v, dtype=torch.float32, device=stacked.device)[:, None, None]
        for v in (1 / (255 * std), -mean / std)
    )
    return torch.addcmul(shift, stacked.float(), scale)


def _stored(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """What is left of a picture after resizing it to ``size`` (width, height) and storing it as JPEG, RGB.

    Pictures that are all black were not stored; missing ones count as black.
    """
    if not picture.any():
        return np.zeros((size[1], size[0], 3), np.uint8)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, 2)
    resized = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    _, data = cv2.imencode(".jpg", resized[..., ::-1])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
