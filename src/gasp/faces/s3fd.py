"""Faces from S3FD, the detector of 2021 (:class:`~gasp.networks.s3fd.S3FD`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from gasp.faces.detector import clip_detections
from gasp.faces.face import Box, Detection
from gasp.networks.s3fd import MEAN_BGR, S3FD, SMALLEST, STRIDES, S3FDOutput, decode_boxes
from gasp.weights.open import open_weights

CANDIDATE_SCORE = 0.05
"""Least score of boxes that take part in the suppression."""

OVERLAP = 0.3
"""Of two boxes that overlap more than this (IoU) the better one stays."""


class S3FDFaceDetector:
    """S3FD with its published weights (`gasp download s3fd`), or those of ``file``, or a filled ``network``.

    ``threshold`` is the least score (0..1) of a face. Pictures whose longer side exceeds ``longest_side`` pixels
    are shrunk to it. ``published`` does as the pipeline of 2021: the mean is not subtracted, nothing is shrunk,
    and corners are truncated to whole pixels; only the clipping to the picture is not as it was then.

    Raises :class:`~gasp.errors.WeightsError` when the weights are not there or do not fit.
    """

    def __init__(
        self,
        file: str | Path | None = None,
        *,
        threshold: float = 0.5,
        longest_side: int = 1280,
        published: bool = False,
        device: str = "cpu",
        network: S3FD | None = None,
    ) -> None:
        self.threshold = threshold
        self.longest_side = longest_side
        self.published = published
        self.device = torch.device(device)
        network = network or _load(file)
        self.network = network.eval().to(self.device)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Faces of each RGB uint8 (H, W, 3) picture, best first, boxes in its pixels and within it."""
        return [self._detect(image) for image in images]

    def _detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        height, width = image.shape[:2]
        small = image if self.published else _shrink(image, self.longest_side)
        with torch.inference_mode():
            output = self.network(self._prepare(small))
        vertical, horizontal = height / small.shape[0], width / small.shape[1]
        corners, scores = decode_candidates(output)
        corners *= (horizontal, vertical, horizontal, vertical)
        kept = [k for k in suppress(corners, scores) if scores[k] > self.threshold]
        if self.published:
            corners = np.trunc(corners)
        found = [Detection(Box(*(float(v) for v in corners[k])), float(scores[k])) for k in kept]
        return clip_detections(found, height, width)

    def _prepare(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """A batch of one; pictures smaller than the network can take are padded at the right and bottom."""
        pixels = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1])).to(self.device).float()
        if not self.published:
            pixels -= torch.tensor(MEAN_BGR, device=self.device)
        height, width = image.shape[:2]
        missing = (0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height))
        return F.pad(pixels.permute(2, 0, 1)[None], missing)


def decode_candidates(output: S3FDOutput) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes of the first picture with a score above :data:`CANDIDATE_SCORE`, in pixels of the network's input.

    Corners x1, y1, x2, y2 (K, 4) and scores (K,) in 0..1, unsorted.
    """
    corners, scores = [], []
    for logits, boxes, stride in zip(output.scores, output.boxes, STRIDES, strict=True):
        score = logits[0].float().softmax(0)[1]
        likely = score > CANDIDATE_SCORE
        corners.append(decode_boxes(boxes[:1].float(), stride)[0, :, likely].T)
        scores.append(score[likely])
    return torch.cat(corners).double().cpu().numpy(), torch.cat(scores).double().cpu().numpy()


def suppress(corners: NDArray[np.float64], scores: NDArray[np.float64]) -> list[int]:
    """Indices of the boxes that stay after non-maximum suppression, best first.

    ``corners`` (K, 4) are inclusive pixels, as the published detector takes them: one is added to each side.
    """
    sides = corners[:, 2:] - corners[:, :2] + 1
    areas = sides.prod(1)
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        shared = np.minimum(corners[best, 2:], corners[rest, 2:]) + 1
        shared = np.clip(shared - np.maximum(corners[best, :2], corners[rest, :2]), 0, None).prod(1)
        order = rest[shared <= OVERLAP * (areas[best] + areas[rest] - shared)]
    return kept


def _load(file: str | Path | None) -> S3FD:
    network = open_weights(file or "s3fd", network="s3fd").load()
    assert isinstance(network, S3FD)
    return network


def _shrink(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
