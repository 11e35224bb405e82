"""Scenes in which it is known which cue decides where people look, and on whom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gasp.cues.drawing import draw_on_faces
from gasp.cues.faces import draw_faces
from gasp.faces.face import Box, Face
from gasp.fusion.gasp import FusionNetwork, GaspFusion

PICTURE, GRID = (360, 640), (52, 92)


def scene(rng: np.random.Generator, decides: str) -> tuple[list[NDArray[np.uint8]], list[Face], int]:
    """Three equal faces, of which one speaks or moves; the others do so hardly. Maps, faces, and which one it is."""
    side, y = rng.uniform(70, 110), rng.uniform(60, 200)
    lefts = rng.uniform(10, 60) + np.arange(3) * rng.uniform(170, 210)
    faces = [Face(i + 1, Box(x, y, x + side, y + 1.2 * side), 0.9) for i, x in enumerate(lefts)]
    boxes = [face.box for face in faces]
    chosen = int(rng.integers(3))
    weak, strong = rng.uniform(0.0, 0.08, 3), rng.uniform(0.0, 0.08, 3)
    strong[chosen] = rng.uniform(0.7, 0.95)
    picture = rng.integers(90, 130, (*(4 * side for side in GRID), 3), np.uint8)
    drawn = {
        "captured": picture,
        "glance": draw_on_faces(boxes, [0.8] * 3, PICTURE, GRID),
        "faces": draw_faces(faces, PICTURE, GRID),
        "speaking": draw_on_faces(boxes, list(strong if decides == "speaking" else weak), PICTURE, GRID),
        "motion": draw_on_faces(boxes, list(strong if decides == "motion" else weak), PICTURE, GRID),
    }
    return list(drawn.values()), faces, chosen


def share_found(fusion: FusionNetwork, decides: str, scenes: int, seed: int = 5) -> float:
    """In which share of scenes the cue that decides moves most of all social ones, and adds most to the right face."""
    rng = np.random.default_rng(seed)
    steps = GaspFusion(fusion, looks=1)
    right = 0
    for _ in range(scenes):
        drawn, faces, chosen = scene(rng, decides)
        [fused] = steps.step([drawn], [True])
        assert fused.contributions is not None
        moved = fused.contributions.moved()
        social = {name: moved[name] for name in ("faces", "speaking", "motion")}
        points = [fused.contributions.share(face.box, *PICTURE)[decides] for face in faces]
        right += max(social, key=social.__getitem__) == decides and int(np.argmax(points)) == chosen
    return right / scenes
