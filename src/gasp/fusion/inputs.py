"""Cue maps as the fusion network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PUBLISHED_FILES = (500, 500)
"""Width and height of the pictures that the published pipeline stored between its two stages."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Size and normalisation of the pictures that a fusion network takes.

    ``mean`` and ``std`` of R, G, B on a 0..1 scale; the defaults are the published ones. ``files``: width and height
    of the JPEG file as which every picture is taken to have been stored before, or None.
    """

    height: int = 120
    width: int = 120
    mean: tuple[float, float, float] = (110.63666788 / 255, 103.16065604 / 255, 96.29023126 / 255)
    std: tuple[float, float, float] = (38.7568578 / 255, 37.88248729 / 255, 40.02898126 / 255)
    files: tuple[int, int] | None = None

    def resize(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A map at the network's size, RGB uint8 (height, width, 3); grey is repeated."""
        if self.files is not None:
            picture = _stored(picture, self.files)
        if picture.shape[:2] != (self.height, self.width):
            size = (self.width, self.height)
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, 2)
        return picture

    def stack(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The maps of one frame in modality order, uint8 (K, height, width), K = 3 per modality."""
        return np.concatenate([self.resize(picture).transpose(2, 0, 1) for picture in pictures])

    def normalise(self, stacked: Tensor) -> Tensor:
        """uint8 (..., K, height, width) to the network's float input."""
        modalities = stacked.shape[-3] // 3
        mean, std = (np.tile(np.array(v, np.float64), modalities) for v in (self.mean, self.std))
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
