"""A face detector in Python: takes the middle of every picture for a face."""

import numpy as np

from gasp.messages import serve_detector


def detect(image: np.ndarray):
    """Boxes (n, 4) and scores (n,)."""
    height, width = image.shape[:2]
    return np.multiply([[0.4, 0.4, 0.6, 0.6]], (width, height, width, height)), np.array([0.9])


serve_detector(detect)
