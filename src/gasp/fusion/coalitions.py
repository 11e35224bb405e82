"""The fusion run with some of its modalities black, as often as contributions need it.

The network is run anew for every coalition on some frames only, the *looks*: on those whose number is divisible by the
frames between looks, so that results do not depend on where a run began; at a cut and at the first frame; and when a
modality begins to say something. In between, what leaving modalities out does to the network's logits is held, and
taken from the logits of the frame at hand; the map of a modality that the network corrects
(:mod:`gasp.fusion.correction`) is always that of the frame. So contributions belong to the reported map of every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gasp.fusion.contributions import Contributions, Method, shapley_weights
from gasp.fusion.correction import log_of_map
from gasp.metrics.density import as_density, centre_prior
from gasp.networks.gasp import GASP

MOST_PLAYERS = 6
"""Modalities of a network of which all coalitions are made."""


class Moment(NamedTuple):
    """A frame of which contributions are wanted.

    ``number``: see :class:`Looks`. ``varied``: the modalities whose maps are not constant throughout the window, by
    place. ``window``: what :meth:`Coalitions.keep` keeps of its frames, oldest first. ``logits``: the network's (h, w).
    ``enlarged``: the same at the size of the reported map. ``corrected``: log-probabilities of the corrected modality
    at that size, None without one. ``saliency``: what is reported.
    """

    number: int
    cut: bool
    varied: frozenset[int]
    window: Sequence[Tensor]
    logits: Tensor
    enlarged: Tensor
    corrected: Tensor | None
    saliency: NDArray[np.float32]


def method_of(network: GASP) -> Method:
    """How the contributions of its modalities are computed: exactly, where all coalitions are cheap."""
    return "shapley" if network.separate and network.modalities <= MOST_PLAYERS else "leave one out"


class Coalitions:
    """Runs a network on a window with modalities replaced by black pictures.

    ``black``: the network's input (1, K, H, W) of black pictures.
    """

    def __init__(self, network: GASP, black: Tensor) -> None:
        self.network = network
        self.method = method_of(network)
        self._black = black
        self._absent = network.take_apart(network.encode_each(black)) if network.separate else None

    def keep(self, inputs: Tensor, latents: Tensor) -> list[Tensor]:
        """What :meth:`logits` needs of N frames, each by itself: their latents, or where these depend on one another
        their inputs (N, K, H, W).
        """
        return list((latents if self.network.separate else inputs).split(1))

    def logits(self, window: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
        """What gives the logits (C, h, w), float32, of a window for C choices of modalities, bool (C, modalities)."""
        if self._absent is not None:
            choose = self.network.chooser(window, self._absent)
            return lambda chosen: choose(chosen)[:, 0].float()
        return partial(self._one_by_one, window)

    def _one_by_one(self, window: Sequence[Tensor], chosen: Tensor) -> Tensor:
        frames = {id(frame): frame for frame in window}
        logits = []
        for choice in chosen.repeat_interleave(self.network.in_channels, 1):
            inputs = torch.where(choice[:, None, None], torch.cat(list(frames.values())), self._black)
            encoded = self.network.encode_frame(inputs).split(1)
            prepared = {key: self.network.prepare(one) for key, one in zip(frames, encoded, strict=True)}
            output = self.network.fuse_prepared([prepared[id(frame)] for frame in window])
            logits.append(output.logits[0, 0].float())
        return torch.stack(logits)


class _Look(NamedTuple):
    """What leaving modalities out did to the logits: ``effects`` (C, h, w), at the size of the reported map.

    Shapley values: of all coalitions of ``players`` but the empty one; leave one out: without each of them.
    """

    players: tuple[int, ...]
    effects: Tensor


@dataclass(slots=True)
class _Begun:
    """A look under way: ``done`` of its ``chosen`` (C, modalities); ``effects`` (C, h, w) of the network's size.

    ``logits``: what gives those of chosen modalities.
    """

    moment: Moment
    logits: Callable[[Tensor], Tensor]
    players: tuple[int, ...]
    chosen: Tensor
    effects: Tensor
    done: int = 0


class Looks:
    """Contributions of frame after frame.

    Args:
        coalitions: Runs the network.
        names: Of the modalities, in order; ``more``: of cues that the network does not take.
        corrects: Place of the modality that the network corrects, None without one.
        distribution: Whether logits are those of a distribution, see :func:`gasp.fusion.gasp.scale_maps`.
        sharpness: The power to which probabilities are raised.
        every: Frames between looks: one at each frame whose number is divisible by it.
        spread: Coalitions of which the network is run per frame; 0: all at once, on the frame that is looked at. Spread
            out, a look delays no frame by much, and what it finds holds from the frame on at which it is over; until
            the first one is, and after a cut, there are no contributions.
    """

    def __init__(
        self,
        coalitions: Coalitions,
        names: Sequence[str],
        more: Sequence[str],
        *,
        corrects: int | None,
        distribution: bool,
        every: int,
        sharpness: float = 1.0,
        spread: int = 0,
    ) -> None:
        self._coalitions = coalitions
        self._names = (*names, *more)
        self._modalities = len(names)
        self._corrects = corrects
        self._distribution = distribution
        self._sharpness = sharpness
        self._every = every
        self._spread = spread
        self._held: _Look | None = None
        self._begun: _Begun | None = None

    def step(self, moment: Moment, *, rest: bool = False) -> Contributions | None:
        """Of the next frame; None where no look is over yet.

        ``rest``: looks that are only due because time has passed are left out.
        """
        held = self._held
        if self._spread:
            held = self._step_by_step(moment, rest)
            if held is None:
                return None
        elif held is None or self._is_due(moment, held, rest):
            held = self._held = self._look(moment)
        players = [player for player in held.players if player in moment.varied]
        density = as_density(moment.saliency).astype(np.float32)
        maps = np.zeros((len(self._names), *density.shape), np.float32)
        method = self._coalitions.method
        if not players:
            return Contributions(self._names, maps, density, method)
        prior = as_density(centre_prior(*density.shape)).astype(np.float32)
        if method == "shapley":
            maps[players] = self._shapley(moment, held, players, density, prior)
        else:
            maps[players] = density - self._without(moment, held, players)
        return Contributions(self._names, maps, prior, method)

    def _is_due(self, moment: Moment, held: _Look, rest: bool) -> bool:
        return (
            (moment.number % self._every == 0 and not rest)
            or moment.cut
            or not moment.varied <= set(held.players)
            or held.effects.shape[1:] != moment.enlarged.shape
        )

    def _step_by_step(self, moment: Moment, rest: bool) -> _Look | None:
        """Goes on with the look under way, or begins one that is due; the latest that is over."""
        held = self._held
        if moment.cut or (held is not None and held.effects.shape[1:] != moment.enlarged.shape):
            held = self._held = self._begun = None
        if self._begun is None and (held is None or self._is_due(moment, held, rest)):
            self._begun = self._begin(moment)
        if self._begun is not None:
            self._run(self._begun, max(1, self._spread // 2) if rest else self._spread)
            if self._begun.done == len(self._begun.chosen):
                self._held, self._begun = self._end(self._begun), None
        return self._held

    def _look(self, moment: Moment) -> _Look:
        begun = self._begin(moment)
        self._run(begun, len(begun.chosen))
        return self._end(begun)

    def _begin(self, moment: Moment) -> _Begun:
        players = tuple(sorted(moment.varied))
        left_out = [[player for player in players if player not in s] for s in self._asked(players)]
        chosen = torch.ones(len(left_out), self._modalities, dtype=torch.bool)
        for row, absent in enumerate(left_out):
            chosen[row, absent] = False
        device = moment.logits.device
        effects = torch.zeros(len(left_out), *moment.logits.shape, device=device)
        return _Begun(moment, self._coalitions.logits(moment.window), players, chosen.to(device), effects)

    def _run(self, begun: _Begun, count: int) -> None:
        """Runs the network for the next so many coalitions; the one of all players has no effect by definition."""
        rows = torch.arange(begun.done, min(begun.done + count, len(begun.chosen)))
        begun.done += len(rows)
        rows = rows[~begun.chosen[rows].all(1).cpu()]
        if len(rows):
            moment = begun.moment
            begun.effects[rows] = moment.logits - begun.logits(begun.chosen[rows])

    def _end(self, begun: _Begun) -> _Look:
        # Values that are no numbers change nothing rather than everything.
        effects = begun.effects.nan_to_num(0, 0, 0)
        size = begun.moment.enlarged.shape
        if effects.shape[1:] != size and len(effects):
            effects = F.interpolate(effects[None], size=size, mode="bilinear", align_corners=False)[0]
        return _Look(begun.players, effects if len(effects) else effects.new_zeros(0, *size))

    def _asked(self, players: Sequence[int]) -> list[set[int]]:
        """The coalitions that the network is asked for, in the order of a look's effects."""
        if self._coalitions.method == "leave one out":
            return [set(players) - {player} for player in players]
        return [
            {player for bit, player in enumerate(players) if place >> bit & 1}
            for place in range(1, 2 ** len(players))
        ]

    def _shapley(
        self, moment: Moment, held: _Look, players: Sequence[int], density: NDArray, prior: NDArray
    ) -> NDArray[np.float32]:
        """Shapley values (players, h, w) of those of the held players that still say something."""
        n = len(players)
        # Those that no longer say anything stay in every coalition.
        fixed = sum(1 << bit for bit, player in enumerate(held.players) if player not in players)
        bits = [1 << held.players.index(player) for player in players]
        rows = [fixed + sum(b for i, b in enumerate(bits) if s >> i & 1) for s in range(1, 2**n - 1)]
        # The empty coalition of all held players was not asked for.
        effects = held.effects[[row - 1 for row in rows]]
        without = [self._lacks(players, s) for s in range(1, 2**n - 1)]
        values = self._densities(effects, moment, without)
        weights = torch.from_numpy(shapley_weights(n).astype(np.float32)).to(values.device)
        ends = torch.from_numpy(np.stack([prior, density])).to(values.device)
        found = weights[:, 1:-1] @ values.flatten(1) + weights[:, [0, -1]] @ ends.flatten(1)
        return found.view(n, *density.shape).cpu().numpy()

    def _without(self, moment: Moment, held: _Look, players: Sequence[int]) -> NDArray[np.float32]:
        """The densities (players, h, w) without each of the players."""
        effects = held.effects[[held.players.index(player) for player in players]]
        without = [player == self._corrects for player in players]
        return self._densities(effects, moment, without).cpu().numpy()

    def _lacks(self, players: Sequence[int], coalition: int) -> bool:
        """Whether the corrected modality is a player outside a coalition."""
        if self._corrects not in players:
            return False
        return not coalition >> players.index(self._corrects) & 1

    def _densities(self, effects: Tensor, moment: Moment, without: Sequence[bool]) -> Tensor:
        """The map of the frame less effects on its logits (C, h, w), as densities.

        ``without``: where the corrected modality is black.
        """
        whole = moment.enlarged[None]
        if moment.corrected is not None:
            black = log_of_map(torch.zeros_like(moment.corrected))
            whole = (whole + torch.stack([moment.corrected, black]))[torch.tensor(without, dtype=torch.long)]
        logits = torch.sub(whole, effects).mul_(self._sharpness)
        return densities(logits, distribution=self._distribution)


def densities(logits: Tensor, *, distribution: bool) -> Tensor:
    """Logits (C, h, w) as min-max scaled maps divided by their sum; uniform where a map is constant.

    Works in the memory of ``logits``, once per frame for dozens of maps.
    """
    values = logits.flatten(1)
    values = values.sub_(values.amax(1, keepdim=True)).exp_() if distribution else values.sigmoid_()
    values.sub_(values.amin(1, keepdim=True))
    total = values.sum(1, keepdim=True)
    values.div_(total.clamp_min(1e-30))
    values[(total <= 0).squeeze(1)] = 1 / values.shape[1]
    return values.view_as(logits)
