"""How well observers predict each other: the kernel of the ceiling, chosen by cross-validation.

As the gold standard of the MIT/Tübingen benchmark: the density of all other observers' fixations, blurred, with a small
part of a uniform density and of the centre prior mixed in. Width and parts are those under which fixations of left-out
observers are likeliest, over a dataset. A kernel that is chosen for looks can be so wide that the ceiling ends up under
the systems below it, or so narrow that nobody is predicted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from gasp.datasets.fixations import Fixations
from gasp.errors import GaspError
from gasp.evaluation.items import Item
from gasp.evaluation.truth import Truth, density_of, truth_at
from gasp.metrics.density import centre_prior

WIDTHS = tuple(float(width) for width in np.round(2.0 ** np.arange(-2, 2.01, 0.25), 4))
"""Kernels that are tried, as multiples of the dataset's own."""

LEAST_PART = 0.01
"""Of the uniform density and of the centre prior each: nobody is surprised without limit."""

_FRAMES = 400  # of a dataset, for the choice
_ROUNDS = 60  # of the estimation of the parts


@dataclass(frozen=True, slots=True)
class CeilingKernel:
    """``width``: standard deviation as a multiple of the dataset's. ``uniform``, ``centre``: parts mixed in.

    ``bits``: what a fixation of a left-out observer is likelier than under the uniform density, log2, mean over
    ``frames``; NaN where no frame had two observers and the defaults stand.
    """

    width: float = 1.0
    uniform: float = LEAST_PART
    centre: float = LEAST_PART
    bits: float = float("nan")
    frames: int = 0

    def plain(self) -> dict[str, float | None]:
        """For JSON: NaN becomes None."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


def predicted_by(fixations: Fixations, truth: Truth, kernel: CeilingKernel) -> NDArray[np.float32]:
    """What these fixations predict of the others on the frame of ``truth``: float32 (height, width), sum 1."""
    blurred = density_of(fixations, truth.blurred(kernel.width))
    centre = centre_prior(truth.height, truth.width)
    mixed = (1 - kernel.uniform - kernel.centre) * blurred + kernel.centre / centre.sum() * centre
    return np.asarray(mixed + kernel.uniform / centre.size, np.float32)


def choose_kernel(truths: Sequence[Truth]) -> CeilingKernel:
    """The kernel under which left-out observers are likeliest, over frames that count the same each."""
    scenes = [truth for truth in truths if len(np.unique(truth.fixations.observer)) > 1]
    if not scenes:
        return CeilingKernel()
    share = np.concatenate([np.full(len(truth.fixations), 1 / len(truth.fixations)) for truth in scenes])
    share /= len(scenes)
    centre = np.concatenate([_under_centre_prior(truth) for truth in scenes])
    best = CeilingKernel(bits=-np.inf)
    for width in WIDTHS:
        blurred = np.concatenate([_under_others(truth, width * truth.sigma) for truth in scenes])
        parts, bits = _mix(np.stack([blurred, np.ones_like(blurred), centre]), share)
        if bits > best.bits:
            best = CeilingKernel(width, float(parts[1]), float(parts[2]), bits, len(scenes))
    return best


def sampled_truths(items: Sequence[Item], longest: int | None, most: int = _FRAMES) -> Iterator[Truth]:
    """At most about ``most`` frames with fixations, spread evenly over the items and over each."""
    chosen = items[:: max(1, len(items) // most)]
    of_each = max(1, most // max(1, len(chosen)))
    for item in chosen:
        try:
            yield from _sampled(item, of_each, longest)
        except GaspError:  # named when its turn comes
            continue


def _sampled(item: Item, of_each: int, longest: int | None) -> Iterator[Truth]:
    count = item.frame_count
    step = max(1.0, count / of_each)
    for frame in dict.fromkeys(int(frame) for frame in np.arange(step / 2, count, step)):
        truth = truth_at(item, frame, longest)
        if len(truth.fixations):
            yield truth


def _under_others(truth: Truth, sigma: float) -> NDArray[np.float64]:
    """The density of the other observers at every fixation, against the uniform one; 0 where nobody else looks."""
    fixations = truth.fixations
    x, y = fixations.x / sigma, fixations.y / sigma
    apart = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    other = (fixations.observer[:, None] != fixations.observer) * fixations.weight
    near = np.exp(-0.5 * apart) / (2 * np.pi * sigma**2)
    # Of a Gaussian at the border only what lies inside counts.
    inside = (ndtr(truth.width / sigma - x) - ndtr(-x)) * (ndtr(truth.height / sigma - y) - ndtr(-y))
    found = (other * near).sum(1) / (other * inside).sum(1)
    return np.asarray(found * truth.width * truth.height)


def _under_centre_prior(truth: Truth) -> NDArray[np.float64]:
    """The centre prior at every fixation, against the uniform density."""
    prior = centre_prior(truth.height, truth.width)
    found = prior[truth.fixations.y.astype(np.int64), truth.fixations.x.astype(np.int64)] / prior.mean()
    return np.asarray(found, np.float64)


def _mix(densities: NDArray[np.float64], share: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The parts (k,) of densities (k, fixations) under which these are likeliest, and their mean bits.

    Expectation maximisation; the first part is what the least parts of the others leave.
    """
    parts = np.full(len(densities), 1 / len(densities))
    for _ in range(_ROUNDS):
        taken = parts[:, None] * densities
        parts = (taken / taken.sum(0)) @ share
    parts[1:] = np.maximum(parts[1:], LEAST_PART)
    parts[0] = 1 - parts[1:].sum()
    return parts, float(np.log2(parts @ densities) @ share)
