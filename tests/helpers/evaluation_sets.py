"""Small datasets whose fixations are known, and maps for them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gasp.evaluation.items import Item, open_items
from gasp.evaluation.truth import truth_at
from helpers.gaze_sets import make_video
from helpers.observations import texture

WIDTH, HEIGHT, OBSERVERS = 96, 64, 6
PICTURES = ("a", "b", "c", "d", "e")


def spot(place: int) -> tuple[float, float]:
    """Where people look in picture ``place``: never in its middle (fractions of width and height)."""
    return (0.15, 0.85, 0.2, 0.8, 0.1)[place % 5], (0.2, 0.25, 0.8, 0.75, 0.3)[place % 5]


def make_pictures(folder: Path, *, faces: bool = True, without: str = "") -> Path:
    """A set of pictures; everybody looks near :func:`spot`. The picture ``without`` has no fixation."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(3)
    columns: dict[str, list[float]] = {n: [] for n in ("image", "observer", "order", "x", "y", "duration_ms")}
    for place, name in enumerate(PICTURES):
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), texture(HEIGHT, WIDTH, smooth=3))
        for observer in range(OBSERVERS if name != without else 0):
            x, y = np.array(spot(place)) + rng.normal(0, 0.02, 2)
            values = (place, observer, 0, x, y, 200)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(float(value))
    np.savez(folder / "fixations.npz", **{name: np.array(values) for name, values in columns.items()})
    rows = [f"{name},{WIDTH},{HEIGHT}" for name in PICTURES]
    (folder / "images.csv").write_text("\n".join(["id,width,height", *rows]) + "\n")
    if faces:
        lines = ["id,left,top,width,height,frontal,profile,back,occluded"]
        for place, name in enumerate(PICTURES):
            x, y = spot(place)
            lines.append(f"{name},{x - 0.05},{y - 0.05},0.1,0.1,1,0,0,0")
        (folder / "faces.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_videos(folder: Path, count: int = 2, frames: int = 12, **options: object) -> Path:
    """Videos in the layout of one's own recordings: from frame 3 on everybody looks at :func:`spot`."""
    rows = ["video,observer,onset_ms,duration_ms,x,y"]
    for place in range(count):
        make_video(folder / "videos" / f"v{place}.mp4", frames, **options)
        x, y = spot(place)
        for observer in range(OBSERVERS):
            rows.append(f"v{place},{observer},120,5000,{x * WIDTH + observer % 3:.2f},{y * HEIGHT:.2f}")
    (folder / "fixations.csv").write_text("\n".join(rows) + "\n")
    return folder


def perfect_map(item: Item, frame: int = 0) -> np.ndarray:
    """The truth itself, float32, maximum 1."""
    density = truth_at(item, frame).density
    return density / density.max()


def save_perfect(folder: Path, dataset: Path, *, power: float = 1.0) -> Path:
    """Maps ``<id>.npy`` of every picture: the true density to the ``power``."""
    folder.mkdir(parents=True)
    for item in open_items(dataset, split="all").items:
        np.save(folder / f"{item.id}.npy", perfect_map(item) ** power)
    return folder
