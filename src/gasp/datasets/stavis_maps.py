"""Ground truth as STAViS (Tsiami et al. 2020) prepared it: one density and one fixation map a frame, no observers.

``<dataset>/<video>/maps/eyeMap_<5 digits>.jpg`` is the density, ``<dataset>/<video>/fixMap_<5 digits>.mat`` with the
variable ``eyeMap`` the fixation map; the number is the frame's, counted from 1. All published results use these maps.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.datasets.fixations import DensityMap, FixationMap
from gasp.datasets.matlab import read_mat
from gasp.errors import InputError


class StavisMaps:
    """The folder ``stavis_preprocessed``. ``ids`` are "<dataset>/<video>"."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not a folder; maps prepared by STAViS were expected there")
        self.ids = sorted(
            f"{maps.parent.parent.name}/{maps.parent.name}" for maps in self.folder.glob("*/*/maps")
        )
        if not self.ids:
            raise InputError(f"{self.folder} holds no <dataset>/<video>/maps folder")

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self, video: str) -> list[int]:
        """Numbers (from 1) of the frames that have a density map."""
        found = (
            re.fullmatch(r"eyeMap_(\d+)\.jpg", path.name) for path in (self._place(video) / "maps").iterdir()
        )
        return sorted(int(match.group(1)) for match in found if match)

    def density_file(self, video: str, frame: int) -> Path:
        """The density map of frame ``frame`` (from 1) as a JPEG file."""
        return self._place(video) / "maps" / f"eyeMap_{frame:05d}.jpg"

    def fixation_array(self, video: str, frame: int) -> NDArray[np.float64]:
        """The fixation map of frame ``frame`` (from 1) as stored, (H, W)."""
        path = self._place(video) / f"fixMap_{frame:05d}.mat"
        value = read_mat(path, "eyeMap")
        array = np.asarray(value) if not isinstance(value, dict) else np.empty(0)
        if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
            raise InputError(f"{path}: eyeMap is no map of numbers")
        return array.astype(np.float64)

    def density_at(self, video: str, frame_index: int) -> DensityMap:
        """The density at picture ``frame_index`` (from 0), at the stored size."""
        path = self.density_file(video, frame_index + 1)
        if not path.is_file():
            raise InputError(f"{path} does not exist")
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is None or not picture.any():
            raise InputError(f"{path} is not a picture, or black")
        values = np.asarray(picture, np.float64)
        return DensityMap(values / values.sum())

    def fixation_map_at(self, video: str, frame_index: int) -> FixationMap:
        """The fixations at picture ``frame_index`` (from 0): 1 where somebody looks."""
        return FixationMap((self.fixation_array(video, frame_index + 1) > 0).astype(np.int64))

    def _place(self, video: str) -> Path:
        if video not in self.ids:
            raise InputError(f"{self.folder} has no video {video!r}")
        return self.folder / video
