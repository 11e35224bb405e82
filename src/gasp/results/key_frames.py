"""Which frames show best what happens: the beginning, new scenes, and changes of attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.pipeline.prediction import Prediction

_PICTURE = (16, 9)
_MAP = (16, 12)


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame worth showing. ``change``: how much it differs from the key frame before, 0..2."""

    frame: int
    time: float
    change: float


@dataclass(frozen=True, slots=True)
class Signature:
    """A frame in small: grey picture and map, both with plain numbers, so that it can be stored as JSON.

    ``picture``: 9 x 16 grey levels, mean 0, deviation 1. ``attention``: 12 x 16 cells with sum 1. Both row by row.
    """

    time: float
    picture: list[float]
    attention: list[float]


def signature_of(prediction: Prediction) -> Signature:
    """The frame in small."""
    step = max(1, prediction.image.shape[0] // 90)
    few = np.ascontiguousarray(prediction.image[::step, ::step])
    small = cv2.resize(few, _PICTURE, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    # What is in the picture counts, not how bright it is: fades are no news.
    grey = (grey - grey.mean()) / (grey.std() + 0.05)
    cells = cv2.resize(prediction.saliency, _MAP, interpolation=cv2.INTER_AREA).astype(np.float64)
    # Squared, because people's eyes go to the peaks, not to what lies around them.
    weights = cells**2 + 1e-9
    weights /= weights.sum()
    return Signature(prediction.time, _plain(grey), _plain(weights))


class KeyFrameFinder:
    """Looks at frame after frame of a piece and says which ones differ enough from the latest that was chosen.

    The change is the sum of the difference of pictures (mean absolute difference of standardised grey
    levels, at most 1) and of attention (total variation distance of the maps, 0..1). Key frames are at least
    ``shortest`` seconds apart and change by at least ``threshold``.
    """

    def __init__(
        self, latest: Signature | None = None, *, threshold: float = 0.5, shortest: float = 0.8
    ) -> None:
        self.latest = latest
        self._threshold = threshold
        self._shortest = shortest

    def look(self, prediction: Prediction) -> KeyFrame | None:
        """The frame as a key frame, or None where it tells nothing new. The first one is a key frame."""
        if self.latest is not None and prediction.time - self.latest.time < self._shortest:
            return None
        return self.compare(signature_of(prediction), prediction.index)

    def compare(self, current: Signature, frame: int) -> KeyFrame | None:
        """The same of a frame of which only the signature is there."""
        if self.latest is not None and current.time - self.latest.time < self._shortest:
            return None
        change = 2.0 if self.latest is None else _change(self.latest, current)
        if change < self._threshold:
            return None
        self.latest = current
        return KeyFrame(frame, current.time, round(change, 3))


def choose(candidates: Sequence[KeyFrame], most: int) -> list[KeyFrame]:
    """At most ``most`` of the candidates in order of time: the greatest changes, spread over the time."""
    if len(candidates) <= most:
        return sorted(candidates, key=lambda key: key.frame)
    first, last = (edge(key.time for key in candidates) for edge in (min, max))
    span = max(last - first, 1e-9)
    best: dict[int, KeyFrame] = {}
    for key in candidates:
        part = min(most - 1, int((key.time - first) / span * most))
        if part not in best or key.change > best[part].change:
            best[part] = key
    chosen = set(best.values())
    rest = sorted(set(candidates) - chosen, key=lambda key: -key.change)
    return sorted(chosen | set(rest[: most - len(chosen)]), key=lambda key: key.frame)


def _change(before: Signature, after: Signature) -> float:
    scene = float(np.abs(np.subtract(before.picture, after.picture)).mean())
    attention = 0.5 * float(np.abs(np.subtract(before.attention, after.attention)).sum())
    return min(1.0, scene) + attention


def _plain(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 5) for value in values.ravel()]


class KeyFrames:
    """The key frames of a piece: candidates with their signatures, at most ``most`` of them kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._finder = KeyFrameFinder()
        self._signatures: dict[int, Signature] = {}
        self.kept: list[KeyFrame] = []

    def look(self, prediction: Prediction) -> tuple[KeyFrame | None, list[KeyFrame]]:
        """Whether the next frame is a key frame for now, and which ones are so no longer."""
        key = self._finder.look(prediction)
        if key is None:
            return None, []
        assert self._finder.latest is not None
        self._signatures[key.frame] = self._finder.latest
        kept = choose([*self.kept, key], self._most)
        dropped = [one for one in (*self.kept, key) if one not in kept]
        self.kept = kept
        self._signatures = {one.frame: self._signatures[one.frame] for one in kept}
        return (key if key in kept else None), [one for one in dropped if one is not key]

    def plain(self) -> dict[str, Any]:
        """Plain values for :func:`join_key_frames`."""
        latest = self._finder.latest
        return {
            "keys": [asdict(key) for key in self.kept],
            "first": asdict(self._signatures[self.kept[0].frame]) if self.kept else None,
            "latest": asdict(latest) if latest is not None else None,
        }


def join_key_frames(pieces: Sequence[Mapping[str, Any]], most: int) -> list[tuple[int, KeyFrame]]:
    """At most ``most`` key frames of all pieces, each with the place of its piece.

    The first one of a piece is compared with the latest of the piece before: that a piece begins is no news.
    """
    latest: Signature | None = None
    found: dict[KeyFrame, int] = {}
    for place, piece in enumerate(pieces):
        keys = [KeyFrame(**key) for key in piece["keys"]]
        if keys and latest is not None:
            first = KeyFrameFinder(latest).compare(Signature(**piece["first"]), keys[0].frame)
            keys = [*([first] if first is not None else []), *keys[1:]]
        found |= dict.fromkeys(keys, place)
        latest = Signature(**piece["latest"]) if piece["latest"] is not None else latest
    return [(found[key], key) for key in choose(list(found), most)]
