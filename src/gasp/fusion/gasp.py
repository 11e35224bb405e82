"""Stage 2: weighs the cue maps over a short context and gives a saliency map and a gate per modality."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.fusion.correction import correct
from gasp.fusion.inputs import Preprocessing
from gasp.networks.gasp import GASP, gate_scores


class Fused(NamedTuple):
    """Saliency of one frame, float32 (h, w) scaled to 0..1, and the mean gate of each modality (0..1)."""

    saliency: NDArray[np.float32]
    gates: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class FusionNetwork:
    """A GASP network with what belongs to it: the modalities in order, the input's form, the output's scale.

    ``distribution``: the logits were trained as a distribution over the picture (softmax), as those of the
    packaged weights are; the published ones are independent per pixel (sigmoid). ``corrects``: the modality whose
    map the network corrects, see :mod:`gasp.fusion.correction`; None if the network draws the whole map itself.
    """

    network: GASP
    modalities: tuple[str, ...]
    preprocessing: Preprocessing
    distribution: bool
    corrects: str | None = None


class GaspFusion:
    """Runs the network frame by frame: each frame is encoded once, windows share the encoded frames.

    Before the first frame of a shot the window is filled with copies of it, so that every frame has a
    prediction that belongs to it, and nothing is carried over a cut.
    """

    def __init__(self, fusion: FusionNetwork, device: str | torch.device = "cpu") -> None:
        self.fusion = fusion
        self.device = torch.device(device)
        self.network = fusion.network.eval().to(self.device)
        self._context: deque[torch.Tensor] = deque(maxlen=self.network.sequence_len)

    def step(self, maps: Sequence[Sequence[NDArray[np.uint8]]], cuts: Sequence[bool]) -> list[Fused]:
        """Predictions for the next frames, in one batch.

        ``maps``: per frame the cue maps in modality order, uint8 grey or RGB of any size; ``cuts``: whether a shot
        begins at each frame. The result does not depend on how frames are grouped into batches.
        """
        if not maps:
            return []
        stacked = torch.from_numpy(np.stack([self.fusion.preprocessing.stack(frame) for frame in maps]))
        with torch.inference_mode():
            inputs = self.fusion.preprocessing.normalise(stacked.to(self.device))
            windows = [
                self._window(frame, cut)
                for frame, cut in zip(self.network.encode_frame(inputs), cuts, strict=True)
            ]
            output = self.network.fuse(torch.stack(windows))
            saliency = self._scale(output.logits[:, 0].float(), maps)
            scores = gate_scores(output, self.network.modalities)
        return [
            Fused(row, None if scores is None else self._name(scores[i])) for i, row in enumerate(saliency)
        ]

    def _scale(
        self, logits: torch.Tensor, maps: Sequence[Sequence[NDArray[np.uint8]]]
    ) -> list[NDArray[np.float32]]:
        """The maps of all frames, at the size of the corrected modality's map where there is one."""
        distribution = self.fusion.distribution
        if self.fusion.corrects is None:
            return list(scale_maps(logits, distribution=distribution).cpu().numpy())
        chosen = self.fusion.modalities.index(self.fusion.corrects)
        corrected = [correct(frame[chosen], row) for frame, row in zip(maps, logits, strict=True)]
        return [scale_maps(row[None], distribution=distribution)[0].cpu().numpy() for row in corrected]

    def _window(self, features: torch.Tensor, cut: bool) -> torch.Tensor:
        """The encoded frames up to this one, (T, D, h, w), oldest first."""
        if cut:
            self._context.clear()
        self._context.append(features)
        missing = self.network.sequence_len - len(self._context)
        return torch.stack([self._context[0]] * missing + list(self._context))

    def _name(self, scores: torch.Tensor) -> dict[str, float]:
        return dict(zip(self.fusion.modalities, scores.float().tolist(), strict=True))


def scale_maps(logits: torch.Tensor, *, distribution: bool) -> torch.Tensor:
    """Logits (N, h, w) as probabilities, min-max scaled to 0..1 per map; constant maps become 0.

    A map with a value that is not a number consists of such values, so that it can be told from a constant one.
    """
    flat = logits.flatten(1)
    values = (flat - flat.amax(1, keepdim=True)).exp() if distribution else flat.sigmoid()
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    span = high - low
    scaled = torch.where(span == 0, torch.zeros_like(values), (values - low) / span.clamp_min(1e-30))
    return scaled.view_as(logits)
