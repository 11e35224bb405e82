"""The recipes of the weights that ship with the package, as data; :mod:`gasp.training.recipes` follows them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class GlanceRecipe:
    """Everything that shapes the weights, apart from the pictures.

    Up to step ``decay_from`` pictures have ``small_scale`` of the full size, which costs less, and the learning
    rate follows a cosine over ``horizon`` steps. Then pictures are full size, the rate falls to 0 in a line, and
    faces, which need the resolution, count for more: ``late_faces`` of the pictures come from sets with boxes
    (before, as many as there are), and the two ``late_..._weight`` replace the weights of their losses.
    """

    backbone: Literal["residual", "lite0"] = "residual"
    """"lite0" comes with ImageNet weights, see :mod:`gasp.training.backbone`; "residual" is trained from nothing."""
    backbone_rate: float = 1.0
    """Learning rate of the backbone as a share of ``learning_rate``."""
    frozen_blocks: int = 0
    """Of the backbone "lite0", which stay as they come: they see the same in all pictures, and cost most."""
    steps: int = 5250
    decay_from: int = 2750
    horizon: int = 7000
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 200
    small_scale: float = 0.75
    average_decay: float = 0.999
    face_weight: float = 0.5
    box_weight: float = 0.1
    late_faces: float = 0.42
    late_face_weight: float = 1.0
    late_box_weight: float = 0.3
    seed: int = 7

    def weights_of_faces(self, step: int) -> tuple[float, float]:
        """Weights of the losses of face centres and of boxes at a step."""
        if step < self.decay_from:
            return self.face_weight, self.box_weight
        return self.late_face_weight, self.late_box_weight

    def relative_rate(self, step: int) -> float:
        """The learning rate at a step as a share of ``learning_rate``."""
        if step < self.warmup:
            return 0.04 + 0.96 * (1 - math.cos(math.pi * step / self.warmup)) / 2
        turn = min(step, self.decay_from) - self.warmup
        cosine = (1 + math.cos(math.pi * turn / (self.horizon - self.warmup))) / 2
        return cosine * min(1.0, (self.steps - step) / (self.steps - self.decay_from))


@dataclass(frozen=True, slots=True)
class VideoPrior:
    """How a moving scene draws looks, beside what draws them in a still picture.

    The density of the still picture is multiplied by 1 + ``speaker`` * s + ``motion`` * m, s being the speaking scores
    spread over their faces (standard deviation ``spread`` of the face's size) and m the motion map, both in 0..1.
    """

    speaker: float = 4.0
    motion: float = 6.0
    spread: float = 0.55


@dataclass(frozen=True, slots=True)
class FusionRecipe:
    """Everything that shapes the weights, apart from the pictures and the saliency network."""

    steps: int = 400
    batch: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    average_decay: float = 0.98
    still: float = 0.3
    """Share of clips in which nothing moves, as when a still picture is asked about."""
    views: int = 3
    absent: float = 0.08
    """Probability that a modality is missing from a clip, each on its own."""
    alone_weight: float = 0.3
    """Weight of the clips in which the corrected modality is missing: their losses are many times larger."""
    prior: VideoPrior = field(default_factory=VideoPrior)
    seed: int = 7


STILLS = GlanceRecipe(
    backbone="lite0",
    backbone_rate=0.25,
    frozen_blocks=3,
    steps=1100,
    decay_from=500,
    horizon=1400,
    warmup=80,
    average_decay=0.99,
)

TITLES = {
    "default-saliency": "glance: saliency and faces from one picture",
    "default-stills": "glance-lite0: what still pictures are looked at with besides glance",
    "default-fusion": "fusion: a compact GASP network over the packaged cues",
}
"""Name of a recipe -> what it makes."""


def recipe_presets() -> dict[str, dict[str, Any]]:
    """The recipes by name, as plain values."""
    return {
        "default-saliency": asdict(GlanceRecipe()),
        "default-stills": asdict(STILLS),
        "default-fusion": asdict(FusionRecipe()),
    }
