"""Who is speaking, told by Light-ASD from the pictures of every face and the sound.

The network is that of Liao et al., "A Light Weight Model for Active Speaker Detection", CVPR 2023. Its authors run it
on whole tracks, once these are over; here it runs while the video goes on, on a stretch of time around every frame.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp.cues.audio_features import HeardSound, resample
from gasp.cues.crops import crop_head, head_box
from gasp.cues.cue import Cue, CueResult
from gasp.cues.drawing import draw_on_faces
from gasp.cues.mfcc import RATE, mfcc_rows, window_and_hop
from gasp.cues.observation import Observation
from gasp.cues.saliency import Mode
from gasp.cues.voice import VoiceActivity
from gasp.errors import UsageError
from gasp.faces.face import Box, Face
from gasp.networks.light_asd import ROWS, SIDE, WIDTH, LightASD
from gasp.networks.light_asd_stream import DELAY, FaceEncoder, FaceStream, SoundStream

log = logging.getLogger(__name__)

BEATS = 25
"""Frames per second that the network knows best."""
SLOWEST = 19.5
"""Frames per second below which sound features no longer hear everything."""

PAST, FUTURE = 50, 6
"""Beats before and after its own whose embeddings count for a frame."""
SMOOTHED = (9, 3)
"""Beats before and after its own over whose scores the mean is taken."""

SHARE = 1.0
"""Side of the square that is cut out around a face, in longer sides of its box: the whole face."""
SMALLEST = 40.0
"""Pixels of the longer side of a face below which lips cannot be read."""

FULL_INT16 = 32768
RESAMPLER_REACH = 66
"""Samples, of the lower rate, that a resampled sample sees on either side."""


class Beat(NamedTuple):
    """How the network's pace follows frames, so that it is near 25 per second.

    The network sees every ``every``-th frame of the video, each ``repeat`` times; one of the two is 1. ``rate``: beats
    per second.
    """

    every: int
    repeat: int
    rate: float

    @classmethod
    def of(cls, step: float) -> Beat:
        """For frames that are ``step`` seconds apart."""
        fps = 1 / step
        every, repeat = max(1, round(fps / BEATS)), max(1, min(BEATS, round(BEATS / fps)))
        # Of two that are about as near the quicker one is taken, which hears everything.
        if fps * repeat / every < SLOWEST:
            every, repeat = max(1, every - 1), repeat + (every == 1)
        return cls(every, repeat, fps * repeat / every)

    def beats(self, number: int) -> range:
        """The beats that frame ``number`` brings."""
        if self.repeat > 1:
            return range(number * self.repeat, (number + 1) * self.repeat)
        return range(number // self.every, number // self.every + (number % self.every == 0))

    def at(self, number: int) -> int:
        """The beat of a frame: its first one, or the last before it."""
        return number * self.repeat // self.every

    def frames(self, beats: int) -> int:
        """The least number of frames after (or before) which so many further beats have come."""
        return math.ceil(beats / self.repeat) * self.every


class SpeakingASD(Cue):
    """Modality ``speaking-asd``: a Gaussian on every face, as strong as its speaking score.

    For every face and frame the network sees 50 beats (2 s) before and 6 after it, and the score is the mean
    probability (softmax) of "speaks and is heard" from 9 beats before to 3 after the frame, because people look at a
    speaker a moment later. Where :class:`gasp.cues.voice.VoiceActivity` hears a voice for less than half, the score is
    lowered in proportion. Says of faces ``speaking`` (0..1). A face does not lower another one's score.

    Without sound the network's visual head tells whether lips move as in speech. A face whose box is less than
    ``smallest`` pixels long has no score, and is not drawn.

    A beat is a frame at 25 per second or so; of quicker videos the network sees every second frame (and so on), of
    slower ones each frame several times. A face that was lost begins anew (the tracker bridges short gaps), as does
    everybody at a cut.

    ``network``: a :class:`~gasp.networks.light_asd.LightASD` with weights. A face for which the network gives values
    that are not numbers is left out and counted in ``failures``. A picture of a face goes through the visual encoder,
    which is nearly all of the work, once.
    """

    name = "speaking-asd"
    needs_saliency = False
    sound_rate = RATE

    def __init__(
        self,
        network: LightASD,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        smallest: float = SMALLEST,
    ) -> None:
        if mode != "corrected":
            raise UsageError(f"speaking-asd has no mode {mode!r}: the pipeline of 2021 had no such cue")
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.smallest = smallest
        self._encoder = FaceEncoder(self.network)
        self._like = next(self.network.parameters())
        self.begin(1 / BEATS)

    def begin(self, step: float) -> None:
        """Beats become frames."""
        self._beat = beat = Beat.of(step)
        # The first embeddings after a beginning do not see what was before it.
        self.past = beat.frames(PAST + DELAY) + beat.every - 1
        self.future = beat.frames(FUTURE + DELAY)
        self._voice = VoiceActivity(step)
        self._open: dict[int, _Stretch] = {}
        self._ended: list[_Stretch] = []
        self._waiting: deque[_Waiting] = deque()
        self._voices: deque[float] = deque()
        self._sound: _Hearing | None = None
        self._begun = False

    @torch.inference_mode()
    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """The maps that are complete with these next frames, grey uint8 of shape ``grid``, and who speaks."""
        for observation in observations:
            self._take(observation)
        return self._draw_complete(ended=False)

    @torch.inference_mode()
    def finish(self) -> list[CueResult]:
        """The maps of the frames that still wait."""
        self._end(list(self._open))
        return self._draw_complete(ended=True)

    def _take(self, observation: Observation) -> None:
        """What there is to know of the next frame; the network looks later, at all frames of a call together."""
        number, sound = observation.number, observation.sound
        beats = self._beat.beats(number)
        if not self._begun:
            self._begun = True
            if sound is not None:
                self._sound = _Hearing(self.network, self._beat, observation)
        if self._sound is not None:
            self._sound.add(observation, beats)
        self._voices.append(self._voice.step(sound, observation.sound_rate))
        if observation.cut:
            self._end(list(self._open))
        if beats:
            self._look(observation, beats)
        self._waiting.append(
            _Waiting(
                observation.faces,
                observation.frame.image.shape[:2],
                observation.grid,
                self._beat.at(number),
                {f.track_id: self._open[f.track_id] for f in observation.faces if f.track_id in self._open},
            )
        )

    def _look(self, observation: Observation, beats: range) -> None:
        """Cut out the faces of a frame that the network sees."""
        crops = {
            face.track_id: crop
            for face in observation.faces
            if (crop := grey_face(observation.frame.image, face.box, self.smallest)) is not None
        }
        self._end([track_id for track_id in self._open if track_id not in crops])
        for track_id, crop in crops.items():
            if track_id not in self._open:
                self._open[track_id] = _Stretch(FaceStream(self._encoder), beats.start, self._like)
            self._open[track_id].crops += [crop] * len(beats)

    def _end(self, track_ids: Iterable[int]) -> None:
        self._ended += [self._open.pop(track_id) for track_id in track_ids]

    def _draw_complete(self, *, ended: bool) -> list[CueResult]:
        for stretch in self._open.values():
            stretch.embed(ended=False)
        for stretch in self._ended:
            stretch.embed(ended=True)
        self._ended = []
        if self._sound is not None:
            self._sound.embed(ended=ended)
        complete = [
            self._waiting.popleft()
            for _ in range(len(self._waiting) - (0 if ended else min(self.future, len(self._waiting))))
        ]
        scores = self._score(complete)
        results = []
        for i, waiting in enumerate(complete):
            # The voice that is heard from half a second before the frame to half a second after it.
            voice = self._voices[min(self.future, len(self._voices) - 1)]
            self._voices.popleft()
            results.append(waiting.draw(scores[i], min(1.0, 2 * voice)))
        self._forget()
        return results

    def _score(self, complete: Sequence[_Waiting]) -> list[dict[int, float]]:
        """The network's score of every face of these frames, by ``track_id``; windows of one form run together."""
        groups: dict[tuple[int, int], list[_Window]] = defaultdict(list)
        for i, waiting in enumerate(complete):
            for track_id, stretch in waiting.stretches.items():
                beats = stretch.around(waiting.beat)
                faces = stretch.embeddings.between(beats.start, beats.stop)
                heard = None if self._sound is None else self._sound.embeddings
                sound = torch.zeros_like(faces) if heard is None else heard.between(beats.start, beats.stop)
                window = _Window(i, track_id, faces, sound)
                groups[waiting.beat - beats.start, len(beats)].append(window)
        scores: list[dict[int, float]] = [{} for _ in complete]
        for (place, _), windows in groups.items():
            for window, score in zip(windows, self._detect(windows, place), strict=True):
                if math.isfinite(score):
                    scores[window.frame][window.track_id] = score
                else:
                    self._fail()
        return scores

    def _detect(self, windows: Sequence[_Window], place: int) -> list[float]:
        """The scores of windows of equal length whose frame's beat is at ``place``."""
        faces, sound = (
            torch.stack(parts) for parts in zip(*((w.faces, w.sound) for w in windows), strict=True)
        )
        output = self.network.detect(faces, sound)
        logits = output.visual_logits if self._sound is None else output.logits
        speaks = logits.float().softmax(2)[..., 1]
        means: list[float] = speaks[:, max(0, place - SMOOTHED[0]) : place + SMOOTHED[1] + 1].mean(1).tolist()
        return means

    def _fail(self) -> None:
        if not self.failures:
            log.warning("speaking-asd gave values that are not numbers: that face is left out")
        self.failures += 1

    def _forget(self) -> None:
        """Drop what no later frame needs."""
        if not self._waiting:
            return
        oldest = self._waiting[0].beat - PAST
        for stretch in {id(s): s for w in self._waiting for s in w.stretches.values()}.values():
            stretch.embeddings.forget(oldest)
        if self._sound is not None:
            self._sound.embeddings.forget(oldest)


class _Embeddings:
    """Embeddings of successive beats from ``first`` on, of which the newest are kept."""

    def __init__(self, first: int, like: Tensor) -> None:
        """``like``: a tensor of the same device and type."""
        self._first = first
        self._rows = like.new_zeros(0, WIDTH)

    @property
    def end(self) -> int:
        return self._first + len(self._rows)

    def add(self, rows: Tensor) -> None:
        self._rows = torch.cat([self._rows, rows]) if len(self._rows) else rows

    def between(self, start: int, stop: int) -> Tensor:
        """(stop - start, 128); zeros where there is none."""
        rows = self._rows[max(0, start - self._first) : max(0, stop - self._first)]
        before = min(stop - start, max(0, self._first - start))
        after = stop - start - before - len(rows)
        return torch.nn.functional.pad(rows, (0, 0, before, after)) if before or after else rows

    def forget(self, before: int) -> None:
        gone = min(len(self._rows), max(0, before - self._first))
        self._rows, self._first = self._rows[gone:], self._first + gone


class _Window(NamedTuple):
    """What the network is told of one face for one frame: ``frame`` counts those of a call; embeddings (n, 128)."""

    frame: int
    track_id: int
    faces: Tensor
    sound: Tensor


class _Stretch:
    """One face for as long as it is seen without a gap, from beat ``first`` on."""

    def __init__(self, stream: FaceStream, first: int, like: Tensor) -> None:
        self.first = first
        self.crops: list[NDArray[np.uint8]] = []
        self.embeddings = _Embeddings(first, like)
        self._stream, self._device = stream, like.device

    def embed(self, *, ended: bool) -> None:
        """Let the network see what was cut out since the last time."""
        if self.crops:
            faces = torch.from_numpy(np.stack(self.crops)).to(self._device)
            self.embeddings.add(self._stream.push(faces))
            self.crops = []
        if ended:
            self.embeddings.add(self._stream.finish())

    def around(self, beat: int) -> range:
        """The beats that count for one."""
        return range(max(self.first, beat - PAST), min(self.embeddings.end, beat + FUTURE + 1))


class _Hearing:
    """Embeddings of the sound of a video, in :attr:`embeddings`."""

    def __init__(self, network: LightASD, beat: Beat, first: Observation) -> None:
        weight = next(network.parameters())
        self.embeddings = _Embeddings(beat.at(first.number + beat.every - 1), weight)
        self._stream = SoundStream(network)
        self._like = weight
        self._beat = beat
        self._window, self._hop = window_and_hop(beat.rate)
        seconds = 1 + (3 * beat.every + 1) * max(first.step, beat.repeat / beat.rate)
        self._heard = HeardSound(first.sound_rate, seconds, first.start)
        self._due: deque[tuple[int, float]] = deque()
        self._rows: list[NDArray[np.float64]] = []

    def add(self, observation: Observation, beats: range) -> None:
        """Takes the sound of the next frame, with which these beats begin."""
        time, number = observation.frame.time, observation.number
        self._heard.add(observation.sound, time)
        self._due += [(number, time + k / self._beat.rate) for k in range(len(beats))]
        # The window of a beat's last row ends within the frame after its own.
        while self._due and self._due[0][0] + self._beat.every <= number:
            self._listen()

    def embed(self, *, ended: bool) -> None:
        """Let the network hear what came since the last time."""
        while ended and self._due:
            self._listen()
        if self._rows:
            self.embeddings.add(
                self._stream.push(torch.from_numpy(np.concatenate(self._rows)).to(self._like))
            )
            self._rows = []
        if ended:
            self.embeddings.add(self._stream.finish())

    def _listen(self) -> None:
        """The rows of the oldest beat that has none."""
        _, time = self._due.popleft()
        samples = self._excerpt(time, (ROWS - 1) * self._hop + self._window)
        self._rows.append(mfcc_rows(FULL_INT16 * samples, ROWS, self._window, self._hop))

    def _excerpt(self, time: float, length: int) -> NDArray[np.float64]:
        """So many samples at 16 kHz from ``time`` on, and the one before them."""
        rate = self._heard.rate
        start = round(self._heard.seconds(time) * rate)
        if rate == RATE:
            before, stop = 1, start + length
        else:
            # Sound before and after it lets the resampler settle; before it a whole number of samples at 16 kHz.
            period, reach = rate // math.gcd(rate, RATE), math.ceil(RESAMPLER_REACH * max(1, rate / RATE))
            before, stop = -(-reach // period) * period, start + math.ceil(length * rate / RATE) + reach
        samples = self._heard.cut(start - before, stop).astype(np.float64)
        samples = np.pad(samples, (max(0, before - start), 0))
        return samples if rate == RATE else resample(samples, rate, RATE)[before * RATE // rate - 1 :]


@dataclass(slots=True)
class _Waiting:
    """A frame whose map is not complete.

    ``picture``: height and width of the frame. ``beat``: the one that the frame shows. ``stretches``: those of its
    faces, by ``track_id``.
    """

    faces: list[Face]
    picture: tuple[int, int]
    grid: tuple[int, int]
    beat: int
    stretches: dict[int, _Stretch] = field(default_factory=dict)

    def draw(self, scores: dict[int, float], voice: float) -> CueResult:
        """The frame's map."""
        said = {track_id: voice * score for track_id, score in scores.items()}
        seen = [face for face in self.faces if face.track_id in said]
        drawn = draw_on_faces(
            [face.box for face in seen], [said[face.track_id] for face in seen], self.picture, self.grid
        )
        return CueResult(drawn, {track_id: {"speaking": score} for track_id, score in said.items()})


def grey_face(image: NDArray[np.uint8], box: Box, smallest: float) -> NDArray[np.uint8] | None:
    """What the network sees of a face: the square around it, (112, 112) grey uint8.

    None for a face that is too small, does not touch the picture, or has no size.
    """
    square = head_box(box, SHARE)
    if square is None or max(box.width, box.height) < smallest:
        return None
    crop = crop_head(image, square, SIDE)
    return None if crop is None else np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
