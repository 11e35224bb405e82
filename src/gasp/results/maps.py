"""Saliency maps on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.errors import UsageError
from gasp.pipeline.prediction import Prediction
from gasp.results.sink import Pieces, Sink
from gasp.video import VideoSource
from gasp.work.files import link

FORMATS = ("png", "npy", "zarr")
ZARR_NAME = "saliency.zarr"


def check_format(name: str) -> None:
    """Raise :class:`UsageError` for an unknown format, or one whose library is not installed."""
    if name not in FORMATS:
        raise UsageError(f"maps = {name!r}: maps are written as {', '.join(FORMATS)}.")
    if name == "zarr":
        _zarr()


def resize_map(saliency: NDArray[np.float32], size: tuple[int, int] | None) -> NDArray[np.float32]:
    """The map at (width, height) ``size``, None for its own: float32 in 0..1."""
    if size is None or saliency.shape == (size[1], size[0]):
        return saliency
    smaller = size[0] * size[1] < saliency.size
    resized = cv2.resize(saliency, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return np.clip(resized, 0, 1, dtype=np.float32)


def write_map(folder: Path, index: int, saliency: NDArray[np.float32], kind: str) -> None:
    """Write the map of frame ``index`` (from 0) as ``000001.png`` (8-bit grey) or ``000001.npy`` (float32).

    Files count from 1. Zarr is gathered from npy files: see :func:`gather_zarr`.
    """
    name = f"{index + 1:06d}"
    if kind == "png":
        _, data = cv2.imencode(".png", cv2.convertScaleAbs(saliency, alpha=255))
        (folder / f"{name}.png").write_bytes(data.tobytes())
    else:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(saliency, np.float32))


def gather_zarr(files: list[Path], target: Path) -> None:
    """Gather npy files of one shape into the array ``target``: float32 (n, h, w), chunks of 16 maps.

    Its attribute ``frames`` holds each map's frame number, from 0.
    """
    shape = np.load(files[0], mmap_mode="r").shape
    array = _zarr().create_array(
        store=str(target), shape=(len(files), *shape), chunks=(min(16, len(files)), *shape), dtype="float32"
    )
    for start in range(0, len(files), 16):
        block = files[start : start + 16]
        array[start : start + len(block)] = np.stack([np.load(file) for file in block])
    array.attrs["frames"] = [int(file.stem) - 1 for file in files]


class MapsSink(Sink):
    """``maps/``: the saliency map of every frame, "png", "npy" or "zarr", at (width, height) ``size``."""

    name = "maps"

    def __init__(self, kind: str, size: tuple[int, int] | None) -> None:
        self._kind, self._size = kind, size

    @property
    def files(self) -> tuple[str, ...]:
        """One folder."""
        return ("maps",)

    def begin(self, folder: Path, source: VideoSource) -> None:
        """A piece begins."""
        self._folder = folder

    def write(self, prediction: Prediction) -> None:
        """Writes the map of a frame."""
        write_map(self._folder, prediction.index, resize_map(prediction.saliency, self._size), self._kind)

    def join(self, pieces: Pieces) -> None:
        """All maps in one folder."""
        folder = pieces.into / "maps"
        folder.mkdir()
        files = [file for piece in pieces for file in sorted(piece.folder.iterdir())]
        if self._kind == "zarr":
            gather_zarr(files, folder / ZARR_NAME)
            return
        for file in files:
            link(file, folder / file.name)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        message = "maps = 'zarr' needs the package zarr: pip install 'gasp-saliency[zarr]', or use npy."
        raise UsageError(message) from None
    return zarr
