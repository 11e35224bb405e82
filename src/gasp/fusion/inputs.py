"""Cue maps as the fusion network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Size and normalisation of the pictures that a fusion network takes.

    ``mean`` and ``std`` of R, G, B on a 0..1 scale; the defaults are the published ones.
    """

    height: int = 120
    width: int = 120
    mean: tuple[float, float, float] = (110.63666788 / 255, 103.16065604 / 255, 96.29023126 / 255)
    std: tuple[float, float, float] = (38.7568578 / 255, 37.88248729 / 255, 40.02898126 / 255)

    def resize(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A map at the network's size, RGB uint8 (height, width, 3); grey is repeated."""
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
        mean = torch.tensor(self.mean, device=stacked.device).repeat(modalities)[:, None, None]
        std = torch.tensor(self.std, device=stacked.device).repeat(modalities)[:, None, None]
        return (stacked.float() / 255 - mean) / std
