"""Where faces look in space: Gaze360 on windows of seven crops, drawn as conic fields.

The published cue is that of GASP (Abawi et al., IJCAI 2021); the network is that of Kellnhofer, Recasens et al.,
"Gaze360: Physically Unconstrained Gaze Estimation in the Wild", ICCV 2019.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp.cues.conic import cone_points, nearest_depth, smooth, to_grey
from gasp.cues.crops import as_batch, crop_face, crop_head, head_box, whole_pixels
from gasp.cues.cue import Cue, CueResult
from gasp.cues.face_windows import buffered_window
from gasp.cues.observation import Observation
from gasp.cues.quirks import choose_quirks
from gasp.cues.saliency import Mode, colour_jet
from gasp.cues.windows import Plan, Windows, window_around
from gasp.errors import UsageError
from gasp.faces.face import Box, Face
from gasp.networks.gaze360 import MIDDLE, WINDOW, Gaze360, gaze_direction

log = logging.getLogger(__name__)

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
SIZE = 224
BATCH = 32
"""Crops that the network sees at once, which bounds memory."""

Crop = tuple[int, Box]
"""A place to cut out: the number of the frame and a box of whole pixels in it."""


@dataclass(frozen=True, slots=True)
class Gaze360Quirks:
    """What the published pipeline does (True) and what was meant (False); its weights for GASP know the former.

    ``late_windows``: the first four frames see a window that is filled up behind them, and the last twelve frames of
    the video have no map; otherwise every frame has a centred window, the video's ends being repeated.
    ``list_position``: the face in place k of the list is the same person in all frames, and where there is none the
    last box is carried over to the source frame; otherwise windows follow track identities, and the nearest crop of
    the person stands for a missing one.
    ``face_box``: crops are the boxes of the face detector; otherwise squares of 1.4 times their longer side, because
    the network was trained on heads.
    ``height_as_mean``: the picture's height (224) is subtracted in place of the channels' means, after which little
    of the face is left.
    ``corner_apex``: cones begin at the top left corner of the box; otherwise at its centre.
    ``short_cone``: cones are 10 pixels long and 60 wide at any size of picture, a disc; otherwise half the map's
    longer side, with a third of it as radius.
    ``mirrored``: the direction's x and y, which point to the left and up, are drawn to the right and down.
    ``tree_order``: of points on one pixel an arbitrary one shows; otherwise the nearest to the camera.
    ``integer_smoothing``: smoothing drops decimals, which leaves steps.
    ``endless_background``: the cone's colours go on over the whole picture; otherwise they fade out around it.
    ``halved_blending``: every face is laid over the earlier ones at half strength; otherwise all count the same, and
    a single one is at full strength.
    ``frame_size``: maps have the size of the frame; otherwise of the frame at working size.
    """

    late_windows: bool
    list_position: bool
    face_box: bool
    height_as_mean: bool
    corner_apex: bool
    short_cone: bool
    mirrored: bool
    tree_order: bool
    integer_smoothing: bool
    endless_background: bool
    halved_blending: bool
    frame_size: bool


class Gaze360Cue(Cue):
    """Modality ``gaze360``: draws where every face looks.

    Says of faces ``gaze_yaw`` and ``gaze_pitch`` in degrees: yaw grows to the left as seen from the camera (0: at
    the camera, 180: away from it), pitch upwards.

    ``network``: a :class:`~gasp.networks.gaze360.Gaze360` with weights. ``step``: frames between those of a window;
    with an eighth of the frame rate it covers about one second, as the network's authors show it. ``quirks``:
    fields of :class:`Gaze360Quirks` that are to differ from the ``mode``. A face for which the network gives values
    that are not numbers is left out and counted in ``failures``.

    A crop goes through the residual network once, all new crops of a call together; windows share the results.
    """

    name = "gaze360"
    needs_saliency = False

    def __init__(
        self,
        network: Gaze360,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        step: int = 1,
        **quirks: bool,
    ) -> None:
        self.quirks = choose_quirks(Gaze360Quirks, mode, quirks)
        if step < 1 or (step > 1 and self.quirks.late_windows):
            raise UsageError(f"step must be at least 1, and 1 with late_windows, not {step!r}")
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self._plan = _late_plan() if self.quirks.late_windows else window_around(WINDOW, MIDDLE, step=step)
        # The first four frames have windows of their own, also where the work begins in the middle of a video.
        self.past = MIDDLE + 1 if self.quirks.late_windows else self._plan.past
        self.future = self._plan.future
        self._windows: Windows[Observation] = Windows(self._plan)
        self._count = 0
        self._embeddings: dict[Crop, Tensor] = {}

    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """The maps that are complete with these next frames, RGB uint8 (h, w, 3), and where faces look."""
        for observation in observations:
            self._windows.add(observation)
        self._count += len(observations)
        return self._draw_complete(ended=False)

    def finish(self) -> list[CueResult]:
        """The maps of the frames that still wait."""
        return self._draw_complete(ended=True)

    def _draw_complete(self, *, ended: bool) -> list[CueResult]:
        frames = self._windows.items
        complete = list(self._windows.complete(ended=ended))
        seen = [
            (number, face, crops)
            for number, window in complete
            if not (self.quirks.late_windows and self._plan.needs(number) >= self._count)
            for face, crops in self._crops(window, frames)
        ]
        gazes: dict[int, list[tuple[Face, NDArray[np.float32]]]] = {number: [] for number, _ in complete}
        found: dict[int, dict[int, dict[str, float | str]]] = {number: {} for number, _ in complete}
        for (number, face, _), angles in zip(seen, self._look([crops for *_, crops in seen]), strict=True):
            if angles.isfinite().all():
                yaw, pitch = torch.rad2deg(angles).tolist()
                found[number][face.track_id] = {"gaze_yaw": yaw, "gaze_pitch": pitch}
                gazes[number].append((face, gaze_direction(angles).numpy()))
            else:
                if not self.failures:
                    log.warning("gaze360 gave values that are not numbers: that face is left out")
                self.failures += 1
        results = [
            CueResult(draw_gazes(frames[number], gazes[number], self.quirks), found[number])
            for number, _ in complete
        ]
        self._windows.forget()
        self._embeddings = {crop: e for crop, e in self._embeddings.items() if crop[0] in frames}
        return results

    def _crops(self, window: list[int], frames: dict[int, Observation]) -> Iterable[tuple[Face, list[Crop]]]:
        """The faces of the window's middle frame with their seven crops; without those that cannot be cut out."""
        box_of = whole_pixels if self.quirks.face_box else head_box

        def crop(j: int, box: Box) -> Crop | None:
            whole = box_of(box)
            return (j, whole) if whole is not None and _touches(frames[j], whole) else None

        for place, face in enumerate(frames[window[MIDDLE]].faces):
            if self.quirks.list_position:
                places = carry_over([[f.box for f in frames[j].faces] for j in window], place)
                crops = [crop(window[i], box) for i, box in places]
            else:
                crops = nearest_of_track([_crop_of(face.track_id, frames[j], j, crop) for j in window])
            present = [one for one in crops if one is not None]
            if len(present) == WINDOW:
                yield face, present

    def _look(self, windows: list[list[Crop]]) -> Tensor:
        """Yaw and pitch in radians, (N, 2) float32, for N windows of crops."""
        if not windows:
            return torch.empty(0, 2)
        new = [c for c in dict.fromkeys(crop for w in windows for crop in w) if c not in self._embeddings]
        with torch.inference_mode():
            for start in range(0, len(new), BATCH):
                some = new[start : start + BATCH]
                self._embeddings.update(zip(some, self.network.embed(self._inputs(some)), strict=True))
            sequences = torch.stack([torch.stack([self._embeddings[crop] for crop in w]) for w in windows])
            return self.network.head(sequences).angles.float().cpu()

    def _inputs(self, crops: list[Crop]) -> Tensor:
        cut = crop_face if self.quirks.face_box else crop_head
        pictures = [cut(self._windows.items[number].frame.image, box, SIZE) for number, box in crops]
        batch = as_batch([p for p in pictures if p is not None], self.device, torch.float32)
        batch = normalise(batch, height_as_mean=self.quirks.height_as_mean)
        return batch.to(next(self.network.parameters()).dtype)


def normalise(crops: Tensor, *, height_as_mean: bool) -> Tensor:
    """Crops (N, 3, 224, 224), RGB in 0..1, as the network takes them."""
    mean = torch.full((3,), float(SIZE)) if height_as_mean else torch.tensor(MEAN)
    mean, deviation = (v.to(crops.device).view(3, 1, 1) for v in (mean, torch.tensor(DEVIATION)))
    return (crops - mean) / deviation


def carry_over(boxes: Sequence[Sequence[Box]], place: int) -> list[tuple[int, Box]]:
    """Where the published window of the face in ``place`` of the middle frame's list is cut out.

    ``boxes``: lists of the window's seven frames. Gives (position in the window, box): a frame whose list has such a
    place is cut there; for others the middle frame is cut, at the box that was met last.
    """
    current = boxes[MIDDLE][place]
    chosen = []
    for position, in_frame in enumerate(boxes):
        if place < len(in_frame):
            current = in_frame[place]
            chosen.append((position, current))
        else:
            chosen.append((MIDDLE, current))
    return chosen


def nearest_of_track(crops: Sequence[Crop | None]) -> list[Crop | None]:
    """A tracked person's crops in a window, those that are missing filled with the nearest one, on the middle's side
    where two are equally near; all are None where that of the middle frame is.
    """
    if crops[MIDDLE] is None:
        return [None] * len(crops)
    present = [position for position, crop in enumerate(crops) if crop is not None]
    return [
        crops[min(present, key=lambda at: (abs(at - position), abs(at - MIDDLE)))]
        for position in range(len(crops))
    ]


def _crop_of(
    track_id: int, observation: Observation, number: int, crop: Callable[[int, Box], Crop | None]
) -> Crop | None:
    """Where a person is in a frame."""
    return next((crop(number, face.box) for face in observation.faces if face.track_id == track_id), None)


def draw_gazes(
    observation: Observation,
    gazes: Sequence[tuple[Face, NDArray[np.float32]]],
    quirks: Gaze360Quirks,
    *,
    overlay: bool = False,
) -> NDArray[np.uint8]:
    """The map of a frame, RGB uint8 (h, w, 3), from its faces and their gaze directions, black without any.

    Directions are unit vectors as :func:`~gasp.networks.gaze360.gaze_direction` gives them. ``overlay``: faces are
    laid over the frame, each with a strength of 0.4, as published where overlays are on.
    """
    picture = observation.frame.image if quirks.frame_size else observation.small
    height, width = picture.shape[:2]
    across, down = width / observation.frame.width, height / observation.frame.height
    layers = [
        _conic_layer(
            (height, width),
            Box(face.box.x1 * across, face.box.y1 * down, face.box.x2 * across, face.box.y2 * down),
            direction,
            quirks,
        )
        for face, direction in gazes
    ]
    if overlay:
        return _blend_in_turn(layers, picture, 0.4)
    if quirks.halved_blending:
        return _blend_in_turn(layers, np.zeros_like(picture), 0.5)
    return _blend_equally(layers, (height, width))


Layer = tuple[NDArray[np.uint8], NDArray[np.float32] | None]
"""Colours (h, w, 3), and how much of them shows in each pixel, 0..1; None: all."""


def _conic_layer(
    size: tuple[int, int], box: Box, direction: NDArray[np.float32], quirks: Gaze360Quirks
) -> Layer:
    corner = whole_pixels(box) or box
    apex = (corner.x1, corner.y1) if quirks.corner_apex else box.centre
    if not quirks.mirrored:
        direction = direction * np.array([-1, -1, 1], np.float32)
    shape = {} if quirks.short_cone else {"length": max(size) / 2, "radius": max(size) / 6}
    points = cone_points(apex, direction, **shape)
    depth = nearest_depth(points, *size, tree_order=quirks.tree_order)
    grey = to_grey(smooth(depth, truncate=quirks.integer_smoothing))
    return colour_jet(grey), None if quirks.endless_background else _silhouette(points, size)


def _silhouette(points: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.float32]:
    """1 on the cone, falling to 0 around it: (h, w)."""
    x, y = points[0], points[1]
    inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    covered = np.zeros(size, np.float32)
    covered[y[inside], x[inside]] = 1
    near = cv2.dilate(covered, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    return np.asarray(cv2.GaussianBlur(near, (0, 0), 3.0, borderType=cv2.BORDER_REFLECT), np.float32)


def _blend_in_turn(layers: Sequence[Layer], canvas: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """Each layer over the earlier ones."""
    for colours, shows in layers:
        if shows is not None:
            colours = np.rint(colours * shows[..., None]).astype(np.uint8)
        canvas = np.asarray(cv2.addWeighted(colours, strength, canvas, 1 - strength, 0), np.uint8)
    return canvas


def _blend_equally(layers: Sequence[Layer], size: tuple[int, int]) -> NDArray[np.uint8]:
    total = np.zeros((*size, 3), np.float32)
    weight = np.zeros((*size, 1), np.float32)
    for colours, shows in layers:
        share = np.ones((*size, 1), np.float32) if shows is None else shows[..., None]
        total += share * colours
        weight += share
    return np.rint(total / np.maximum(weight, 1)).astype(np.uint8)


def _touches(observation: Observation, box: Box) -> bool:
    """Whether a box has a pixel in the frame."""
    inside_x = min(box.x2, observation.frame.width) > max(box.x1, 0)
    return bool(inside_x and min(box.y2, observation.frame.height) > max(box.y1, 0))


def _late_plan() -> Plan:
    def step(k: int) -> int:
        return k if k <= MIDDLE else k + 12

    return Plan(lambda k: buffered_window(step(k), WINDOW), step, past=MIDDLE, future=12)
