"""Still pictures with fixations, in memory, as the recipes of the packaged weights use them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.image_set import ImageSet
from gasp.datasets.split import held_back
from gasp.errors import InputError

log = logging.getLogger(__name__)

BLUR = {"osie": 24 / 800, "eyecrowd": 26 / 1024, "scene": 24 / 800}
"""Standard deviation of each set's density maps as a fraction of the picture's width (the authors' choices;
none is stated for ``scene``)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with what people looked at.

    ``image`` RGB uint8 (H, W, 3); ``density`` float32 (H, W), sum 1; ``x``, ``y`` fixations in pixels;
    ``observer`` who made each. ``faces`` (F, 4) boxes x1, y1, x2, y2 in pixels, or None where none were marked
    by hand; ``face_known`` (F,) False for backs of heads.
    """

    set_name: str
    name: str
    image: NDArray[np.uint8]
    density: NDArray[np.float32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    observer: NDArray[np.int64]
    faces: NDArray[np.float64] | None
    face_known: NDArray[np.bool_] | None


def load_pictures(
    folder: Path, sets: tuple[str, ...] = ("osie", "eyecrowd", "scene"), *, held: float = 0.15
) -> tuple[list[Picture], list[Picture]]:
    """Training and held-back pictures of the sets under ``folder`` (one sub-folder each).

    Raises :class:`gasp.errors.InputError` when a set is missing.
    """
    missing = [name for name in sets if not (folder / name).is_dir()]
    if missing:
        raise InputError(
            f"{folder} has no folder {', '.join(missing)}: the recipe needs the sets {', '.join(sets)}"
        )
    training: list[Picture] = []
    kept: list[Picture] = []
    for name in sets:
        images = ImageSet(folder / name, blur=BLUR[name])
        away = held_back(images.ids, held)
        for i, identity in enumerate(images.ids):
            if len(images.fixations(i)) == 0:
                log.warning("%s/%s has no fixation and is left out", name, identity)
                continue
            (kept if identity in away else training).append(_picture(images, i, name))
    return training, kept


def _picture(images: ImageSet, i: int, set_name: str) -> Picture:
    fixations = images.fixations(i)
    faces = images.faces(i)
    return Picture(
        set_name=set_name,
        name=images.ids[i],
        image=images.image(i),
        density=images.density(i).values.astype(np.float32),
        x=fixations.x,
        y=fixations.y,
        observer=fixations.observer,
        faces=np.array([face.box for face in faces], np.float64).reshape(-1, 4) if faces else None,
        face_known=np.array([not face.back for face in faces]) if faces else None,
    )
