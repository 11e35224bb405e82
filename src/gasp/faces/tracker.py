"""Gives each person a stable identity through a video.

Detections are assigned to tracks by the Hungarian method on overlap with the predicted box (constant velocity),
distance and looks (colours of head and shoulders). Good detections are matched first and weak ones may then
keep a track alive, as in ByteTrack (Zhang et al., ECCV 2022); a face found away from its place comes last.
Tracks that end are remembered by their looks, so that a person who comes back after an occlusion or a cut gets
the same identity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gasp.faces.detector import clip_detections
from gasp.faces.face import Box, Detection, Face
from gasp.faces.geometry import clip_box, inside_matrix, iou, iou_matrix

Looks = NDArray[np.float32]

TRUSTED_MOTION = 0.3
"""Seconds for which a lost face is taken to move on."""

MOTION_MEMORY = 0.065
"""Seconds over which velocities are averaged: about two frames of a film."""

CERTAINTY_MEMORY = 0.4
"""Seconds over which scores are averaged: what is certain for a moment only, such as a hand, is no face."""

REACH, SPEED = 0.8, 2.0
"""How far from its predicted place a face may be (in sizes of the face), and how much further per second lost."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Thresholds of the tracker; times in seconds, scores in 0..1, likeness in 0..1 (1 = same colours)."""

    birth_score: float = 0.5
    keep_score: float = 0.35
    bridge: float = 0.4
    """A face that is not found is still reported, at its predicted place, for this long, and no longer than it was
    seen before."""
    certain: float = 0.42
    """A face whose mean score of late falls below this is followed, but not reported."""
    patience: float = 1.0
    """A lost track is searched for near its place for this long, and by its looks afterwards."""
    memory: float = 60.0
    remembered: int = 100
    same_person: float = 0.82
    likely_person: float = 0.72
    """From this likeness on, somebody is recognised who looks more alike than anybody else by ``margin``."""
    margin: float = 0.2
    confirm: int = 2
    """A new face must be found this many times running, unless a score is at least ``sure``."""
    sure: float = 0.55


@dataclass(slots=True, eq=False)
class _Track:
    """A person. ``time`` is when the face was last found, ``since`` the beginning of the stretch in which it was seen;
    ``certainty`` is the mean of its scores of late; ``identity`` is 0 until the track is confirmed.
    """

    box: Box
    score: float
    time: float
    looks: Looks
    since: float
    certainty: float
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    hits: int = 1
    identity: int = 0
    observed: bool = True

    @classmethod
    def of(cls, detection: Detection, time: float, looks: Looks) -> _Track:
        """The track that begins with a detection."""
        return cls(detection.box, detection.score, time, looks, since=time, certainty=detection.score)

    def predicted(self, time: float) -> Box:
        """Where the face should be at ``time``; motion is trusted for a short while only."""
        dx, dy = (float(v) * min(time - self.time, TRUSTED_MOTION) for v in self.velocity)
        return Box(self.box.x1 + dx, self.box.y1 + dy, self.box.x2 + dx, self.box.y2 + dy)

    def found(self, detection: Detection, time: float, looks: Looks, bridge: float) -> None:
        """Takes over a detection; the box is smoothed a little, because detectors tremble.

        Another stretch of being seen begins where the face was lost for longer than ``bridge``.
        """
        elapsed = time - self.time
        self.since = time if elapsed > bridge else self.since
        # A face that is found again after a while begins anew.
        weight = -np.expm1(-elapsed / CERTAINTY_MEMORY)
        self.certainty += float(weight) * (detection.score - self.certainty)
        expected = self.predicted(time)
        if iou(detection.box, expected) > 0.3:
            smooth = Box(*(0.7 * new + 0.3 * old for new, old in zip(detection.box, expected, strict=True)))
            moved = np.subtract(smooth.centre, self.box.centre)
            self.velocity = _new_velocity(self.velocity, moved, elapsed)
            self.box = smooth
        else:
            self.box, self.velocity = detection.box, np.zeros(2)
        self.score, self.time, self.observed = detection.score, time, True
        self.looks = 0.9 * self.looks + 0.1 * looks
        self.hits += 1


class FaceTracker:
    """Turns the detections of successive pictures into faces with identities, counted from 1."""

    def __init__(self, options: TrackerSettings | None = None) -> None:
        self.options = options or TrackerSettings()
        self._tracks: list[_Track] = []
        self._gallery: deque[_Track] = deque(maxlen=self.options.remembered)
        self._time = -np.inf
        self._next = 1

    def step(
        self, image: NDArray[np.uint8], detections: Sequence[Detection], time: float, *, cut: bool = False
    ) -> list[Face]:
        """Faces of the next picture, by falling score, boxes within it.

        ``image`` RGB uint8 (H, W, 3), in whose pixels the boxes of ``detections`` are; ``time`` in seconds,
        rising (one before the last one, or that is no number, counts as equal to it); ``cut`` tells that a new
        shot begins here.
        Detections outside of the picture, and those whose numbers are not finite, are passed over.
        """
        options = self.options
        self._time = time = max(self._time, time if np.isfinite(time) else 0.0)
        height, width = image.shape[:2]
        usable = [d for d in clip_detections(detections, height, width) if d.score >= options.keep_score]
        looks = [_looks(image, d.box) for d in usable]
        self._retire(time, everything=cut)
        for track in self._tracks:
            track.observed = False
        good = [i for i, d in enumerate(usable) if d.score >= options.birth_score]
        weak = [i for i, d in enumerate(usable) if d.score < options.birth_score]
        left = self._assign(usable, looks, good, time)
        self._assign(usable, looks, weak, time)
        left = self._assign(usable, looks, left, time, elsewhere=True)
        # A track that is not found twice running was a flicker.
        self._tracks = [track for track in self._tracks if track.observed or track.identity]
        left = self._recognise(usable, looks, self._apart(usable, left), time)
        self._tracks += [_Track.of(usable[i], time, looks[i]) for i in left]
        self._confirm()
        return self._faces(time, height, width)

    def _assign(
        self,
        detections: Sequence[Detection],
        looks: Sequence[Looks],
        candidates: list[int],
        time: float,
        *,
        elsewhere: bool = False,
    ) -> list[int]:
        """Matches detections to tracks not found yet, updates these, and returns the detections left.

        A detection overlaps the predicted box or, ``elsewhere``, lies within reach and looks alike.
        """
        tracks = [track for track in self._tracks if not track.observed]
        if not candidates or not tracks:
            return candidates
        predicted = [track.predicted(time) for track in tracks]
        boxes = [detections[i].box for i in candidates]
        overlap = iou_matrix(predicted, boxes)
        far = _distances(predicted, boxes)
        likeness = likeness_matrix([track.looks for track in tracks], [looks[i] for i in candidates])
        possible = overlap > 0.1
        if elsewhere:
            # The longer ago a face was found, the further it may have gone.
            reach = REACH + SPEED * np.array([[time - track.time] for track in tracks])
            possible |= (far < reach) & (likeness >= self.options.same_person)
        cost = (1 - overlap) + 0.5 * np.minimum(far, 2) + (1 - likeness)
        used = set()
        for row, column in _pairs(cost, possible):
            i = candidates[column]
            tracks[row].found(detections[i], time, looks[i], self.options.bridge)
            used.add(i)
        return [i for i in candidates if i not in used]

    def _apart(self, detections: Sequence[Detection], left: list[int]) -> list[int]:
        """Those that may be somebody else: what shares half of the smaller box with a face found is the same face."""
        found = [track.box for track in self._tracks if track.observed]
        boxes = [detections[i].box for i in left]
        shared = np.maximum(inside_matrix(boxes, found), inside_matrix(found, boxes).T)
        return [i for i, share in zip(left, shared.max(1, initial=0), strict=True) if share < 0.5]

    def _recognise(
        self, detections: Sequence[Detection], looks: Sequence[Looks], left: list[int], time: float
    ) -> list[int]:
        """Gives detections that look like somebody seen earlier to that person; returns those left."""
        known = [track for track in self._gallery if time - track.time <= self.options.memory]
        if not left or not known:
            return left
        likeness = likeness_matrix([track.looks for track in known], [looks[i] for i in left])
        used = set()
        for row, column in _pairs(1 - likeness, self._alike(likeness)):
            i, track = left[column], known[row]
            track.box, track.velocity = detections[i].box, np.zeros(2)
            track.found(detections[i], time, looks[i], self.options.bridge)
            self._gallery.remove(track)
            self._tracks.append(track)
            used.add(i)
        return [i for i in left if i not in used]

    def _alike(self, likeness: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Who (rows) may be whom (columns): very much alike, or much more than all others in row and column."""
        options = self.options
        if min(likeness.shape) < 2:
            # Without others, nothing tells how much alike people are here.
            return likeness >= options.same_person
        return (likeness >= options.same_person) | (
            (likeness >= options.likely_person) & (likeness - _best_of_others(likeness) >= options.margin)
        )

    def _confirm(self) -> None:
        """Gives identities. A flicker gets none: a face must be found twice running, or for sure."""
        for track in self._tracks:
            sure = track.score >= self.options.sure or track.hits >= self.options.confirm
            if not track.identity and sure:
                track.identity, self._next = self._next, self._next + 1

    def _retire(self, time: float, *, everything: bool) -> None:
        kept = []
        for track in self._tracks:
            if not everything and time - track.time <= self.options.patience:
                kept.append(track)
            elif track.identity:
                self._gallery.append(track)
        self._tracks = kept

    def _faces(self, time: float, height: int, width: int) -> list[Face]:
        seen = [track.box for track in self._tracks if track.observed]
        faces = []
        for track in self._tracks:
            box = track.predicted(time)
            # A lost face over which another one lies is hidden by it: nothing to report.
            hidden = not track.observed and any(iou(box, other) > 0.5 for other in seen)
            if track.identity and not hidden and self._is_there(track, time):
                box = clip_box(box, height, width)
                if box.width >= 2 and box.height >= 2:
                    faces.append(
                        Face(track.identity, box, track.score, observed=track.observed, looks=track.looks)
                    )
        return sorted(faces, key=lambda face: -face.score)

    def _is_there(self, track: _Track, time: float) -> bool:
        """Whether a face is certain enough, and not lost for too long."""
        bridged = min(self.options.bridge, track.time - track.since)
        return track.certainty >= self.options.certain and time - track.time <= bridged


def _new_velocity(
    velocity: NDArray[np.float64], moved: NDArray[np.float64], elapsed: float
) -> NDArray[np.float64]:
    """Exponential mean of the velocity (pixels per second) over a fixed time, whatever the step.

    Tiny steps count little, so that a tremble between two nearly simultaneous pictures is no motion.
    """
    if elapsed <= 0:
        return velocity
    weight = -np.expm1(-elapsed / MOTION_MEMORY)
    return (1 - weight) * velocity + weight / elapsed * moved


def _pairs(cost: NDArray[np.float64], possible: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """As many possible pairs (row, column) as there can be, at the least total cost."""
    rows, columns = linear_sum_assignment(np.where(possible, cost, 1e3))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if possible[r, c]]


def _distances(first: Sequence[Box], second: Sequence[Box]) -> NDArray[np.float64]:
    """Between the centres of every pair, in units of the boxes' size (the mean of both), (first, second)."""
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    sizes = ((x[..., 2:] - x[..., :2]).clip(1e-3).prod(-1) for x in (a, b))
    return np.asarray(
        np.hypot(apart[..., 0], apart[..., 1]) / np.prod(np.broadcast_arrays(*sizes), 0) ** 0.25
    )


def _best_of_others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For every cell the greatest other value in its row and column; at least two of each."""
    best = []
    for axis in (0, 1):
        ranked = np.sort(values, axis=axis)
        first, second = (np.take(ranked, [place], axis=axis) for place in (-1, -2))
        best.append(np.where(values < first, first, second))
    return np.maximum(*best)


def likeness_matrix(first: Sequence[Looks], second: Sequence[Looks]) -> NDArray[np.float64]:
    """Bhattacharyya coefficients of every pair of colour histograms, 0..1, (first, second)."""
    a, b = (np.stack(looks).astype(np.float64) for looks in (first, second))
    a, b = (x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12) for x in (a, b))
    return np.asarray(np.clip(a @ b.T, 0, 1))


def _looks(image: NDArray[np.uint8], box: Box) -> Looks:
    """Square-rooted colour histograms of the head and of the shoulders below it."""
    w, h = box.width, box.height
    head = Box(box.x1 - 0.15 * w, box.y1 - 0.5 * h, box.x2 + 0.15 * w, box.y2)
    shoulders = Box(box.x1 - 0.4 * w, box.y2 + 0.1 * h, box.x2 + 0.4 * w, box.y2 + 1.3 * h)
    return np.concatenate([_colours(image, head), _colours(image, shoulders)])


def _colours(image: NDArray[np.uint8], box: Box) -> Looks:
    height, width = image.shape[:2]
    x1, x2 = (int(np.clip(v, 0, width)) for v in (box.x1, box.x2))
    y1, y2 = (int(np.clip(v, 0, height)) for v in (box.y1, box.y2))
    patch = image[y1:y2, x1:x2]
    if patch.size == 0:
        return np.zeros(6 * 6 * 6, np.float32)
    small = cv2.resize(patch, (16, 16), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    # Most colours lie in the middle half of a and b; the stronger ones count as its border.
    ranges = [0, 256, 64, 192, 64, 192]
    lab = np.clip(lab, (0, 64, 64), (255, 191, 191)).astype(np.uint8)
    histogram = cv2.calcHist([lab], [0, 1, 2], None, [6, 6, 6], ranges).ravel()
    return np.sqrt(histogram / max(1.0, histogram.sum())).astype(np.float32)
