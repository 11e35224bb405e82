"""What is generated, in plain values."""

from __future__ import annotations

from dataclasses import dataclass

from gasp.errors import UsageError


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """What is written of each frame.

    ``size``: (height, width) of every picture; the aspect ratio is not kept, as in 2021. ``targets``: also the density
    and the fixation map. ``prediction``: also the fused map (``det_transformed_gasp``). ``segment``: frames after which
    an interrupted run can go on; ``warm_up``: frames before it that are looked at again then, so that cues which
    remember know what came before.
    """

    size: tuple[int, int] = (500, 500)
    targets: bool = True
    prediction: bool = False
    segment: int = 250
    warm_up: int = 100

    def __post_init__(self) -> None:
        if not all(0 < side <= 8192 for side in self.size):
            raise UsageError(f"pictures of {self.size[1]} x {self.size[0]} pixels cannot be written")
        if self.segment < 1 or self.warm_up < 0:
            raise UsageError("a segment has at least 1 frame, a warm-up at least 0")
