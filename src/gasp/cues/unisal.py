"""Modality ``unisal``: saliency of UNISAL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gasp.cues.observation import Observation
from gasp.cues.saliency import (
    Colours,
    Grey,
    Mode,
    SaliencyCue,
    Values,
    Window,
    check_choice,
    over_maximum,
    prepare_pictures,
    truncated,
    with_size,
)
from gasp.cues.windows import published_plan, window_around
from gasp.errors import UsageError
from gasp.networks.unisal import DOMAINS, UNISAL, FrameFeatures
from gasp.weights.catalogue import find_entry

INPUT_SIZES = {"DHF1K": (224, 384), "Hollywood": (224, 416), "UCFSports": (256, 384), "SALICON": (288, 384)}
"""Height and width of the pictures that each domain was trained on."""
OUTPUT_SIZES = {"DHF1K": (360, 640), "SALICON": (480, 640)}
"""Height and width of the domains' maps; those of the others had the size of their videos."""
PUBLISHED_INPUT, PUBLISHED_OUTPUT = (288, 384), (480, 640)
STILL = "SALICON"


class UnisalFrame(NamedTuple):
    """All that depends on one frame only: the network's features (1, C, h, w), and its share in the GRU's gates."""

    features: FrameFeatures
    gates: Tensor


class Unisal(SaliencyCue[UnisalFrame]):
    """The map of a frame from the 12 frames that end with it.

    ``mode="corrected"``: every ``frame_step``-th frame up to k, the first repeated in front, in the size of pictures
    that the ``domain`` was trained on; the map of frame k itself. With ``carry`` the recurrent state goes on through
    the whole video, as in the original, so that a map needs one step (with ``frame_step`` n there are n states).
    The domain SALICON treats frames as still pictures. ``mode="published"``: as the published integration: 12
    successive frames of which the first is left out and the second doubled, in the size of SALICON but with the layers
    of DHF1K, and the median over the window's 12 maps, which ``median`` also turns on or off in either mode.
    ``input_size``: (height, width) to which frames are resized (default: as above). Further: :class:`SaliencyCue`.

    Reuse: everything before the recurrence is computed once per frame, and the map of frame k alone is decoded unless
    there is a median. More is not exact: the state restarts in every window, so that its 12 steps depend on where it
    began (``carry`` saves them, with other maps).
    """

    name = "unisal"

    def __init__(
        self,
        network: UNISAL,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        colours: Colours = "jet",
        batch: int | None = None,
        domain: str = "DHF1K",
        frame_step: int = 1,
        carry: bool = False,
        median: bool | None = None,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        check_choice("domain", domain, DOMAINS)
        if frame_step < 1:
            raise UsageError(f"frame_step must be at least 1, not {frame_step!r}")
        published = mode == "published"
        self._median = published if median is None else median
        self._carried: dict[int, Tensor] = {}
        self._step = frame_step
        self._still = domain == STILL
        self._carry = carry and not published and not self._still
        if self._carry and median:
            raise UsageError("a carried state gives one map per frame: leave out carry or median")
        how = find_entry("unisal").preprocessing
        alone = self._carry or (self._still and not self._median)
        plan = published_plan(how.window)
        if not published:
            plan = (
                window_around(1, 0) if alone else window_around(how.window, how.window - 1, step=frame_step)
            )
        super().__init__(network, plan, device=device, mode=mode, colours=colours, batch=batch)
        if self._carry:
            self.past = None
        self._how = with_size(how, input_size or (PUBLISHED_INPUT if published else INPUT_SIZES[domain]))
        own_size = (self._how.height, self._how.width)
        self._target = PUBLISHED_OUTPUT if published else OUTPUT_SIZES.get(domain, own_size)
        self._network, self._domain = network, domain

    def _take(self, observations: Sequence[Observation]) -> list[UnisalFrame]:
        pictures = prepare_pictures(observations, self._how, self.device, self.dtype)
        features = self._network.encode(pictures, self._domain)
        gates = self._network.gate_inputs(features.coarse, self._domain)
        # Copies: a view would keep the features of all these frames.
        return [
            UnisalFrame(FrameFeatures(*(f[i : i + 1].clone() for f in features)), gates[i : i + 1].clone())
            for i in range(len(observations))
        ]

    def _run(self, windows: list[Window], kept: dict[int, UnisalFrame]) -> Tensor:
        if self._still:
            states: list[Tensor | None] = [None] * len(windows[0][1])
        elif self._carry:
            return torch.cat(
                [self._decode([window], [self._carry_on(k, kept)], kept) for k, window in windows]
            )
        else:
            states = list(self._states([window for _, window in windows], kept))
        last = [window for _, window in windows]
        if not self._median:
            return self._decode([window[-1:] for window in last], states[-1:], kept)
        maps = self._decode(last, states, kept)
        return median_over_time(maps.unflatten(0, (len(windows), -1)))

    def _carry_on(self, k: int, kept: dict[int, UnisalFrame]) -> Tensor:
        """The state after frame ``k``, from the one ``frame_step`` frames before."""
        state = self._network.step(kept[k].gates, self._carried.get(k % self._step), self._domain)
        self._carried[k % self._step] = state
        return state

    def _states(self, windows: list[list[int]], kept: dict[int, UnisalFrame]) -> list[Tensor]:
        """The state (N, 256, h, w) of all windows after each of their frames."""
        states: list[Tensor] = []
        for frames in zip(*windows, strict=True):
            gates = torch.cat([kept[frame].gates for frame in frames])
            states.append(self._network.step(gates, states[-1] if states else None, self._domain))
        return states

    def _decode(
        self, windows: list[list[int]], states: Sequence[Tensor | None], kept: dict[int, UnisalFrame]
    ) -> Tensor:
        """Log-probabilities (N * T, h, w) of N windows of T frames with T states (N, ...)."""
        frames = [kept[frame].features for window in windows for frame in window]
        features = FrameFeatures(*(torch.cat(part) for part in zip(*frames, strict=True)))
        given = [state for state in states if state is not None]
        hidden = torch.stack(given, 1).flatten(0, 1) if given else None
        return self._network.decode(features, hidden, self._target, self._domain)[:, 0]

    def _grey(self, output: Values, size: tuple[int, int]) -> Grey:
        return draw_unisal(output)


def median_over_time(log_maps: Tensor) -> Tensor:
    """The median (N, h, w) of maps (N, T, h, w) over T; for an even T the mean of the middle two."""
    ordered = log_maps.sort(1).values
    count = log_maps.shape[1]
    return (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2


def draw_unisal(log_map: Values) -> Grey:
    """Probabilities over their maximum, 0..255, cut off."""
    return truncated(over_maximum(np.exp(log_map)))
