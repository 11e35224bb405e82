"""Maps that were computed before and lie in a video's frame folders, in the layout of 2021."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gasp.cues.cue import FrameCue, Map
from gasp.cues.observation import Observation
from gasp.video.grouped import image_path, read_or_black


class StoredCue(FrameCue):
    """The map that is stored of each frame; one that is missing or damaged is small and black.

    Args:
        name: That of the modality.
        folder: The video's folder.
        numbers: The frames' numbers, by ``Frame.index``.
        image: The image's name in the folder, such as ``det_transformed_dave``.
    """

    needs_saliency = False

    def __init__(self, name: str, folder: Path, numbers: Sequence[int], image: str) -> None:
        self.name = name
        self._folder, self._numbers, self._image = folder, numbers, image

    def step(self, observation: Observation) -> Map:
        """The stored map, RGB uint8 (h, w, 3), as large as it was stored."""
        return read_or_black(image_path(self._folder, self._numbers[observation.frame.index], self._image))
