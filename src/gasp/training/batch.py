"""What the loaders give to the training step."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


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
