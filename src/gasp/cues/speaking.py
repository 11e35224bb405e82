"""Who is speaking: lively mouths while there is a voice in the sound."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.cues.alignment import move_onto
from gasp.cues.cue import CueResult, FrameCue
from gasp.cues.drawing import draw_on_faces
from gasp.cues.observation import Observation
from gasp.faces.face import Box, Face

PATCH = 48
MOUTH = (slice(30, 47), slice(10, 38))
"""Rows and columns of the mouth in a face patch of 48 x 48."""
EYES = (slice(4, 24), slice(6, 42))


class Speaking(FrameCue):
    """Modality ``speaking``: a Gaussian on every face, as strong as its speaking score.

    Mouth activity a of a face: mean absolute difference of the mouth region between successive frames, the
    face being shifted into place first, over the contrast of the face. Speech moves the mouth in bursts, so
    liveliness l = max(0, sd(a) - 0.5 * sd(e)), e being the same measure around the eyes and sd the standard
    deviation over about 0.7 s. With voice v (0..1, :class:`VoiceActivity`; 0.5 without sound) the score is
    v * l^2 / (sum of l^2 over all faces + 0.02^2).

    ``past`` is that of liveliness: variances are forgotten by a factor of exp(-step / 0.7 s) per frame. A face that
    was as lively as can be (l = 1: the mouth changes by the face's whole contrast) and is still now scores less than
    half a grey level once what is left of l^2 is below 0.02^2 * 0.5 / 255; that takes 10 seconds. The voice's quiet
    floor has a longer memory, which no number of frames bounds: :class:`VoiceActivity`.
    """

    name = "speaking"
    memory = 0.7
    quiet = 0.02
    past = None

    def __init__(self) -> None:
        self._mouths: dict[int, _Mouth] = {}
        self._voice = VoiceActivity()

    def begin(self, step: float) -> None:
        """Memories become frames."""
        self.past = math.ceil(self.memory / step * -math.log(self.quiet**2 * 0.5 / 255))

    def step(self, observation: Observation) -> CueResult:
        """The map, grey uint8 of shape ``observation.grid``, and ``speaking`` (0..1) of each face."""
        voice = self._voice.step(observation.sound, observation.sound_rate, observation.step)
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
        share = 1 - np.exp(-observation.step / self.memory)
        present = {face.track_id: face for face in observation.faces}
        self._mouths = {identity: self._mouths.get(identity, _Mouth()) for identity in present}
        for identity, face in present.items():
            self._mouths[identity].look(_patch(observation.frame.image, face), share)
        return np.array([self._mouths[identity].liveliness for identity in present], np.float64)


@dataclass(slots=True)
class _Mouth:
    """Running mean and variance of the activity around the mouth and around the eyes."""

    patch: NDArray[np.float32] | None = None
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    variance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def look(self, patch: NDArray[np.float32], share: float) -> None:
        """Takes over the next patch; ``share`` is the weight of the new value."""
        if self.patch is not None:
            difference = np.abs(patch - move_onto(self.patch, patch, within=0.125)) / (float(patch.std()) + 8)
            activity = np.array([difference[MOUTH].mean(), difference[EYES].mean()], np.float64)
            apart = activity - self.mean
            self.mean += share * apart
            self.variance = (1 - share) * (self.variance + share * apart**2)
        self.patch = patch

    @property
    def liveliness(self) -> float:
        mouth, eyes = np.sqrt(self.variance)
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


class VoiceActivity:
    """Whether somebody is heard: energy between 300 and 3400 Hz above the background of the recording.

    The level in decibels of each frame's sound is compared with a floor that follows quiet passages at
    once and rises by 2 dB per second otherwise: 0 up to 6 dB above it, 1 from 26 dB, smoothed over 0.3 s.

    The floor depends on the sound since the beginning of the recording: after a quiet passage it needs half a second
    for every decibel to the level of what follows. Begun in the middle, it is the same only once a passage quieter than
    both floors has been heard, or both have risen to the level of the sound.
    """

    def __init__(self) -> None:
        self._floor: float | None = None
        self._voice = 0.0

    def step(self, sound: NDArray[np.float32] | None, rate: int, step: float) -> float:
        """The next frame's voice activity, 0..1; 0.5, which tells nothing, without sound."""
        if sound is None:
            return 0.5
        level = _speech_band_level(sound, rate)
        if self._floor is None:
            # The first frames may already be speech, which is rarely more than 40 dB above silence.
            self._floor = max(-70.0, level - 26.0)
        self._floor = min(level, self._floor + 2.0 * step) if level > -90 else self._floor
        heard = min(1.0, max(0.0, (level - self._floor - 6) / 20))
        self._voice += (heard - self._voice) * (1 - np.exp(-step / 0.3))
        return float(self._voice)


def _speech_band_level(sound: NDArray[np.float32], rate: int) -> float:
    """Level of the speech band in dB relative to full scale; -100 for silence or too few samples."""
    if sound.size < 64:
        return -100.0
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    frequency = np.fft.rfftfreq(sound.size, 1 / rate)
    power = spectrum[(frequency >= 300) & (frequency <= 3400)].sum() * 4 / sound.size**2
    # Damaged sound may hold values that are not numbers: nobody is heard in it.
    return max(-100.0, 10 * float(np.log10(power + 1e-12))) if np.isfinite(power) else -100.0
