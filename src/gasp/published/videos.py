"""The videos that visualisation presets write: one AVI per picture name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.errors import OutputError

#: Opacity of a map over the frame.
WEIGHT = 0.4


class VideoWriters:
    """``<folder>/<name>.avi`` for each name, MPEG-4 (XVID), RGB pictures of ``size`` (width, height).

    Files appear when the block is left without an exception.
    """

    def __init__(self, folder: Path, names: Sequence[str], fps: float, size: tuple[int, int]) -> None:
        self._folder, self._size = folder, size
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be made: {error.strerror or error}.") from None
        code = cv2.VideoWriter.fourcc(*"XVID")
        self._writers = {name: cv2.VideoWriter(str(self._temporary(name)), code, fps, size) for name in names}
        if not all(writer.isOpened() for writer in self._writers.values()):
            self._discard()
            raise OutputError(f"{folder}: no video can be written there.")

    def write(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Adds a picture to each video."""
        for name, writer in self._writers.items():
            picture = pictures[name]
            if picture.shape[1::-1] != self._size:
                picture = np.asarray(
                    cv2.resize(picture, self._size, interpolation=cv2.INTER_LINEAR), np.uint8
                )
            writer.write(np.ascontiguousarray(picture[..., ::-1]))

    def __enter__(self) -> VideoWriters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        for name, writer in self._writers.items():
            writer.release()
            os.replace(self._temporary(name), self._folder / f"{name}.avi")

    def _temporary(self, name: str) -> Path:
        return self._folder / f".{name}.partial.avi"

    def _discard(self) -> None:
        for name, writer in self._writers.items():
            writer.release()
            self._temporary(name).unlink(missing_ok=True)


def draw_map(picture: NDArray[np.uint8], frame: NDArray[np.uint8], *, overlay: bool) -> NDArray[np.uint8]:
    """An RGB map at the frame's size, over the frame or alone."""
    resized = np.asarray(cv2.resize(picture, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    if not overlay:
        return resized
    return np.asarray(cv2.addWeighted(resized, WEIGHT, frame, 1 - WEIGHT, 0), np.uint8)


def colour(saliency: NDArray[np.float32], colours: str) -> NDArray[np.uint8]:
    """A map 0..1 in one of OpenCV's colour maps ("jet", "bone", ...), RGB."""
    code = getattr(cv2, f"COLORMAP_{colours.upper()}")
    return np.asarray(cv2.applyColorMap((saliency * 255).astype(np.uint8), code)[..., ::-1], np.uint8)
