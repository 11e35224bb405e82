"""Who is speaking: lively mouths while there is a voice in the sound."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.cues.alignment import move_onto
from gasp.cues.cue import CueResult, FrameCue, frames_of
from gasp.cues.drawing import draw_on_faces
from gasp.cues.observation import Observation
from gasp.cues.voice import VoiceActivity
from gasp.faces.face import Box, Face

PATCH = 48
MOUTH = (slice(30, 47), slice(10, 38))
"""Rows and columns of the mouth in a face patch of 48 x 48."""
EYES = (slice(4, 24), slice(6, 42))

FADING = 0.7
"""Seconds in which what a mouth did loses two thirds of its weight."""


class Speaking(FrameCue):
    """Modality ``speaking``: a Gaussian on every face, as strong as its speaking score.

    Mouth activity a of a face: mean absolute difference of the mouth region between successive frames, the
    face being shifted into place first, over the contrast of the face. Speech moves the mouth in bursts, so
    liveliness l = max(0, sd(a) - 0.5 * sd(e)), e being the same measure around the eyes and sd the standard
    deviation over the last 2.1 s, in which the past fades by exp(-age / 0.7 s). With voice v (0..1,
    :class:`gasp.cues.voice.VoiceActivity`; 0.5 without sound) the score is
    v * l^2 / (sum of l^2 over all faces + 0.02^2).

    ``past``: the frames of these 2.1 s; the voice needs one second.
    """

    name = "speaking"
    needs_saliency = False
    window = 2.1
    quiet = 0.02
    past = None

    def __init__(self) -> None:
        self.begin(0.04)

    def begin(self, step: float) -> None:
        """Memories become frames."""
        self._mouths: dict[int, _Mouth] = {}
        self._voice = VoiceActivity(step)
        self.past = frames_of(self.window, step)

    def step(self, observation: Observation) -> CueResult:
        """The map, grey uint8 of shape ``observation.grid``, and ``speaking`` (0..1) of each face."""
        voice = self._voice.step(observation.sound, observation.sound_rate)
        lively = self._watch(observation)
        scores = voice * lively**2 / ((lively**2).sum() + self.quiet**2)
        boxes = [face.box for face in observation.faces]
        drawn = draw_on_faces(boxes, list(scores), observation.frame.image.shape[:2], observation.grid)
        found = {
            face.track_id: {"speaking": float(score)}
            for face, score in zip(observation.faces, scores, strict=True)
        }
        return CueResult(drawn, found)

    def _watch(self, observation: Observation) -> NDArray[np.float64]:
        """Liveliness of the mouth of every face."""
        if observation.cut:
            self._mouths.clear()
        present = {face.track_id: face for face in observation.faces}
        self._mouths = {
            identity: self._mouths.get(identity) or _Mouth(deque(maxlen=self.past)) for identity in present
        }
        for identity, face in present.items():
            self._mouths[identity].look(_patch(observation.frame.image, face), observation.step)
        return np.array([self._mouths[identity].liveliness(self.window) for identity in present], np.float64)


@dataclass(slots=True)
class _Mouth:
    """What the mouth and the eyes of one face did of late.

    ``activity``: newest last, of the mouth, of the eyes, and the seconds since the frame before. ``patch``: the face in
    the latest frame.
    """

    activity: deque[tuple[float, float, float]]
    patch: NDArray[np.float32] | None = None

    def look(self, patch: NDArray[np.float32], step: float) -> None:
        """Takes over the next patch, ``step`` seconds after the one before."""
        if self.patch is not None:
            difference = np.abs(patch - move_onto(self.patch, patch, within=0.125)) / (float(patch.std()) + 8)
            self.activity.append((float(difference[MOUTH].mean()), float(difference[EYES].mean()), step))
        self.patch = patch

    def liveliness(self, window: float) -> float:
        """How much more the mouth's activity varies than the eyes'; frames that are yet to come count as still."""
        if not self.activity:
            return 0.0
        rows = np.array(self.activity)
        activity, steps = rows[:, :2], rows[:, 2]
        age = steps[::-1].cumsum()[::-1] - steps
        weight = (np.exp(-age / FADING) * (1 - np.exp(-steps / FADING)))[:, None]
        mean = (weight * activity).sum(0) / max(float(weight.sum()), 1e-12)
        variance = (weight * (activity - mean) ** 2).sum(0) / (1 - math.exp(-window / FADING))
        mouth, eyes = np.sqrt(variance)
        return max(0.0, float(mouth - 0.5 * eyes))


def _patch(image: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
    """The face in grey, 48 x 48, with a tenth of the box on either side, a third above and a little below."""
    box = face.box
    height, width = image.shape[:2]
    wide, high = max(1.0, box.width) * 1.2, max(1.0, box.height) * 1.41
    wider = Box(box.x1 - wide / 12, box.y1 - high * 0.235, box.x2 + wide / 12, box.y2 + high * 0.056)
    x1, x2 = int(np.clip(wider.x1, 0, width - 1)), int(np.clip(np.ceil(wider.x2), 1, width))
    y1, y2 = int(np.clip(wider.y1, 0, height - 1)), int(np.clip(np.ceil(wider.y2), 1, height))
    crop = cv2.cvtColor(image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)], cv2.COLOR_RGB2GRAY)
    scale_x, scale_y = PATCH / wide, PATCH / high
    if min(scale_x, scale_y) < 0.5:
        smaller = (max(1, round(crop.shape[1] * scale_x)), max(1, round(crop.shape[0] * scale_y)))
        ratio = (smaller[0] / crop.shape[1], smaller[1] / crop.shape[0])
        crop = cv2.resize(crop, smaller, interpolation=cv2.INTER_AREA)
    else:
        ratio = (1.0, 1.0)
    matrix = np.array(
        [
            [scale_x / ratio[0], 0, (x1 - wider.x1) * scale_x],
            [0, scale_y / ratio[1], (y1 - wider.y1) * scale_y],
        ]
    )
    return cv2.warpAffine(crop, matrix, (PATCH, PATCH), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
