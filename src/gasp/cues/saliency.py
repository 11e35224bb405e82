"""What the cues that run a published saliency network have in common."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from gasp.cues.cue import Cue, CueResult
from gasp.cues.observation import Observation
from gasp.cues.windows import Plan, Windows
from gasp.errors import UsageError
from gasp.weights.catalogue import Preprocessing

log = logging.getLogger(__name__)

Mode = Literal["corrected", "published"]
Colours = Literal["jet", "grey"]
Grey = NDArray[np.uint8]
Values = NDArray[np.float32]
Features = TypeVar("Features")

Window = tuple[int, list[int]]
"""A frame, and the frames of its window, oldest first."""


@dataclass(slots=True)
class Taken(Generic[Features]):
    """What is kept of a frame: ``size``, the (height, width) of its picture, and what the cue made of it."""

    size: tuple[int, int]
    features: Features


class SaliencyCue(Cue, Generic[Features]):
    """A saliency network over windows of frames.

    A cue says what it makes of a frame (:meth:`_take`), what the network gives for windows (:meth:`_run`), and how
    that becomes a grey map (:meth:`_grey`).

    ``mode``: "corrected" gives maps at the network's output size; "published" at the frame's size, as the published
    integration drew them. ``colours``: OpenCV's colour map "jet", which the published GASP weights know, or "grey".
    ``batch``: windows that the network runs at once (default: 1 on the CPU, where more is no faster, else 8). A map
    of which a value is not a number is black, said once and counted in ``failures``.
    """

    needs_saliency = False

    def __init__(
        self,
        network: nn.Module,
        plan: Plan,
        *,
        device: str | torch.device,
        mode: Mode,
        colours: Colours,
        batch: int | None,
    ) -> None:
        check_choice("mode", mode, get_args(Mode))
        check_choice("colours", colours, get_args(Colours))
        if batch is not None and batch < 1:
            raise UsageError(f"batch must be at least 1, not {batch!r}")
        self.device = torch.device(device)
        self.dtype = next(network.parameters()).dtype
        network.to(self.device).eval()
        self.mode, self.colours = mode, colours
        self.past: int | None = plan.past
        self.future = plan.future
        self._batch = batch or (1 if self.device.type == "cpu" else 8)
        self._windows: Windows[Taken[Features]] = Windows(plan)

    @torch.inference_mode()
    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """The maps that are complete with these next frames: uint8 (h, w, 3), or (h, w) for grey ones."""
        drawn = []
        for start in range(0, len(observations), self._batch):
            for features, seen in self._take_all(observations[start : start + self._batch]):
                self._windows.add(Taken((seen.frame.height, seen.frame.width), features))
            drawn += self._draw_complete(ended=False)
        return drawn

    @torch.inference_mode()
    def finish(self) -> list[CueResult]:
        """The maps of the frames that still wait: the last frame counts as repeated."""
        return self._draw_complete(ended=True)

    @abstractmethod
    def _take(self, observations: Sequence[Observation]) -> list[Features]:
        """What is kept of each of the next frames."""

    @abstractmethod
    def _run(self, windows: list[Window], kept: dict[int, Features]) -> Tensor:
        """The network's output (N, h, w) or (N, ..., h, w) for windows of ``kept`` frames."""

    @abstractmethod
    def _grey(self, output: Values, size: tuple[int, int]) -> Grey:
        """The map from one output of the network, for a picture of ``size``."""

    def _take_all(self, observations: Sequence[Observation]) -> list[tuple[Features, Observation]]:
        return list(zip(self._take(observations), observations, strict=True))

    def _draw_complete(self, *, ended: bool) -> list[CueResult]:
        complete = list(self._windows.complete(ended=ended))
        drawn = []
        for start in range(0, len(complete), self._batch):
            windows = complete[start : start + self._batch]
            needed = {k for _, window in windows for k in window}
            outputs = self._run(windows, {k: self._windows.items[k].features for k in needed})
            for (k, _), output in zip(windows, outputs.float().cpu().numpy(), strict=True):
                drawn.append(CueResult(self._draw(output, self._windows.items[k].size)))
        self._windows.forget()
        return drawn

    def _draw(self, output: Values, size: tuple[int, int]) -> Grey:
        if np.isfinite(output).all():
            grey = self._grey(output, size)
            drawn = colour_jet(grey) if self.colours == "jet" else grey
        else:
            if not self.failures:
                log.warning("%s gave values that are not numbers: the map of that frame is black", self.name)
            self.failures += 1
            drawn = np.zeros((*output.shape[-2:], *((3,) if self.colours == "jet" else ())), np.uint8)
        if self.mode == "published" and drawn.shape[:2] != size:
            drawn = resize(drawn, *size)
        return drawn


def check_choice(field: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise :class:`UsageError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise UsageError(f"{field} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def with_size(how: Preprocessing, size: Sequence[int] | None) -> Preprocessing:
    """The same with pictures of (height, width) ``size``, which networks take in multiples of 32; None: as it is."""
    if size is None:
        return how
    if len(size) != 2 or any(side < 32 or side % 32 for side in size):
        raise UsageError(f"input_size must be a height and a width, multiples of 32, not {size!r}")
    return replace(how, height=size[0], width=size[1])


def prepare_pictures(
    observations: Sequence[Observation], how: Preprocessing, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """The frames as the network takes them, (N, 3, ``how.height``, ``how.width``).

    Resized on uint8, bilinear with half-pixel centres and without anti-aliasing; the aspect ratio is not kept.
    """
    pictures = np.stack([resize(o.frame.image, how.height, how.width) for o in observations])
    if how.colour_order == "BGR":
        pictures = np.ascontiguousarray(pictures[..., ::-1])
    x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()
    mean, std = (255 * torch.tensor(v, device=device).view(3, 1, 1) for v in (how.mean, how.std))
    return ((x - mean) / std).to(dtype, memory_format=torch.contiguous_format)


def resize(picture: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Bilinear resize with half-pixel centres."""
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))


def min_max(values: Values) -> Values:
    """Values scaled to 0..1; zeros where all are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def over_maximum(values: Values) -> Values:
    """Values of 0 or more divided by the largest; zeros where there is none above 0."""
    high = values.max()
    return values / high if high > 0 else np.zeros_like(values)


def sigmoid(values: Values) -> Values:
    """Values of any size to 0..1."""
    return np.asarray(expit(values))


def truncated(values: Values) -> Grey:
    """0..1 to 0..255, cut off to whole numbers."""
    return np.asarray(255 * np.clip(values, 0, 1)).astype(np.uint8)


def colour_jet(grey: Grey) -> NDArray[np.uint8]:
    """OpenCV's colour map "jet" as RGB: blue for 0, red for 255."""
    return np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_JET)[..., ::-1])
