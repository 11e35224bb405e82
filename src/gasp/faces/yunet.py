"""Faces from YuNet, a small and quick detector that OpenCV runs.

W. Wu, H. Peng, S. Yu: YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence Research 20, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.errors import WeightsError
from gasp.faces.detector import clip_detections
from gasp.faces.face import Box, Detection
from gasp.weights.open import open_weights

SIDE = 640
"""Pixels of the network's square input. The published file declares it, and not every engine of OpenCV accepts
another size; so pictures are scaled to fit and padded at the right and bottom."""


class YuNetFaceDetector:
    """YuNet with the weights of the OpenCV Zoo (`gasp download yunet`), or those of ``file`` (ONNX).

    ``threshold`` is the least score (0..1) of a face; boxes that overlap a better one by more than ``overlap``
    (IoU) are dropped. Raises :class:`~gasp.errors.WeightsError` when the file is not there or unusable.
    """

    def __init__(
        self, file: str | Path | None = None, *, threshold: float = 0.6, overlap: float = 0.3
    ) -> None:
        path = open_weights(file or "yunet", network="yunet").file
        try:
            self._detector = cv2.FaceDetectorYN.create(str(path), "", (SIDE, SIDE), threshold, overlap, 1000)
        except cv2.error as error:
            raise WeightsError(
                f"{path}: is damaged or not an ONNX network ({error.err or 'unknown reason'}). Delete it and run "
                "`gasp download yunet`."
            ) from None

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Faces of each RGB uint8 (H, W, 3) picture, best first, boxes in its pixels and within it."""
        return [self._detect(image) for image in images]

    def _detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        height, width = image.shape[:2]
        scale = SIDE / max(height, width)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square = np.zeros((SIDE, SIDE, 3), np.uint8)
        square[: inner[1], : inner[0]] = cv2.resize(image, inner, interpolation=how)[:, :, ::-1]
        try:
            _, rows = self._detector.detect(square)
        except cv2.error as error:
            raise WeightsError(f"The face network is not YuNet, or cannot be run ({error.err}).") from None
        horizontal, vertical = width / inner[0], height / inner[1]
        found = []
        for row in rows if rows is not None else ():
            # A row holds left, top, width, height, ten coordinates of landmarks, and the score.
            x, y, w, h = (float(v) for v in row[:4] * (horizontal, vertical, horizontal, vertical))
            found.append(Detection(Box(x, y, x + w, y + h), min(1.0, float(row[-1]))))
        return clip_detections(found, height, width)
