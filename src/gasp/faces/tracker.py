"""Gives each person a stable identity through a video.

Detections are assigned to tracks by the Hungarian method on overlap with the predicted box (constant velocity),
distance and looks (colours of head and shoulders). Good detections are matched first and weak ones may then
keep a track alive, as in ByteTrack (Zhang et al., ECCV 2022). Tracks that end are remembered by their looks, so
that a person who comes back after an occlusion or a cut gets the same identity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gasp.faces.face import Box, Detection, Face
from gasp.faces.geometry import iou, iou_matrix

Looks = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """Thresholds of the tracker; times in seconds, scores in 0..1, likeness in 0..1 (1 = same colours)."""

    birth_score: float = 0.4
    keep_score: float = 0.15
    bridge: float = 0.4
    """A face that is not found is still reported, at its predicted place, for this long."""
    patience: float = 1.0
    """A lost track is searched for near its place for this long, and by its looks afterwards."""
    memory: float = 60.0
    remembered: int = 100
    same_person: float = 0.82
    confirm: int = 2
    """A new face must be found this many times, unless its first score is at least ``sure``."""
    sure: float = 0.55


@dataclass(slots=True)
class _Track:
    identity: int
    box: Box
    score: float
    time: float
    looks: Looks
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    hits: int = 1
    confirmed: bool = False

    def predicted(self, time: float) -> Box:
        """Where the face should be at ``time``; motion is trusted for a short while only."""
        dx, dy = self.velocity * min(time - self.time, 0.3)
        return Box(self.box.x1 + dx, self.box.y1 + dy, self.box.x2 + dx, self.box.y2 + dy)

    def found(self, detection: Detection, time: float, looks: Looks) -> None:
        """Takes over a detection; the box is smoothed a little, because detectors tremble."""
        step = max(time - self.time, 1e-3)
        new, old = np.array(detection.box), np.array(self.predicted(time))
        near = iou(detection.box, Box(*old)) > 0.3
        smooth = 0.7 * new + 0.3 * old if near else new
        moved = (np.array(Box(*smooth).centre) - np.array(self.box.centre)) / step
        self.velocity = 0.6 * self.velocity + 0.4 * moved if near else np.zeros(2)
        self.box, self.score, self.time = Box(*(float(v) for v in smooth)), detection.score, time
        self.looks = 0.9 * self.looks + 0.1 * looks
        self.hits += 1


class FaceTracker:
    """Turns the detections of successive pictures into faces with identities, counted from 1."""

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self.options = options or TrackerOptions()
        self._tracks: list[_Track] = []
        self._gallery: deque[_Track] = deque(maxlen=self.options.remembered)
        self._next = 1

    def step(
        self, image: NDArray[np.uint8], detections: Sequence[Detection], time: float, *, cut: bool = False
    ) -> list[Face]:
        """Faces of the next picture.

        ``image`` RGB uint8 (H, W, 3), in whose pixels the boxes of ``detections`` are; ``time`` in seconds, rising;
        ``cut`` tells that a new shot begins here. Faces come by falling score.
        """
        options = self.options
        self._retire(time, everything=cut)
        looks = _looks_of_all(image, [d.box for d in detections])
        good = [i for i, d in enumerate(detections) if d.score >= options.birth_score]
        weak = [i for i, d in enumerate(detections) if options.keep_score <= d.score < options.birth_score]
        left = self._assign(detections, looks, good, list(self._tracks), time)
        waiting = [track for track in self._tracks if track.time < time]
        self._assign(detections, looks, weak, waiting, time)
        for i, track in self._recognise(looks, left, time).items():
            self._gallery.remove(track)
            track.found(detections[i], time, looks[i])
            self._tracks.append(track)
            left.remove(i)
        for i in left:
            self._begin(detections[i], looks[i], time, sure=cut)
        self._merge(time)
        return self._faces(time)

    def _assign(
        self, detections: Sequence[Detection], looks: Sequence[Looks], candidates: list[int],
        tracks: list[_Track], time: float,
    ) -> list[int]:  # fmt: skip
        """Matches detections to tracks, updates the tracks, and returns the detections that are left."""
        if not candidates or not tracks:
            return list(candidates)
        predicted = [track.predicted(time) for track in tracks]
        overlap = iou_matrix(predicted, [detections[i].box for i in candidates])
        cost = np.full(overlap.shape, 1e3)
        for row, track in enumerate(tracks):
            for column, i in enumerate(candidates):
                far = _distance(predicted[row], detections[i].box)
                if overlap[row, column] > 0.1 or far < 0.8:
                    unlike = 1 - _likeness(track.looks, looks[i])
                    cost[row, column] = (1 - overlap[row, column]) + 0.5 * min(far, 2) + unlike
        rows, columns = linear_sum_assignment(cost)
        used = set()
        for row, column in zip(rows, columns, strict=True):
            if cost[row, column] < 1e3:
                i = candidates[column]
                tracks[row].found(detections[i], time, looks[i])
                used.add(i)
        return [i for i in candidates if i not in used]

    def _recognise(self, looks: Sequence[Looks], left: list[int], time: float) -> dict[int, _Track]:
        """Detections without a track that look like somebody seen earlier."""
        known = [track for track in self._gallery if time - track.time <= self.options.memory]
        if not left or not known:
            return {}
        likeness = np.array([[_likeness(track.looks, looks[i]) for i in left] for track in known])
        rows, columns = linear_sum_assignment(-likeness)
        return {
            left[column]: known[row]
            for row, column in zip(rows, columns, strict=True)
            if likeness[row, column] >= self.options.same_person
        }

    def _begin(self, detection: Detection, looks: Looks, time: float, *, sure: bool) -> None:
        confirmed = sure or detection.score >= self.options.sure
        # An identity is given when a face is confirmed, so that a flicker uses up no number.
        track = _Track(0, detection.box, detection.score, time, looks)
        if confirmed or track.hits >= self.options.confirm:
            self._confirm(track)
        self._tracks.append(track)

    def _confirm(self, track: _Track) -> None:
        track.confirmed, track.identity = True, self._next
        self._next += 1

    def _retire(self, time: float, *, everything: bool) -> None:
        patience = self.options.patience
        for track in [t for t in self._tracks if everything or time - t.time > patience]:
            self._tracks.remove(track)
            if track.confirmed:
                track.velocity = np.zeros(2)
                self._gallery.append(track)

    def _merge(self, time: float) -> None:
        """A lost track over which another face now lies is no longer reported there."""
        for track in [t for t in self._tracks if t.time < time]:
            place = track.predicted(time)
            if any(iou(place, other.box) > 0.5 for other in self._tracks if other.time == time):
                self._tracks.remove(track)
                if track.confirmed:
                    self._gallery.append(track)

    def _faces(self, time: float) -> list[Face]:
        faces = []
        for track in self._tracks:
            if not track.confirmed and track.hits >= self.options.confirm:
                self._confirm(track)
            if track.confirmed and time - track.time <= self.options.bridge:
                seen = track.time == time
                faces.append(Face(track.identity, track.predicted(time), track.score, observed=seen))
        return sorted(faces, key=lambda face: -face.score)


def _distance(first: Box, second: Box) -> float:
    """Between the centres, in units of the boxes' size."""
    (x1, y1), (x2, y2) = first.centre, second.centre
    size = max(1e-6, (first.area * second.area) ** 0.25)
    return float(np.hypot(x1 - x2, y1 - y2)) / size


def _likeness(first: Looks, second: Looks) -> float:
    """Bhattacharyya coefficient of two sets of colour histograms, 0..1."""
    return float((first * second).sum() / np.sqrt((first * first).sum() * (second * second).sum() + 1e-12))


def _looks_of_all(image: NDArray[np.uint8], boxes: Sequence[Box]) -> list[Looks]:
    return [_looks(image, box) for box in boxes]


def _looks(image: NDArray[np.uint8], box: Box) -> Looks:
    """Square-rooted colour histograms of the head and of the shoulders below it."""
    w, h = box.width, box.height
    head = Box(box.x1 - 0.15 * w, box.y1 - 0.25 * h, box.x2 + 0.15 * w, box.y2)
    shoulders = Box(box.x1 - 0.4 * w, box.y2 + 0.1 * h, box.x2 + 0.4 * w, box.y2 + 1.1 * h)
    return np.concatenate([_colours(image, head), _colours(image, shoulders)])


def _colours(image: NDArray[np.uint8], box: Box) -> Looks:
    height, width = image.shape[:2]
    x1, x2 = (int(np.clip(v, 0, width)) for v in (box.x1, box.x2))
    y1, y2 = (int(np.clip(v, 0, height)) for v in (box.y1, box.y2))
    patch = image[y1:y2, x1:x2]
    if patch.size == 0:
        return np.zeros(6 * 6 * 6, np.float32)
    patch = cv2.resize(patch, (16, 16), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB)
    ranges = [0, 256, 64, 192, 64, 192]
    histogram = cv2.calcHist([lab], [0, 1, 2], None, [6, 6, 6], ranges).ravel()
    return np.sqrt(histogram / max(1.0, histogram.sum())).astype(np.float32)
