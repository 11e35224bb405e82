"""The one interface of all face detectors, and the table of those that ship with the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """A face detector that ships with the package.

    ``where``: the place of its class, which is imported only when it is asked for. ``weights``: those of the catalogue
    that it needs unless it is given a ``file``; None: they are in the package. ``takes_device``: whether it can run on
    another device than the CPU. ``shared``: the packaged network, which a pipeline runs for its cues anyway, finds the
    faces on the way; there the detector is not made, and takes no options.
    """

    where: str
    weights: str | None = None
    takes_device: bool = False
    shared: bool = False

    def load(self) -> Callable[..., FaceDetector]:
        """The class."""
        module, cls = self.where.split(":")
        return cast("Callable[..., FaceDetector]", getattr(import_module(module), cls))


DETECTORS = {
    "glance": DetectorEntry("gasp.faces.glance_reader:GlanceFaceDetector", takes_device=True, shared=True),
    "yunet": DetectorEntry("gasp.faces.yunet:YuNetFaceDetector", weights="yunet"),
    "s3fd": DetectorEntry("gasp.faces.s3fd:S3FDFaceDetector", weights="s3fd", takes_device=True),
}

NO_DETECTOR = "none"
"""What stands in a detector's place where faces are not looked for."""


def create_detector(name: str, **options: object) -> FaceDetector:
    """The detector of that name.

    Raises :class:`gasp.errors.UsageError` for an unknown name, and what the detector says is missing (a
    package, a file to download).
    """
    if name not in DETECTORS:
        raise UsageError(f"unknown face detector {name!r}; there are {', '.join(sorted(DETECTORS))}")
    return DETECTORS[name].load()(**options)


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
