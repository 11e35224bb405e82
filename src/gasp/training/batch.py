"""What the loaders give to the training step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Clip(NamedTuple):
    """One clip, all uint8: ``maps`` (T, K, H, W), ``density`` and ``fixations`` (1, h, w), ``frame_density``
    (T, 1, h, w) or None; see :class:`ClipBatch`.
    """

    maps: NDArray[np.uint8]
    density: NDArray[np.uint8]
    fixations: NDArray[np.uint8]
    frame_density: NDArray[np.uint8] | None
    name: str


class ClipBatch(NamedTuple):
    """N clips of T frames with what people looked at.

    ``maps``: uint8 (N, T, K, H, W), K = 3 per modality (R, G, B) in the order of the experiment's inputs; T is 1 for
    static networks. ``density`` and ``fixations``: float32 (N, 1, h, w) in 0..1, those of the clip's last frame that
    has them. ``frame_density``: float32 (N, T, 1, h, w) where every frame's is wanted, else None. ``names``: of the
    clips, for messages, such as "diem/talk, frames 12 to 21".
    """

    maps: Tensor
    density: Tensor
    fixations: Tensor
    frame_density: Tensor | None
    names: tuple[str, ...]
