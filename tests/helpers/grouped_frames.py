"""Small folders in the 2021 layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

MAPS = (
    "captured",
    "det_transformed_dave",
    "det_transformed_esr9",
    "det_transformed_vidgaze",
    "det_transformed_gaze360",
)


def level(frame: int, index: int) -> int:
    """The brightness of map ``index`` in frame ``frame`` (from 1); low enough that no frame repeats another."""
    return 20 + 7 * frame + 30 * index


def make_grouped(
    folder: Path, dataset: str = "diem", video: str = "talk_96x64", frames: int = 12, size: int = 64
) -> Path:
    """One video: captured is coloured, the other maps are grey; the density is a square, the fixations a dot."""
    for frame in range(1, frames + 1):
        place = folder / dataset / video / str(frame)
        place.mkdir(parents=True)
        for index, name in enumerate(MAPS):
            picture = np.full((size, size, 3), level(frame, index), np.uint8)
            if name == "captured":
                picture[..., 0] = 200
            Image.fromarray(picture).save(place / f"{name}_1.jpg", quality=95, subsampling=0)
        target = np.zeros((size, size), np.uint8)
        target[16:32, 16:32] = 255
        Image.fromarray(target).save(place / "transformed_salmap_1.jpg")
        points = np.zeros((size, size), np.uint8)
        points[20:23, 40:43] = 255
        Image.fromarray(points).save(place / "transformed_fixmap_1.jpg")
    return folder
