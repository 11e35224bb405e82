"""Where faces are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gasp.cues.cue import FrameCue
from gasp.cues.drawing import draw_on_faces
from gasp.cues.observation import Observation
from gasp.faces.face import Face


class FacePresence(FrameCue):
    """Modality ``faces``: a Gaussian on every face, as strong as the face is certain and large.

    Strength = score * (0.5 + 0.5 * min(1, size / 0.15)), size being the square root of the share of the picture
    that the face's box covers: large faces are nearer and looked at more (e.g. Jiang et al., ECCV 2014).
    """

    name = "faces"
    needs_saliency = False

    def step(self, observation: Observation) -> NDArray[np.uint8]:
        """The map, grey uint8 of shape ``observation.grid``."""
        return draw_faces(observation.faces, observation.frame.image.shape[:2], observation.grid)


def draw_faces(faces: list[Face], picture: tuple[int, int], grid: tuple[int, int]) -> NDArray[np.uint8]:
    """The formula of the modality for faces in a picture of (height, width) ``picture``."""
    pixels = picture[0] * picture[1]
    strengths = [
        min(1.0, face.score) * (0.5 + 0.5 * min(1.0, (face.box.area / pixels) ** 0.5 / 0.15))
        for face in faces
    ]
    return draw_on_faces([face.box for face in faces], strengths, picture, grid)
