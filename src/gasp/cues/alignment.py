"""Moves one picture onto the next, so that what is left of their difference is change."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def move_onto(
    previous: NDArray[np.float32],
    current: NDArray[np.float32],
    *,
    within: float,
    least_response: float = 0.0,
) -> NDArray[np.float32]:
    """``previous`` (grey, h x w) moved by the shift of the whole picture to ``current`` (phase correlation).

    It stays where it is when the shift is not found (its response, 0..1, is below ``least_response``), is not below
    ``within`` (a share of the height and the width), or does not bring most of the picture closer: a large thing that
    moves before a still background draws the shift towards its own.
    """
    height, width = current.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    # Copies, because OpenCV multiplies the pictures themselves by the window where their size suits the transform.
    (dx, dy), response = cv2.phaseCorrelate(previous.copy(), current.copy(), window)
    # The shift of a plain picture is not a number.
    if response < least_response or not (abs(dx) < width * within and abs(dy) < height * within):
        return previous
    move = np.array([[1, 0, dx], [0, 1, dy]])
    moved = np.asarray(
        cv2.warpAffine(previous, move, (width, height), borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    closer = np.median(np.abs(current - moved)) < np.median(np.abs(current - previous))
    return moved if closer else previous
