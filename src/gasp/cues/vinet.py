"""Modalities ``vinet`` and ``avinet``: saliency of ViNet, and of AViNet, which also listens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    min_max,
    prepare_pictures,
    resize,
    sigmoid,
    truncated,
    with_size,
)
from gasp.cues.tased import Start, clip_plan
from gasp.cues.window_sound import LONGEST_BLOCK, SOUND_RATES, Waveforms, block_frames
from gasp.networks.blocks.windows import Base1OfWindows
from gasp.networks.vinet import FRAMES, AViNet, ViNet
from gasp.weights.catalogue import find_entry

EXCERPT = 70560
"""Samples of the waveform excerpt: 32 frames at 10 frames per second and 22050 Hz."""


class Vinet(SaliencyCue[Tensor]):
    """The map of a frame from the 32 frames that end with it.

    ``mode="corrected"``: the frames k - 31 to k; ``start`` says what stands in for frames before the first
    ("reverse" looks 31 frames ahead there); the map is resized to the frame, blurred (``blur``) and rounded as in the
    original. ``mode="published"``: as in the published integration: 31 frames of which the first is doubled, and a
    second sigmoid, which flattens the map. ``input_size``: (height, width) to which frames are resized (default: that
    of the weights). Further: :class:`SaliencyCue`.

    Reuse: as for TASED-Net, the first stage of the encoder where it does not see the zeros at the ends of the window,
    a quarter of the work. More is not worth it, and the decoder, half of the work, depends on everything.
    """

    name = "vinet"

    def __init__(
        self,
        network: ViNet,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        colours: Colours = "jet",
        batch: int | None = None,
        start: Start = "repeat",
        blur: bool = True,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        plan = clip_plan(FRAMES, mode, start, FRAMES)
        super().__init__(network, plan, device=device, mode=mode, colours=colours, batch=batch)
        self._network = network
        self._how = with_size(find_entry("vinet").preprocessing, input_size)
        self._base1 = Base1OfWindows(network.backbone)
        self._blur = blur

    def _take(self, observations: Sequence[Observation]) -> list[Tensor]:
        return list(prepare_pictures(observations, self._how, self.device, self.dtype))

    def _run(self, windows: list[Window], kept: dict[int, Tensor]) -> Tensor:
        return self._network.from_base1(self._base1([window for _, window in windows], kept)).map

    def _grey(self, output: Values, size: tuple[int, int]) -> Grey:
        return draw_vinet(output, size, self.mode, blur=self._blur)


class Avinet(SaliencyCue[Tensor]):
    """As :class:`Vinet`, with the sound of the window; zeros are heard without sound.

    ``mode="corrected"`` hears the original excerpt, from the first to the last frame of the window, backwards where
    the window runs backwards. ``mode="published"`` hears nearly silent pieces of the block of a second that lies ahead.
    ``fps``: frames per second of what is pushed (default: from the first frame's step). The network takes no other
    ``input_size``.
    """

    name = "avinet"

    def __init__(
        self,
        network: AViNet,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        colours: Colours = "jet",
        batch: int | None = None,
        start: Start = "repeat",
        blur: bool = True,
        fps: float | None = None,
    ) -> None:
        self._sound = Waveforms(mode, EXCERPT, FRAMES, fps)
        plan = clip_plan(FRAMES, mode, start, FRAMES)
        if mode == "published":
            future = (block_frames(fps) if fps else LONGEST_BLOCK) - 1
            plan = replace(plan, needs=self._sound.needs, future=future)
        super().__init__(network, plan, device=device, mode=mode, colours=colours, batch=batch)
        self._network, self._window_past = network, plan.past
        self.sound_rate = SOUND_RATES[mode]
        self._how = find_entry("avinet").preprocessing
        self._base1 = Base1OfWindows(network.visual_model.backbone)
        self._blur = blur

    def begin(self, step: float) -> None:
        """Seconds of sound become frames."""
        earlier, later = self._sound.begin(step)
        if self.mode == "published":
            self.past, self.future = max(self._window_past, earlier), later
        else:
            self.past = self._window_past + earlier

    def _take(self, observations: Sequence[Observation]) -> list[Tensor]:
        for observation in observations:
            self._sound.add(observation)
        return list(prepare_pictures(observations, self._how, self.device, self.dtype))

    def _run(self, windows: list[Window], kept: dict[int, Tensor]) -> Tensor:
        heard = torch.cat([self._hear(k, window) for k, window in windows])
        return self._network.from_base1(self._base1([window for _, window in windows], kept), heard).map

    def _hear(self, k: int, window: list[int]) -> Tensor:
        """The audio embedding (1, 1024, 3) of a window."""
        waveform = self._sound.of(k, window)
        waveform = np.zeros(EXCERPT, np.float32) if waveform is None else waveform
        return self._network.embed_audio(
            torch.from_numpy(waveform).to(self.device, self.dtype)[None, None, :, None]
        )

    def _grey(self, output: Values, size: tuple[int, int]) -> Grey:
        return draw_vinet(output, size, self.mode, blur=self._blur)


def draw_vinet(output: Values, size: tuple[int, int], mode: Mode, *, blur: bool = True) -> Grey:
    """A map of 0..1 as grey levels: "corrected" for a picture of ``size``, "published" in its own size."""
    if mode == "published":
        return truncated(min_max(sigmoid(output)))
    return np.rint(255 * smooth_vinet(output, size, blur=blur)).astype(np.uint8)


def smooth_vinet(output: Values, size: tuple[int, int], *, blur: bool = True) -> Values:
    """Resized to (height, width) ``size``, blurred (11 x 11, sigma 2, borders mirrored), scaled to 0..1."""
    values = resize(output, *size)
    if blur:
        values = np.asarray(cv2.GaussianBlur(values, (11, 11), 2, borderType=cv2.BORDER_REFLECT_101))
    return min_max(values)
