"""Predictions without a pipeline."""

from __future__ import annotations

import numpy as np

from gasp.faces.face import Box, Face
from gasp.pipeline.prediction import Focus, Prediction
from gasp.video.frames import Frame

FRAMES, WIDTH, HEIGHT, FPS = 40, 96, 64, 25.0


def predict_frame(frame: Frame, first_track: int = 1, faces: int = 2) -> Prediction:
    """A stand-in for the pipeline: depends on the frame alone."""
    rows, columns = np.mgrid[:12, :18]
    x = 3 + 10 * abs(np.sin(frame.index / 9))
    saliency = np.exp(-((columns - x) ** 2 + (rows - 5) ** 2) / 6).astype(np.float32)
    saliency = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    people = [
        Face(
            first_track + i,
            Box(10.0 + 40 * i, 12.0, 30.0 + 40 * i, 36.0),
            0.9,
            found={"speaking": 0.25 * (i + 1)},
        )
        for i in range(faces)
    ]
    return Prediction(
        index=frame.index,
        time=frame.time,
        saliency=saliency,
        gates={"captured": 0.25, "faces": 0.75},
        cues={"captured": frame.image, "faces": (saliency * 255).astype(np.uint8)},
        faces=people,
        focus=Focus(float(x * WIDTH / 18), 30.0, 1.0),
        image=frame.image,
    )
