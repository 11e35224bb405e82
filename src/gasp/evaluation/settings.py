"""How an evaluation is done."""

from __future__ import annotations

from pydantic import Field, model_validator

from gasp.config.base import Settings
from gasp.errors import UsageError

GAIN_OVER = ("centre", "others")

MOST_DRAWS = 100_000
"""Of the bootstrap: intervals do not change visibly long before, and memory grows with them."""


class EvaluationSettings(Settings):
    """How an evaluation is done. Fields that do not decide the numbers are left out of ``model_dump()``.

    ``rate``: scored frames per second of video, None for every frame; they lie in the middle of their interval.
    ``longest``: maps are scored at the size of the source with the longer side at most this many pixels, None at the
    source's own. ``gain_over``: the density that information is gained over, "centre" (prior) or "others" (mean
    density of the other videos). ``draws``, ``seed``: of the bootstrap. ``workers``: threads that score frames.
    ``ceiling``: also score the other observers, which takes the most time. ``examples``: keep the best and worst
    frame of every video as a picture.
    """

    rate: float | None = None
    longest: int | None = 640
    gain_over: str = "centre"
    draws: int = 2000
    seed: int = 0
    workers: int = Field(default=2, exclude=True)
    ceiling: bool = True
    examples: bool = Field(default=True, exclude=True)

    @model_validator(mode="after")
    def _possible(self) -> EvaluationSettings:
        # Raised as it is, so that whoever makes settings in code gets the same words as the command's user.
        if self.rate is not None and not 0 < self.rate < 1000:
            raise UsageError(f"rate = {self.rate}: the scored frames per second must be above 0")
        if self.longest is not None and self.longest < 16:
            raise UsageError(
                f"size = {self.longest}: maps are scored at 16 pixels or more (0: the source's size)"
            )
        if self.gain_over not in GAIN_OVER:
            raise UsageError(f"information is gained over {' or '.join(GAIN_OVER)}, not {self.gain_over!r}")
        if not 100 <= self.draws <= MOST_DRAWS:
            raise UsageError(f"draws = {self.draws}: the bootstrap takes 100 to {MOST_DRAWS} draws")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed = {self.seed}: use a whole number from 0 to 2**63 - 1")
        if not 1 <= self.workers <= 256:
            raise UsageError(f"workers = {self.workers}: use 1 to 256 threads")
        return self
