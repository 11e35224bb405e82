"""Where in a face, and when, people look in video, beside what a network that learnt from still pictures says.

In video people look lower in faces that fill a small or middling part of the picture than in photographs (towards the
mouth: Võ, Smith, Mital and Henderson, "Do the eyes really have it? Dynamic allocation of attention when viewing moving
faces", Journal of Vision 2012), their eyes follow late what changes, and they agree more with one another (Dorr,
Martinetz, Gegenfurtner and Barth, "Variability of eye movements when viewing dynamic natural scenes", Journal of Vision
2010). So the map is sharpened a little, moved down by a share of the height of the faces, and averaged over the latest
moments. The constants were fitted on recorded gaze (docs/model-card.md). A still picture is left as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gasp.fusion.contributions import Contributions

Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PlacementRule:
    """Faces of the height f, as a share of the picture's, draw looks ``drop`` of their height lower up to
    f = ``large`` - ``range``, less and less up to ``large``, and beyond that not at all. ``memory``: seconds over which
    maps are averaged. ``sharpness``: the power to which the fusion's probabilities are raised before.
    """

    drop: float = 0.15
    large: float = 0.3
    range: float = 0.15
    memory: float = 0.4
    sharpness: float = 1.15


class Placement:
    """Applies a rule to the maps of successive frames; every step is linear in the maps."""

    def __init__(self, rule: PlacementRule, step: float) -> None:
        self.rule = rule
        self.length = max(1, round(rule.memory / step))
        self._moved: deque[Maps] = deque(maxlen=self.length)

    @property
    def past(self) -> int:
        """Frames before its own on which a map depends."""
        return self.length - 1

    def place(
        self,
        saliency: Maps,
        contributions: Contributions | None,
        heights: Sequence[float],
        *,
        cut: bool,
    ) -> tuple[Maps, Contributions | None]:
        """The map of the next frame, (h, w), min-max scaled, and what cues contribute to it, moved and averaged alike.

        For the other arguments see :meth:`step`. Contributions and their baseline add up to the new map's density as
        they did to the old one's.
        """
        density = saliency / max(float(saliency.sum(dtype=np.float64)), 1e-30)
        parts = [density[None]]
        if contributions is not None:
            parts += [contributions.baseline[None], contributions.maps]
        moved = self.step(np.concatenate(parts).astype(np.float32), heights, cut=cut)
        least, most = float(moved[0].min()), float(moved[0].max())
        if most <= least:
            return np.zeros_like(saliency), contributions
        scaled = (moved[0] - least) / (most - least)
        if contributions is None:
            return scaled, None
        whole = float((moved[0] - least).sum(dtype=np.float64))
        baseline, maps = (moved[1] - least) / whole, moved[2:] / whole
        return scaled, contributions._replace(baseline=baseline, maps=maps)

    def step(self, maps: Maps, heights: Sequence[float], *, cut: bool) -> Maps:
        """The maps (K, h, w) of the next frame, moved and averaged.

        Args:
            maps: float32, each covering the whole picture.
            heights: of the frame's faces, as shares of the picture's height.
            cut: whether a shot begins here; nothing is carried over it.
        """
        if cut:
            self._moved.clear()
        maps = move_down(maps, drop_of(heights, self.rule))
        if self._moved and self._moved[-1].shape != maps.shape:
            self._moved.clear()
        self._moved.append(maps)
        return np.mean(self._moved, 0, dtype=np.float32)


def drop_of(heights: Sequence[float], rule: PlacementRule) -> float:
    """By which share of the picture's height looks lie lower, by the median of the faces' heights, such shares too."""
    if not heights:
        return 0.0
    share = float(np.median(heights))
    return rule.drop * share * float(np.clip((rule.large - share) / rule.range, 0, 1))


def move_down(maps: Maps, share: float) -> Maps:
    """Maps (..., h, w) moved down by a share of their height; what is above the picture is as its first row."""
    rows = maps.shape[-2]
    source = np.clip(np.arange(rows) - share * rows, 0, rows - 1)
    above = np.floor(source).astype(np.intp)
    part = (source - above).astype(np.float32)[:, None]
    below = np.minimum(above + 1, rows - 1)
    return np.asarray(maps[..., above, :] * (1 - part) + maps[..., below, :] * part, np.float32)
