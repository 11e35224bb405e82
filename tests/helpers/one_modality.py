"""Scenes in which people look at what one modality shows, and the others show something else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gasp.datasets.split import SplitRow, write_split

INPUTS = ("captured", "det_transformed_glance", "det_transformed_motion")


def make_scenes(folder: Path, telling: str, *, videos: int = 30, frames: int = 6, size: int = 32) -> None:
    """``Grouped_frames`` and the lists ``train.csv`` and ``test.csv`` (a fifth of the videos). In every video each
    modality has a spot of its own that drifts; density and fixations lie on the spot of ``telling``.
    """
    rng = np.random.default_rng(5)
    rows = []
    for video in range(videos):
        start, drift = rng.uniform(6, size - 6, (len(INPUTS), 2)), rng.normal(0, 0.6, (len(INPUTS), 2))
        for frame in range(frames):
            place = folder / "Grouped_frames" / "made" / f"v{video:02d}" / str(frame + 1)
            place.mkdir(parents=True)
            spots = {name: _spot(start[i] + frame * drift[i], size) for i, name in enumerate(INPUTS)}
            for name, spot in spots.items():
                cv2.imwrite(str(place / f"{name}_1.jpg"), spot, [cv2.IMWRITE_JPEG_QUALITY, 95])
            cv2.imwrite(str(place / "transformed_salmap_1.jpg"), spots[telling])
            cv2.imwrite(
                str(place / "transformed_fixmap_1.jpg"),
                np.where(spots[telling] > 128, 255, 0).astype(np.uint8),
            )
        rows.append(SplitRow(f"v{video:02d}", 25, "Social", "made"))
    write_split(folder / "train.csv", rows[videos // 5 :])
    write_split(folder / "test.csv", rows[: videos // 5])


def _spot(middle: np.ndarray, size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    distance = (x - middle[0]) ** 2 + (y - middle[1]) ** 2
    return (255 * np.exp(-distance / (2 * 3.0**2))).astype(np.uint8)
