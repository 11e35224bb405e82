"""Picture, prediction and truth side by side."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.evaluation.truth import Truth
from gasp.visualize.overlay import blend_heat

_WIDTH = 420
_GAP = 6


def triptych(image: NDArray[np.uint8], saliency: NDArray[np.float32], truth: Truth) -> bytes:
    """JPEG of three pictures in a row: the frame with a dot per fixation, with the predicted and with the true map."""
    height = max(1, round(_WIDTH * truth.height / truth.width))
    small = np.asarray(cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
    dotted = small.copy()
    for x, y in zip(truth.fixations.x, truth.fixations.y, strict=True):
        place = round(x * _WIDTH / truth.width), round(y * height / truth.height)
        cv2.circle(dotted, place, 4, (20, 20, 24), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(dotted, place, 3, (86, 220, 255), cv2.FILLED, cv2.LINE_AA)
    predicted, true = (blend_heat(small, _scaled(one), 0.75) for one in (saliency, truth.density))
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    row = np.concatenate([dotted, gap, predicted, gap, true], 1)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(row, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return bytes(data)


def _scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    return np.zeros_like(values) if high <= low else (values - low) / (high - low)
