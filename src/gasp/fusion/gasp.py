"""Stage 2: weighs the cue maps over a short context and gives a saliency map, and what each cue contributes to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.fusion.coalitions import Coalitions, Looks, Moment
from gasp.fusion.contributions import Contributions
from gasp.fusion.correction import correct
from gasp.fusion.inputs import normalise_maps, stack_maps
from gasp.networks.gasp import GASP, PreparedFrame, gate_scores
from gasp.weights.preprocessing import Preprocessing

Windows = Literal["first repeated", "newest repeated"]


class Fused(NamedTuple):
    """Saliency of one frame, float32 (h, w) scaled to 0..1, and the mean gate of each modality (0..1).

    ``replaced``: the network's features of this frame held values that are not numbers, and those of the frame before
    it stand in for them (where there is none, the map is zero). ``contributions``: None where they were not asked for
    or the map is none.
    """

    saliency: NDArray[np.float32]
    gates: dict[str, float] | None
    replaced: bool = False
    contributions: Contributions | None = None


class _Kept(NamedTuple):
    """What is kept of a frame while it is in a window.

    ``apart``: what running the network without some modalities needs. ``varied``: which maps are not constant.
    """

    prepared: PreparedFrame
    apart: torch.Tensor | None
    varied: frozenset[int]


class _Ready(NamedTuple):
    """A frame to be fused: its maps, number and whether a shot begins at it, and its window, empty without one."""

    maps: Sequence[NDArray[np.uint8]]
    number: int
    cut: bool
    window: list[_Kept]


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

    ``sharpness``: the power to which probabilities are raised, see :mod:`gasp.fusion.placement`.

    ``looks``: frames between two looks at what the cues contribute (:mod:`gasp.fusion.coalitions`); 0: none, and
    contributions are None. ``cues``: names of all cues of the pipeline; contributions also name those that the network
    does not take. ``spread``: see :class:`gasp.fusion.coalitions.Looks`. ``rests``: while it is set, looks that are due
    because time has passed are left out.
    """

    def __init__(
        self,
        fusion: FusionNetwork,
        device: str | torch.device = "cpu",
        *,
        windows: Windows = "first repeated",
        taps: bool | None = None,
        sharpness: float = 1.0,
        looks: int = 0,
        cues: Sequence[str] = (),
        spread: int = 0,
    ) -> None:
        self.rests = False
        self.fusion = fusion
        self.device = torch.device(device)
        self.network = fusion.network.eval().to(self.device)
        self.windows = windows
        self._form = fusion.preprocessing
        self._sharpness = sharpness
        self._dtype = next(self.network.parameters()).dtype
        self.taps = self._taps_pay() if taps is None else taps
        self._context: deque[_Kept] = deque(maxlen=self.network.sequence_len)
        self._frames = 0
        self._corrects = None if fusion.corrects is None else fusion.modalities.index(fusion.corrects)
        self._make_explanation = partial(self._make_looks, looks, cues, spread) if looks else None
        self._coalitions: Coalitions | None = None
        self._looks: Looks | None = None
        if self._make_explanation is not None:
            self._coalitions, self._looks = self._make_explanation()

    def step(
        self,
        maps: Sequence[Sequence[NDArray[np.uint8]]],
        cuts: Sequence[bool],
        numbers: Sequence[int] | None = None,
    ) -> list[Fused]:
        """Predictions for the next frames, encoded in one batch.

        ``maps``: per frame the cue maps in modality order, uint8 grey or RGB of any size; ``cuts``: whether a shot
        begins at each frame; ``numbers``: of the frames, which say when to look at contributions, by default counted
        here. The result does not depend on how frames are grouped into batches.
        """
        if not maps:
            return []
        if numbers is None:
            numbers = range(self._frames, self._frames + len(maps))
        self._frames += len(maps)
        form = self._form
        stacked = torch.from_numpy(np.stack([stack_maps(frame, form) for frame in maps]))
        with torch.inference_mode():
            inputs = normalise_maps(stacked.to(self.device), form).to(self._dtype)
            latents = self.network.encode_each(inputs)
            encoded = self.network.join_latents(latents)
            proper = encoded.flatten(1).isfinite().all(1).tolist()
            apart = [None] * len(maps) if self._coalitions is None else self._coalitions.keep(inputs, latents)
            frames = (
                _Ready(drawn, number, cut, self._window(features, own, _varied(drawn), cut, good))
                for drawn, number, features, own, cut, good in zip(
                    maps, numbers, encoded.split(1), apart, cuts, proper, strict=True
                )
            )
            fused = (
                [row for frame in frames for row in self._fuse([frame])]
                if self.taps
                else self._fuse(list(frames))
            )
        return [row._replace(replaced=not good) for row, good in zip(fused, proper, strict=True)]

    def _window(
        self,
        features: torch.Tensor,
        apart: torch.Tensor | None,
        varied: frozenset[int],
        cut: bool,
        good: bool,
    ) -> list[_Kept]:
        """The frames up to this one as windows need them, oldest first; none if there is no proper one."""
        if cut and self.windows == "first repeated":
            self._context.clear()
        if good:
            self._context.append(_Kept(self.network.prepare(features, taps=self.taps), apart, varied))
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

    def _fuse(self, frames: Sequence[_Ready]) -> list[Fused]:
        """Predictions of frames in one batch; one whose window is empty has a map of zeros."""
        if not all(frame.window for frame in frames):
            return [self._fuse([one])[0] if one.window else self._nothing(one.maps) for one in frames]
        columns = zip(*(frame.window for frame in frames), strict=True)
        output = self.network.fuse_prepared(
            [PreparedFrame.join([kept.prepared for kept in column]) for column in columns]
        )
        scores = gate_scores(output, self.network.modalities)
        named = [None] * len(frames) if scores is None else [self._name(row) for row in scores]
        return [
            self._finish(frame, logits, gates)
            for frame, logits, gates in zip(frames, output.logits[:, 0].float(), named, strict=True)
        ]

    def _finish(self, frame: _Ready, logits: torch.Tensor, gates: dict[str, float] | None) -> Fused:
        """The map of one frame, at the size of the corrected modality's map where there is one."""
        enlarged, corrected = logits, None
        if self._corrects is not None:
            enlarged, corrected = correct(frame.maps[self._corrects], logits)
        whole = enlarged if corrected is None else corrected + enlarged
        saliency = (
            scale_maps(self._sharpness * whole[None], distribution=self.fusion.distribution)[0].cpu().numpy()
        )
        if self._looks is None or not np.isfinite(saliency).all():
            return Fused(saliency, gates)
        varied = frozenset().union(*(kept.varied for kept in frame.window))
        window = [kept.apart for kept in frame.window if kept.apart is not None]
        moment = Moment(frame.number, frame.cut, varied, window, logits, enlarged, corrected, saliency)
        return Fused(saliency, gates, contributions=self._looks.step(moment, rest=self.rests))

    def shrink(self, times: float) -> None:
        """From the next frame on look at maps ``times`` as wide and high as usual; the window begins anew.

        Quicker and less exact; 1 goes back. Nothing happens for networks that see one size only.
        """
        usual = self.fusion.preprocessing
        form = replace(
            usual, width=round(usual.width * times / 8) * 8, height=round(usual.height * times / 8) * 8
        )
        if form == self._form or self.fusion.corrects is None:
            return
        self._form = form
        self._context.clear()
        if self._make_explanation is not None:
            self._coalitions, self._looks = self._make_explanation()

    def _make_looks(self, every: int, cues: Sequence[str], spread: int) -> tuple[Coalitions, Looks]:
        form, names = self._form, self.fusion.modalities
        black = torch.zeros(1, 3 * self.network.modalities, form.height, form.width, dtype=torch.uint8)
        with torch.inference_mode():
            coalitions = Coalitions(self.network, normalise_maps(black.to(self.device), form).to(self._dtype))
        return coalitions, Looks(
            coalitions, names, [cue for cue in cues if cue not in names],
            corrects=self._corrects, distribution=self.fusion.distribution, sharpness=self._sharpness,
            every=every, spread=spread,
        )  # fmt: skip

    def _nothing(self, maps: Sequence[NDArray[np.uint8]]) -> Fused:
        if self.fusion.corrects is not None:
            shape = maps[self.fusion.modalities.index(self.fusion.corrects)].shape[:2]
        else:
            shrink = 2 if self.network.encoded else 1
            form = self._form
            shape = (form.height // shrink, form.width // shrink)
        return Fused(np.zeros(shape, np.float32), None)

    def _name(self, scores: torch.Tensor) -> dict[str, float]:
        return dict(zip(self.fusion.modalities, scores.float().tolist(), strict=True))

    def _taps_pay(self) -> bool:
        return self.device.type == "cpu" and self.network.attends and self.network.lstm_channels >= 64


def _varied(maps: Sequence[NDArray[np.uint8]]) -> frozenset[int]:
    """Places of the maps that are not of one colour."""
    return frozenset(i for i, drawn in enumerate(maps) if (drawn != drawn[:1, :1]).any())


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
