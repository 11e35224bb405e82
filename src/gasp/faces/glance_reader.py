"""Faces from the :class:`~gasp.networks.glance.Glance` network, whose saliency a cue uses as well.

:class:`GlanceReader` runs the network once per picture; the face detector and the saliency cue read what it found.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gasp.faces.detector import clip_detections
from gasp.faces.face import Box, Detection
from gasp.faces.geometry import inside_matrix, iou_matrix
from gasp.networks.glance import STRIDE, Glance

WORKING_PIXELS = 240 * 320
"""Pictures are shrunk to about this many pixels, the size at which the network was trained."""

HEAD_TO_FACE = (0.82, 0.7, 0.15)
"""The training boxes hold the whole head with its hair. A face, from the hairline to the chin, is taken to have this
share of its width and height, and its centre to lie this share of the head's height below the head's centre."""

COARSE = 3
"""A second look at a picture shrunk by this factor finds close-ups, whose parts the first may take for faces."""

CLOSE_UP = 0.3
"""Square root of the share of the picture from which a face of the second look counts."""

LARGER = 1.3
"""A picture by itself is also looked at so many times as wide and high."""

DIM = 60
"""Mean grey level (0..255) up to which a picture counts as dark, and is brightened before the network sees it."""

MOST_GAIN = 16.0
"""Of brightening."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What the network sees in one picture.

    ``saliency``: log-probabilities of a fixation per cell, float32 (h, w) on a grid of stride 4 over ``small``,
    the shrunk picture (RGB uint8). ``faces``: detections in pixels of the source picture, also weak ones.
    """

    small: NDArray[np.uint8]
    saliency: NDArray[np.float32]
    faces: list[Detection]


def working_size(height: int, width: int, times: float = 1.0) -> tuple[int, int]:
    """Height and width at which a picture is looked at: its proportions (at most 3 to 1), multiples of 16.

    ``times``: how many times as wide and high as usual.
    """
    aspect = min(3.0, max(1 / 3, width / height))
    side = times * (WORKING_PIXELS / aspect) ** 0.5
    return max(32, round(side / 16) * 16), max(32, round(side * aspect / 16) * 16)


class GlanceReader:
    """Runs the network on pictures. The network comes from the package unless another one is given."""

    def __init__(self, network: Glance | None = None, device: str | torch.device = "cpu") -> None:
        if network is None:
            from gasp.weights import open_weights

            loaded = open_weights("glance").load()
            assert isinstance(loaded, Glance)
            network = loaded
        self.device = torch.device(device)
        self.network = folded(network).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def read(self, images: Sequence[NDArray[np.uint8]], *, least_score: float = 0.1) -> list[Glimpse]:
        """One glimpse per picture, RGB uint8 (H, W, 3) of any sizes; pictures of one size share a batch."""
        smalls = [shrink(image) for image in images]
        glimpses: list[Glimpse | None] = [None] * len(images)
        for shape in dict.fromkeys(small.shape[:2] for small in smalls):
            members = [i for i, small in enumerate(smalls) if small.shape[:2] == shape]
            batch = np.stack([smalls[i] for i in members])
            gains = np.array([exposure_gain(small) for small in batch], np.float32)
            logits, fine = self._look(batch, gains, least_score)
            _, coarse = self._look(np.stack([_shrink_more(small) for small in batch]), gains, least_score)
            for row, i in enumerate(members):
                height, width = images[i].shape[:2]
                faces = with_close_ups(fine[row], coarse[row])
                faces = clip_detections([_scaled(d, height, width) for d in faces], height, width)
                glimpses[i] = Glimpse(smalls[i], logits[row], faces)
        return [glimpse for glimpse in glimpses if glimpse is not None]

    def read_coarsely(
        self, image: NDArray[np.uint8], times: float = 0.6, *, least_score: float = 0.1
    ) -> Glimpse:
        """A glimpse of one picture from one look at a smaller copy, ``times`` as wide and high: quicker, less exact."""
        small, tiny = shrink(image), shrink(image, times)
        logits, found = self._look(tiny[None], np.array([exposure_gain(tiny)], np.float32), least_score)
        rows, columns = (side // STRIDE for side in small.shape[:2])
        resized = cv2.resize(logits[0], (columns, rows), interpolation=cv2.INTER_LINEAR)
        saliency = _log_probabilities(torch.from_numpy(np.asarray(resized, np.float32))[None])[0].numpy()
        height, width = image.shape[:2]
        faces = clip_detections([_scaled(d, height, width) for d in found[0]], height, width)
        return Glimpse(small, np.asarray(saliency, np.float32), faces)

    def _look(
        self, batch: NDArray[np.uint8], gains: NDArray[np.float32], least_score: float
    ) -> tuple[NDArray[np.float32], list[list[Detection]]]:
        """Log-probabilities (N, h, w) and detections, as fractions of width and height, of pictures (N, H, W, 3)."""
        with torch.inference_mode():
            output = self.network(self._prepare(batch, gains))
            logits = _log_probabilities(output.saliency)
            found = decode_faces(output.face_centres.float(), output.face_boxes.float(), least_score)
        height, width = batch.shape[1:3]
        return logits.cpu().numpy(), [[_scaled(d, 1 / height, 1 / width) for d in faces] for faces in found]

    def log_saliency(self, small: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Log-probabilities (h, w) of one picture (H, W, 3) of just this size."""
        gain = np.array([exposure_gain(small)], np.float32)
        with torch.inference_mode():
            output = self.network(self._prepare(small[None], gain))
            return _log_probabilities(output.saliency)[0].cpu().numpy()

    def _prepare(self, batch: NDArray[np.uint8], gains: NDArray[np.float32]) -> Tensor:
        """Pictures (N, H, W, 3) as the network takes them, brightened by their gains."""
        images = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2).float() / 255
        if (gains > 1).any():
            images = (images * torch.from_numpy(gains).to(self.device)[:, None, None, None]).clamp(max=1)
        return images


class StillReader(GlanceReader):
    """As :class:`GlanceReader`, but takes its time: for pictures by themselves.

    Log-probabilities are the mean of those of the network and of ``further`` ones, each of which also looks at the
    mirrored picture and at a larger one. Faces are those of the first network.
    """

    def __init__(
        self, network: Glance, further: Sequence[Glance], device: str | torch.device = "cpu"
    ) -> None:
        super().__init__(network, device)
        self._readers = [self, *(GlanceReader(one, device) for one in further)]

    def read(self, images: Sequence[NDArray[np.uint8]], *, least_score: float = 0.1) -> list[Glimpse]:
        """One glimpse per picture, RGB uint8 (H, W, 3) of any sizes."""
        glimpses = super().read(images, least_score=least_score)
        return [
            replace(glimpse, saliency=self._average(image, glimpse))
            for image, glimpse in zip(images, glimpses, strict=True)
        ]

    def _average(self, image: NDArray[np.uint8], glimpse: Glimpse) -> NDArray[np.float32]:
        large = shrink(image, LARGER)
        size = glimpse.saliency.shape[::-1]
        seen: list[NDArray[np.float32]] = []
        for reader in self._readers:
            seen.append(glimpse.saliency if reader is self else reader.log_saliency(glimpse.small))
            seen.append(reader.log_saliency(np.ascontiguousarray(glimpse.small[:, ::-1]))[:, ::-1])
            resized = cv2.resize(reader.log_saliency(large), size, interpolation=cv2.INTER_AREA)
            seen.append(np.asarray(resized, np.float32))
        mean = torch.from_numpy(np.mean(seen, 0, dtype=np.float32))
        return np.asarray(_log_probabilities(mean[None])[0].numpy(), np.float32)


def _log_probabilities(logits: Tensor) -> Tensor:
    """Of logits (N, 1, h, w) or (N, h, w), per picture: (N, h, w)."""
    return logits.float().flatten(1).log_softmax(1).view(len(logits), *logits.shape[-2:])


class GlanceFaceDetector:
    """The default face detector. ``threshold`` is the least score (0..1) of a face."""

    def __init__(
        self, threshold: float = 0.3, device: str = "cpu", reader: GlanceReader | None = None
    ) -> None:
        self.threshold = threshold
        self.reader = reader or GlanceReader(device=device)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Faces of each RGB uint8 (H, W, 3) picture, best first, boxes in its pixels and within it."""
        return [
            [face for face in glimpse.faces if face.score >= self.threshold]
            for glimpse in self.reader.read(images)
        ]


def folded(network: Glance) -> Glance:
    """A copy of the network for prediction, batch norms folded into the convolutions before them."""
    copied = copy.deepcopy(network).eval()
    for parent in copied.modules():
        if isinstance(parent, nn.Sequential) and len(parent) > 1 and isinstance(parent[1], nn.BatchNorm2d):
            assert isinstance(parent[0], nn.Conv2d)
            parent[0] = fuse_conv_bn_eval(parent[0], parent[1])
            parent[1] = nn.Identity()
    return copied


def with_close_ups(fine: list[Detection], coarse: list[Detection]) -> list[Detection]:
    """Detections of the first look, with large ones of the second in place of what are only their parts.

    Boxes are fractions of the picture's width and height. A large face of the second look is taken unless the first has
    found the same one, or is surer of faces that lie in it.
    """
    faces = list(fine)
    for large in coarse:
        if large.score < 0.5 or large.box.area < CLOSE_UP**2:
            continue
        boxes = [face.box for face in faces]
        same = iou_matrix([large.box], boxes)[0] > 0.5
        within = inside_matrix(boxes, [large.box])[:, 0] > 0.6
        parts = within if same.any() else within | _around(large.box, boxes)
        surer = any(part and face.score > large.score + 0.2 for face, part in zip(faces, parts, strict=True))
        # The same face, found once: the first look knows its place better.
        if not surer and not (same.any() and (within & ~same).sum() == 0):
            faces = [face for face, part in zip(faces, parts, strict=True) if not part] + [large]
    return sorted(faces, key=lambda face: -face.score)


def _around(large: Box, boxes: list[Box]) -> NDArray[np.bool_]:
    """Which boxes have their middle in or near a large one, and less than half its area."""
    x, y = large.width / 4, large.height / 4
    grown = Box(large.x1 - x, large.y1 - y, large.x2 + x, large.y2 + y)
    near = [grown.x1 < b.centre[0] < grown.x2 and grown.y1 < b.centre[1] < grown.y2 for b in boxes]
    return np.array(near, bool) & np.array([b.area < 0.5 * large.area for b in boxes], bool)


def _shrink_more(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = (max(32, round(side / COARSE)) for side in small.shape[:2])
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def exposure_gain(image: NDArray[np.uint8]) -> float:
    """By what a picture is multiplied before the network sees it: 1, but for dark ones, which come to the same mean.

    The network learnt from photographs, of which few are dark, and it misses people at an eighth of their brightness.
    """
    return float(np.clip(DIM / max(float(image.mean()), 1e-6), 1.0, MOST_GAIN))


def shrink(image: NDArray[np.uint8], times: float = 1.0) -> NDArray[np.uint8]:
    """The picture at its working size, or so many times as wide and high."""
    height, width = working_size(image.shape[0], image.shape[1], times)
    if image.shape[:2] == (height, width):
        return image
    while image.shape[0] >= 3 * height and image.shape[1] >= 3 * width:
        # Halving is much quicker than any other shrinking and leaves little for it to do.
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    shrinking = image.shape[0] >= height and image.shape[1] >= width
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def decode_faces(
    centres: Tensor, boxes: Tensor, least_score: float, most: int = 100
) -> list[list[Detection]]:
    """Detections in pixels of the network's input, per picture, best first.

    ``centres`` (N, 1, h, w) logits and ``boxes`` (N, 4, h, w) as in :class:`~gasp.networks.glance.GlanceOutput`.
    A face is a local maximum of the centre map; overlapping ones (IoU above 0.4) are thinned out.
    """
    scores = centres.sigmoid()
    peaks = (scores == F.max_pool2d(scores, 3, 1, 1)) & (scores >= least_score)
    found = []
    for score, peak, box in zip(scores[:, 0], peaks[:, 0], boxes, strict=True):
        rows, columns = peak.nonzero(as_tuple=True)
        values = score[rows, columns]
        order = values.argsort(descending=True)[:most]
        rows, columns, values = rows[order], columns[order], values[order]
        dx, dy, log_width, log_height = box[:, rows, columns]
        x = (columns + 0.5 + dx) * STRIDE
        y = (rows + 0.5 + dy) * STRIDE
        width = log_width.clamp(-2, 6).exp() * STRIDE
        height = log_height.clamp(-2, 6).exp() * STRIDE
        corners = torch.stack([x - width / 2, y - height / 2, width, height], 1).cpu().numpy()
        kept = cv2.dnn.NMSBoxes(corners.tolist(), values.tolist(), least_score, 0.4)
        found.append([_face_of_head(corners[k], float(values[k])) for k in np.asarray(kept, int).ravel()])
    return found


def _face_of_head(head: NDArray[np.floating], score: float) -> Detection:
    x, y, width, height = (float(value) for value in head)
    share_x, share_y, lower = HEAD_TO_FACE
    centre_x, centre_y = x + width / 2, y + height * (0.5 + lower)
    half_width, half_height = width * share_x / 2, height * share_y / 2
    box = Box(centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)
    return Detection(box, score)


def _scaled(detection: Detection, vertical: float, horizontal: float) -> Detection:
    x1, y1, x2, y2 = detection.box
    return Detection(Box(x1 * horizontal, y1 * vertical, x2 * horizontal, y2 * vertical), detection.score)
