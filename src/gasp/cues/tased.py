"""Modality ``tased``: saliency of TASED-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import cv2
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
from gasp.cues.windows import Plan, published_plan, reversed_start, window_around
from gasp.networks.blocks.windows import Base1OfWindows
from gasp.networks.tased import FRAMES, TASEDNet
from gasp.weights.catalogue import find_entry

Start = Literal["repeat", "reverse"]
"""Windows of the first frames: the first frame repeated in front, or what follows backwards, as the originals do."""

PUBLISHED_BUFFER = 16
"""Frames that the presets of the published integration kept, half of what the network takes."""


class Tased(SaliencyCue[Tensor]):
    """The map of a frame from the 32 frames that end with it.

    ``mode="corrected"``: the frames k - 31 to k; ``start`` says what stands in for frames before the first ("reverse"
    looks 31 frames ahead there). ``mode="published"``: as the published integration: the newest 16 frames and 16
    copies of the newest, of these the first left out and the second doubled. Neither rounds the map before it is
    smoothed. ``input_size``: (height, width) to which frames are resized (default: that of the weights). Further:
    :class:`SaliencyCue`.

    Reuse: the first stage of the encoder where it does not see the zeros at the ends of the window, a third of the
    work. More is not worth it: the stages behind it leave few such positions, in four phases, and the decoder
    depends on everything. Maps may differ in places from those of the plain window: the decoder puts values where
    the encoder found its maxima, and maxima closer than rounding exist in every window.
    """

    name = "tased"

    def __init__(
        self,
        network: TASEDNet,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        colours: Colours = "jet",
        batch: int | None = None,
        start: Start = "repeat",
        input_size: tuple[int, int] | None = None,
    ) -> None:
        plan = clip_plan(FRAMES, mode, start, PUBLISHED_BUFFER)
        super().__init__(network, plan, device=device, mode=mode, colours=colours, batch=batch)
        self._network = network
        self._how = with_size(find_entry("tased").preprocessing, input_size)
        self._base1 = Base1OfWindows(network)

    def _take(self, observations: Sequence[Observation]) -> list[Tensor]:
        return list(prepare_pictures(observations, self._how, self.device, self.dtype))

    def _run(self, windows: list[Window], kept: dict[int, Tensor]) -> Tensor:
        return self._network.from_base1(self._base1([window for _, window in windows], kept)).map

    def _grey(self, output: Values, size: tuple[int, int]) -> Grey:
        return truncated(smooth_tased(output))


def clip_plan(frames: int, mode: Mode, start: Start, published_buffer: int) -> Plan:
    """Windows of a network of clips whose map belongs to the last frame."""
    check_choice("start", start, get_args(Start))
    if mode == "published":
        return published_plan(frames, buffer=published_buffer)
    return reversed_start(frames) if start == "reverse" else window_around(frames, frames - 1)


def smooth_tased(output: Values) -> Values:
    """Gaussian filter (sigma 7, radius 28, borders reflected with the edge repeated), divided by its maximum."""
    blurred = cv2.GaussianBlur(output, (57, 57), 7, borderType=cv2.BORDER_REFLECT)
    return over_maximum(np.asarray(blurred, np.float32))
