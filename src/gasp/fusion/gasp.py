"""Stage 2: weighs the cue maps over a short context and gives a saliency map and a gate per modality."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.fusion.correction import correct
from gasp.fusion.inputs import normalise_maps, stack_maps
from gasp.networks.gasp import GASP, PreparedFrame, gate_scores
from gasp.weights.preprocessing import Preprocessing

Windows = Literal["first repeated", "newest repeated"]


class Fused(NamedTuple):
    """Saliency of one frame, float32 (h, w) scaled to 0..1, and the mean gate of each modality (0..1).

    ``replaced``: the network's features of this frame held values that are not numbers, and those of the frame before
    it stand in for them (where there is none, the map is zero).
    """

    saliency: NDArray[np.float32]
    gates: dict[str, float] | None
    replaced: bool = False


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
    """Runs the network frame by frame: each frame is encoded once, and what windows need of it is kept.

    ``windows`` says how a window is filled that reaches back beyond the first frame. "first repeated": with copies of
    the first frame of the shot, so that nothing is carried over a cut. "newest repeated": at its end, with copies of
    the newest frame, cuts or not, which is the published rule.

    ``taps``: take the gates of a ConvLSTM apart per kernel tap (see :meth:`gasp.networks.gasp.GASP.prepare`), by
    default where it pays: for wide ones on a CPU. One window is then run at a time, and a frame of the context takes
    83 MB for the published networks. The results are the same.
    """

    def __init__(
        self,
        fusion: FusionNetwork,
        device: str | torch.device = "cpu",
        *,
        windows: Windows = "first repeated",
        taps: bool | None = None,
    ) -> None:
        self.fusion = fusion
        self.device = torch.device(device)
        self.network = fusion.network.eval().to(self.device)
        self.windows = windows
        self._dtype = next(self.network.parameters()).dtype
        self.taps = self._taps_pay() if taps is None else taps
        self._context: deque[PreparedFrame] = deque(maxlen=self.network.sequence_len)

    def step(self, maps: Sequence[Sequence[NDArray[np.uint8]]], cuts: Sequence[bool]) -> list[Fused]:
        """Predictions for the next frames, encoded in one batch.

        ``maps``: per frame the cue maps in modality order, uint8 grey or RGB of any size; ``cuts``: whether a shot
        begins at each frame. The result does not depend on how frames are grouped into batches.
        """
        if not maps:
            return []
        form = self.fusion.preprocessing
        stacked = torch.from_numpy(np.stack([stack_maps(frame, form) for frame in maps]))
        with torch.inference_mode():
            inputs = normalise_maps(stacked.to(self.device), form).to(self._dtype)
            encoded = self.network.encode_frame(inputs)
            proper = encoded.flatten(1).isfinite().all(1).tolist()
            windows = (
                self._window(features, cut, good)
                for features, cut, good in zip(encoded.split(1), cuts, proper, strict=True)
            )
            if self.taps:
                fused = [
                    row for i, window in enumerate(windows) for row in self._fuse([window], maps[i : i + 1])
                ]
            else:
                fused = self._fuse(list(windows), maps)
        return [row._replace(replaced=not good) for row, good in zip(fused, proper, strict=True)]

    def _window(self, features: torch.Tensor, cut: bool, good: bool) -> list[PreparedFrame]:
        """The frames up to this one as windows need them, oldest first; none if there is no proper one."""
        if cut and self.windows == "first repeated":
            self._context.clear()
        if good:
            self._context.append(self.network.prepare(features, taps=self.taps))
        elif self._context:
            self._context.append(self._context[-1])
        else:
            return []
        frames = list(self._context)
        missing = self.network.sequence_len - len(frames)
        return (
            [frames[0]] * missing + frames
            if self.windows == "first repeated"
            else frames + [frames[-1]] * missing
        )

    def _fuse(
        self, windows: Sequence[list[PreparedFrame]], maps: Sequence[Sequence[NDArray[np.uint8]]]
    ) -> list[Fused]:
        """Predictions of windows in one batch; a window without frames has a map of zeros."""
        if not all(windows):
            return [
                self._nothing(m) if not w else self._fuse([w], [m])[0]
                for w, m in zip(windows, maps, strict=True)
            ]
        output = self.network.fuse_prepared(
            [PreparedFrame.join(frames) for frames in zip(*windows, strict=True)]
        )
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

    def _nothing(self, maps: Sequence[NDArray[np.uint8]]) -> Fused:
        if self.fusion.corrects is not None:
            shape = maps[self.fusion.modalities.index(self.fusion.corrects)].shape[:2]
        else:
            shrink = 2 if self.network.encoded else 1
            form = self.fusion.preprocessing
            shape = (form.height // shrink, form.width // shrink)
        return Fused(np.zeros(shape, np.float32), None)

    def _name(self, scores: torch.Tensor) -> dict[str, float]:
        return dict(zip(self.fusion.modalities, scores.float().tolist(), strict=True))

    def _taps_pay(self) -> bool:
        return self.device.type == "cpu" and self.network.attends and self.network.lstm_channels >= 64


def scale_maps(logits: torch.Tensor, *, distribution: bool) -> torch.Tensor:
    """Logits (N, h, w) as probabilities, min-max scaled to 0..1 per map; constant maps become 0.

    A map with a value that is not a number consists of such values, so that it can be told from a constant one.
    """
    # In single precision equal logits may differ in the last digit afterwards (vectorised loops and their rest round
    # differently), which scaling blows up where a map is nearly constant.
    flat = logits.flatten(1).to(torch.float32 if logits.device.type == "mps" else torch.float64)
    values = (flat - flat.amax(1, keepdim=True)).exp() if distribution else flat.sigmoid()
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    constant = flat.amin(1, keepdim=True) == flat.amax(1, keepdim=True)
    scaled = torch.where(
        constant | (high == low), torch.zeros_like(values), (values - low) / (high - low).clamp_min(1e-300)
    )
    return scaled.view_as(logits).to(logits.dtype)
