"""How much of the predicted attention is where it is because of which cue.

The players are the modalities of the fusion that say something: those whose map is not constant in every frame of the
fusion's present window. The value v(S) of a coalition S of them is the map that the pipeline's own fusion predicts when
the maps of the players outside S are black in every frame of the window, as an absent modality's map is; as a density:
the min-max scaled saliency divided by its sum. v of all players is the map that is reported. v of none is, by
definition, the centre prior (:func:`gasp.metrics.density.centre_prior`), which is what one expects before anything is
seen.

"shapley": the contribution of a cue is its Shapley value at each cell,

    phi_c(x) = sum over S without c of |S|! (n - |S| - 1)! / n! * (v(S + c)(x) - v(S)(x)),

so that the contributions of all cues add up to the reported density less the prior, cell by cell. It takes all 2 ** n
coalitions, which is cheap where a network encodes each modality on its own.

"leave one out", for all other networks: phi_c = v(all) - v(all without c). That does not add up to anything: where two
cues say the same, leaving out one of them changes little, and neither gets the credit.

A modality that is constant or absent contributes exactly 0, and is in every coalition as it is. Where no modality says
anything, nothing can be explained: the baseline is the reported density itself.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gasp.metrics.density import sums_within

Method = Literal["shapley", "leave one out"]


class Contributions(NamedTuple):
    """What the cues contribute to the density of one frame (its saliency divided by the sum), cell by cell.

    ``names``: the cues. ``maps``: signed, float32 (cues, h, w), 0 for cues that contribute nothing. ``baseline``:
    float32 (h, w), sum 1, what is there without cues. With the method "shapley", baseline and maps add up to the
    density. Everything here is linear in the density: a linear step after the fusion applies to it as it does to that.
    """

    names: tuple[str, ...]
    maps: NDArray[np.float32]
    baseline: NDArray[np.float32]
    method: Method

    def moved(self) -> dict[str, float]:
        """By cue, the share of the map's mass that it moves: half the sum of its absolute contributions, 0..1."""
        half = 0.5 * np.abs(self.maps).sum((1, 2), dtype=np.float64)
        return dict(zip(self.names, half.tolist(), strict=True))

    def share(self, box: tuple[float, float, float, float], height: int, width: int) -> dict[str, float]:
        """By cue, what it adds to the share of attention within a box, in percentage points, -100..100.

        ``box``: x1, y1, x2, y2 in pixels of a ``height`` x ``width`` picture.
        """
        points = 100 * sums_within(self.maps, box, height, width)
        return dict(zip(self.names, points.tolist(), strict=True))

    def baseline_share(self, box: tuple[float, float, float, float], height: int, width: int) -> float:
        """The baseline's share of attention within a box, 0..1."""
        return float(sums_within(self.baseline, box, height, width))


@lru_cache(maxsize=16)
def shapley_weights(players: int) -> NDArray[np.float64]:
    """What multiplies the values of all coalitions to give Shapley values: (players, 2 ** players).

    Player c is in the coalition at place s where bit c of s is set.
    """
    weights = np.zeros((players, 2**players))
    for coalition in range(2**players):
        size = coalition.bit_count()
        for player in range(players):
            if coalition >> player & 1:
                weights[player, coalition] = factorial(size - 1) * factorial(players - size)
            else:
                weights[player, coalition] = -factorial(size) * factorial(players - size - 1)
    weights /= factorial(players)
    weights.setflags(write=False)
    return weights
