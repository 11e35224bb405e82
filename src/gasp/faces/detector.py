"""The one interface of all face detectors, and the table of those that ship with the package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gasp.errors import UsageError
from gasp.faces.face import Detection
from gasp.faces.geometry import clip_box


class FaceDetector(Protocol):
    """Finds faces in pictures, each on its own."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Faces of each RGB uint8 (H, W, 3) picture, best first, boxes in its pixels and within it."""
        ...


DETECTORS = {
    "glance": "gasp.faces.glance_reader:GlanceFaceDetector",
    "yunet": "gasp.faces.yunet:YuNetFaceDetector",
    "s3fd": "gasp.faces.s3fd:S3FDFaceDetector",
}
"""Name -> where the detector lives; its heavy imports happen when it is asked for."""


def create_detector(name: str, **options: object) -> FaceDetector:
    """The detector of that name.

    Raises :class:`gasp.errors.UsageError` for an unknown name, and what the detector says is missing (a
    package, a file to download).
    """
    if name not in DETECTORS:
        raise UsageError(f"unknown face detector {name!r}; there are {', '.join(sorted(DETECTORS))}")
    module, cls = DETECTORS[name].split(":")
    return cast(FaceDetector, getattr(import_module(module), cls)(**options))


def clip_detections(detections: Sequence[Detection], height: int, width: int) -> list[Detection]:
    """Detections clipped to the picture, best first.

    Those with less than two pixels left in either direction, or with numbers that are not finite, are dropped.
    """
    clipped = []
    # Numbers that are not finite come first: clipping would turn them into the picture's borders.
    finite = [d for d in detections if np.isfinite((*d.box, d.score)).all()]
    for found in sorted(finite, key=lambda d: -d.score):
        box = clip_box(found.box, height, width)
        if box.width >= 2 and box.height >= 2:
            clipped.append(Detection(box, found.score))
    return clipped
