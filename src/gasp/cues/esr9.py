"""What is expressive in faces: ESR-9's Grad-CAM, drawn into the boxes of faces.

The published cue is that of GASP (Abawi et al., IJCAI 2021); the network is that of Siqueira, Magg and Wermter,
"Efficient Facial Feature Learning with Wide Ensemble-based Convolutional Neural Networks", AAAI 2020.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gasp.cues.crops import as_batch, crop_face, whole_pixels
from gasp.cues.cue import Cue, CueResult
from gasp.cues.observation import Observation
from gasp.cues.quirks import choose_quirks
from gasp.cues.saliency import Mode, check_choice, colour_jet
from gasp.faces.face import Box
from gasp.networks.esr9 import ESR9, EXPRESSIONS, ESR9Output

log = logging.getLogger(__name__)

SIZE = 96
BATCH = 16
"""Faces that the network sees at once, which bounds memory."""

Aggregation = Literal["sum", "amean", "gmean", "first"]


@dataclass(frozen=True, slots=True)
class ESR9Quirks:
    """What the published pipeline does (True) and what was meant (False); its weights for GASP know the former.

    ``own_statistics``: the branches normalise with the statistics of the face itself; otherwise with the running
    statistics that they were trained for.
    ``unscaled``: Grad-CAM has no upper bound; otherwise that of every branch is divided by its maximum.
    ``wraps``: 255 times the aggregate is taken modulo 256, so that the brightest cells turn dark; otherwise it is
    limited to 1.
    ``grey_alpha``: a cell is as opaque as the grey level of its colour, yellow more than red, and zero is not quite
    transparent; otherwise as its value.
    ``doubled_overlaps``: where boxes overlap, what lay there counts twice, modulo 256; otherwise it shines through.
    ``squeezed``: of a box that the border cuts, the visible part gets the whole picture; otherwise its own part.
    ``frame_size``: maps have the size of the frame; otherwise of the frame at working size.
    """

    own_statistics: bool
    unscaled: bool
    wraps: bool
    grey_alpha: bool
    doubled_overlaps: bool
    squeezed: bool
    frame_size: bool


class Expression(NamedTuple):
    """What the ensemble says of a face.

    ``classes``: B + 1 numbers of :data:`~gasp.networks.esr9.EXPRESSIONS`: of the B branches, and the one with the most
    votes (of equals the lowest). ``affect`` (B + 1, 2): valence, about -1..1, and arousal, 0..1, of the branches, and
    their means. ``score``: mean probability (softmax) of the voted class over branches. ``gradcam`` (B, 6, 6).
    """

    classes: NDArray[np.int64]
    affect: NDArray[np.float32]
    score: float
    gradcam: NDArray[np.float32]


class ESR9Cue(Cue):
    """Modality ``esr9``: draws what is expressive in faces.

    Says of faces ``expression`` (a name), ``expression_score`` (0..1), ``valence`` (about -1..1) and ``arousal``
    (0..1).

    ``network``: an :class:`~gasp.networks.esr9.ESR9` with weights. ``aggregation`` of the branches' Grad-CAM: "sum"
    (default in mode "published"), "amean" (default in "corrected"), "gmean" (geometric), or "first". ``keep_all``:
    branches that did not vote for the winning class count, too. ``window``: weigh down the rim of the face by a
    radial Hann window. ``quirks``: fields of :class:`ESR9Quirks` that are to differ from the ``mode``. A face for
    which the network gives values that are not numbers is left out and counted in ``failures``.

    All faces of a call go through the network together, once, and without a backward pass.
    """

    name = "esr9"
    needs_saliency = False

    def __init__(
        self,
        network: ESR9,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        aggregation: Aggregation | None = None,
        keep_all: bool = False,
        window: bool = True,
        **quirks: bool,
    ) -> None:
        self.quirks = choose_quirks(ESR9Quirks, mode, quirks)
        self.aggregation: Aggregation = aggregation or ("sum" if mode == "published" else "amean")
        check_choice("aggregation", self.aggregation, get_args(Aggregation))
        self.keep_all, self.window = keep_all, window
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()

    @torch.inference_mode()
    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """The maps of these next frames, RGB uint8 (h, w, 3), and what faces express."""
        seen = []
        for i, observation in enumerate(observations):
            for face in observation.faces:
                box = whole_pixels(face.box)
                crop = None if box is None else crop_face(observation.frame.image, box, SIZE)
                if box is not None and crop is not None:
                    seen.append((i, face, box, crop))
        patches: list[list[tuple[Box, NDArray[np.float32]]]] = [[] for _ in observations]
        found: list[dict[int, dict[str, float | str]]] = [{} for _ in observations]
        for (i, face, box, _), expression in zip(seen, self._read([s[-1] for s in seen]), strict=True):
            if expression is not None:
                found[i][face.track_id] = describe(expression)
                patches[i].append((box, self._aggregate(expression)))
        return [
            CueResult(draw_patches(o, p, self.quirks), f)
            for o, p, f in zip(observations, patches, found, strict=True)
        ]

    def _read(self, crops: list[NDArray[np.uint8]]) -> list[Expression | None]:
        """The expressions of faces, (96, 96, 3) RGB; None where a value is not a number."""
        expressions: list[Expression | None] = []
        for start in range(0, len(crops), BATCH):
            batch = as_batch(crops[start : start + BATCH], self.device, next(self.network.parameters()).dtype)
            output = self.network(batch, batch_statistics=self.quirks.own_statistics)
            expressions += read_expressions(ESR9Output(*(part.float().cpu() for part in output)))
        lost = expressions.count(None)
        if lost and not self.failures:
            log.warning("esr9 gave values that are not numbers: that face is left out")
        self.failures += lost
        return expressions

    def _aggregate(self, expression: Expression) -> NDArray[np.float32]:
        return aggregate(
            expression.gradcam,
            expression.classes,
            self.aggregation,
            keep_all=self.keep_all,
            window=self.window,
            scaled=not self.quirks.unscaled,
        )


def read_expressions(output: ESR9Output) -> list[Expression | None]:
    """What the network's output says of every face; None where a value is not a number."""
    expressions: list[Expression | None] = []
    for emotions, affect, gradcam in zip(*output, strict=True):
        if not all(part.isfinite().all() for part in (emotions, affect, gradcam)):
            expressions.append(None)
            continue
        classes = emotions.argmax(1)
        vote = int(torch.bincount(classes, minlength=len(EXPRESSIONS)).argmax())
        affect = torch.stack([affect[:, 0], ((affect[:, 1] + 1) / 2).clamp(0, 1)], 1)
        expressions.append(
            Expression(
                classes=np.append(classes.numpy(), vote),
                affect=torch.cat([affect, affect.mean(0, keepdim=True)]).numpy(),
                score=float(emotions.softmax(1)[:, vote].mean()),
                gradcam=gradcam.numpy(),
            )
        )
    return expressions


def describe(expression: Expression) -> dict[str, float | str]:
    """The ensemble's verdict in words and numbers."""
    valence, arousal = expression.affect[-1]
    return {
        "expression": EXPRESSIONS[expression.classes[-1]],
        "expression_score": expression.score,
        "valence": float(valence),
        "arousal": float(arousal),
    }


def aggregate(
    gradcam: NDArray[np.float32],
    classes: NDArray[np.int64],
    aggregation: Aggregation,
    *,
    keep_all: bool = False,
    window: bool = True,
    scaled: bool = False,
) -> NDArray[np.float32]:
    """One picture (6, 6) from the Grad-CAM of B branches (B, 6, 6) and their B + 1 ``classes``, the vote last.

    ``keep_all``: also of branches that did not vote so. ``window``: times the radial Hann window. ``scaled``: divide
    that of each branch by its maximum first.
    """
    kept = gradcam if keep_all else gradcam[classes[:-1] == classes[-1]]
    if scaled:
        kept = kept / np.maximum(kept.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
    if aggregation == "sum":
        one = kept.sum(0)
    elif aggregation == "amean":
        one = kept.mean(0)
    elif aggregation == "gmean":
        one = np.exp(np.log(np.maximum(kept, np.finfo(np.float32).tiny)).mean(0)) * (kept > 0).all(0)
    else:
        one = kept[0]
    return np.asarray(one * hann_window(one.shape[0]) if window else one, np.float32)


def hann_window(size: int) -> NDArray[np.float64]:
    """The Hann window around the middle of ``size`` x ``size`` cells, linearly interpolated between its samples."""
    samples = np.hanning(size)
    centre = (size - 1) / 2
    along = np.arange(size) - centre
    radius = np.hypot(along[:, None], along)
    return np.asarray(np.interp(radius + centre, np.arange(size), samples, right=0.0))


def draw_patches(
    observation: Observation,
    patches: Sequence[tuple[Box, NDArray[np.float32]]],
    quirks: ESR9Quirks,
) -> NDArray[np.uint8]:
    """The map of a frame, RGB uint8 (h, w, 3), black without faces.

    ``patches``: the faces' boxes in whole pixels of the frame, which touch it, and their pictures (6, 6).
    """
    picture = observation.frame.image if quirks.frame_size else observation.small
    height, width = picture.shape[:2]
    across, down = width / observation.frame.width, height / observation.frame.height
    canvas = np.zeros((height, width, 3), np.uint8)
    for box, values in patches:
        box = _cells(Box(box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down))
        inside = Box(max(0, box.x1), max(0, box.y1), min(width, box.x2), min(height, box.y2))
        if inside.area <= 0:
            continue
        colours, alpha = _paint(values, quirks)
        patch = _fit(np.dstack([colours, alpha]), box, inside, squeezed=quirks.squeezed)
        left, top, right, bottom = (int(side) for side in inside)
        under = canvas[top:bottom, left:right]
        opaque = patch[..., 3:] / 255
        mixed = (opaque * patch[..., :3] + (1 - opaque) * under).astype(np.uint8)
        canvas[top:bottom, left:right] = under + mixed if quirks.doubled_overlaps else mixed
    return canvas


def _cells(box: Box) -> Box:
    """A box in whole cells, at least one."""
    left, top = int(np.floor(box.x1)), int(np.floor(box.y1))
    return Box(left, top, max(left + 1, round(box.x2)), max(top + 1, round(box.y2)))


def _paint(values: NDArray[np.float32], quirks: ESR9Quirks) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Colours and opaqueness of the cells."""
    if not quirks.wraps:
        values = np.clip(values, 0, 1)
    grey = (255 * values).astype(np.int64).astype(np.uint8)
    colours = colour_jet(grey)
    if quirks.grey_alpha:
        return colours, np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.uint8)
    return colours, grey


def _fit(picture: NDArray[np.uint8], box: Box, inside: Box, *, squeezed: bool) -> NDArray[np.uint8]:
    """The picture of a box, enlarged (bilinear), where the box is ``inside`` the map."""
    if squeezed or box == inside:
        size = (int(inside.width), int(inside.height))
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))
    # Only the visible part is computed: a box may be far larger than the map.
    x = (inside.x1 - box.x1 + np.arange(int(inside.width)) + 0.5) * picture.shape[1] / box.width - 0.5
    y = (inside.y1 - box.y1 + np.arange(int(inside.height)) + 0.5) * picture.shape[0] / box.height - 0.5
    columns, rows = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
