"""The streaming core: frames and sound flow once, left to right, from faces over cues to fusion."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.config.pipelines import CueSettings
from gasp.config.plugins import create_plugin, make
from gasp.config.settings import PredictSettings
from gasp.cues.adapter import as_cue
from gasp.cues.command import CommandCue
from gasp.cues.cue import CUES, PUBLISHED_CUES, Cue, CueResult, Map
from gasp.cues.held import HeldCue
from gasp.cues.observation import Observation
from gasp.errors import GaspError
from gasp.faces.command import CommandFaceDetector
from gasp.faces.detector import DETECTORS, NO_DETECTOR, FaceDetector, create_detector
from gasp.faces.face import Detection, Face
from gasp.faces.glance_reader import Glimpse, shrink
from gasp.faces.tracker import FaceTracker
from gasp.fusion.contributions import Contributions
from gasp.fusion.gasp import Fused, GaspFusion
from gasp.fusion.placement import Placement, PlacementRule
from gasp.messages.link import ProgramError
from gasp.networks.glance import STRIDE
from gasp.pipeline.cue_runner import CueRunner, Events, black
from gasp.pipeline.networks import Networks as Networks
from gasp.pipeline.networks import choose_device as choose_device
from gasp.pipeline.prediction import Focus, Prediction
from gasp.video.cuts import CutDetector
from gasp.video.frames import Frame

SOUND_RATE = 16000
"""Samples per second of the sound that cues are given, unless one of them states a higher ``sound_rate``."""


class Pipeline:
    """Predicts one video, frame after frame, in memory that does not grow.

    ``latency`` is the number of frames by which predictions may lag behind frames: the furthest that a cue looks
    ahead, 0 for the default cues. Every frame gets every cue's map for that very frame; :meth:`finish` gives those of
    the frames that still wait at the end. ``warm_up`` is the number of frames to predict before the first that is
    wanted, where work begins in the middle of a video, so that its maps and contributions are right: the furthest that
    a cue looks back, the fusion's window, and the frames between two looks at contributions; None where that is
    everything since the beginning. (Identities of people may still differ.)
    ``sound_rate``: samples per second of the sound that the cues ask for.

    ``still``: the source is a single picture, which people look at otherwise than at a video.

    ``spread``: looks at contributions are spread over frames, so many coalitions each, so that none takes much longer
    than the others (:class:`gasp.fusion.coalitions.Looks`).

    ``events`` counts what went wrong without stopping the run, by description. ``cues``: cues of your own, in place of
    those that the settings name.
    """

    def __init__(
        self,
        settings: PredictSettings,
        networks: Networks | None = None,
        *,
        step: float = 0.04,
        still: bool = False,
        cues: Sequence[Cue] | None = None,
        spread: int = 0,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.networks = networks or Networks.load(settings)
        self._still = still
        self.events = Events()
        self._nominal_step = step
        self._detector = self._other_detector()
        self._tracker = FaceTracker()
        self._cuts = CutDetector()
        self._runners = (
            self._make_runners()
            if cues is None
            else [CueRunner(as_cue(cue), self.events, step=step) for cue in cues]
        )
        self._reads = self._needs_reading()
        looks = looks_every(settings.why, step)
        self._fusion, self._placement = make_fusion(
            settings, self.networks, step, still=still, looks=looks, spread=spread
        )
        self._waiting: deque[Observation] = deque()
        self._time: float | None = None
        self._start: float | None = None
        self.latency = max((runner.future for runner in self._runners), default=0)
        self.sound_rate = max([SOUND_RATE, *(runner.sound_rate for runner in self._runners)])
        self.warm_up = warm_up(
            [runner.past for runner in self._runners],
            self._fusion.network.sequence_len,
            looks,
            0 if self._placement is None else self._placement.past,
        )

    def begin(self, start_time: float) -> None:
        """Says when the first frame of the video is shown, in seconds on the clock of :attr:`Frame.time`.

        Needed before the first :meth:`step` where work begins in the middle of a video, since cues count blocks of
        sound from its beginning.
        """
        self._start = start_time

    @property
    def reads(self) -> bool:
        """Whether anybody uses what the packaged network sees."""
        return self._reads

    def ages(self, glimpse: int) -> dict[str, int]:
        """By cue, and for detected faces, how many frames old it is where the ``glimpse`` is so many frames old."""
        shared = self._detector is None and self.settings.faces != NO_DETECTOR
        ages = {runner.name: glimpse if runner.needs_saliency else 0 for runner in self._runners}
        return {**ages, "detection": glimpse if shared else 0}

    def ease(self, *, rest: bool, shrink: float = 1.0) -> None:
        """Leave work out, or take it up again, from the next frame on.

        Args:
            rest: Look at contributions anew only where a shot begins or a cue begins to say something.
            shrink: Width and height of the fusion's maps as shares of the usual ones (:meth:`GaspFusion.shrink`).
        """
        self._fusion.rests = rest
        self._fusion.shrink(shrink)

    def look(self, frames: Sequence[Frame]) -> list[Glimpse | None]:
        """What the packaged network sees in each frame, None where nobody uses it.

        Depends on nothing but the frames: it may be called for the next ones, in another thread, while :meth:`step`
        is still at work on these.
        """
        if not self._reads:
            return [None] * len(frames)
        read_stills = self.networks.stills if self._still else None
        reader = read_stills() if read_stills else self.networks.reader
        return list(reader.read([frame.image for frame in frames]))

    def step(
        self,
        frames: Sequence[Frame],
        sounds: Sequence[NDArray[np.float32] | None],
        glimpses: Sequence[Glimpse | None] | None = None,
    ) -> list[Prediction]:
        """Predictions of the frames that are complete with these next frames, computed together, in order.

        ``sounds``: for each frame the mono samples at ``sound_rate`` from its time to the next frame's, or None.
        ``glimpses``: what :meth:`look` gave for the frames, if it was called already. Results do not depend on how
        frames are grouped into calls.
        """
        images = [frame.image for frame in frames]
        glimpses = self.look(frames) if glimpses is None else glimpses
        found = self._detect(images, glimpses)
        observations = [self._observe(*stage) for stage in zip(frames, sounds, glimpses, found, strict=True)]
        self._waiting.extend(observations)
        for runner in self._runners:
            runner.submit(observations)
        # What is done elsewhere goes on while the others work.
        for runner in sorted(self._runners, key=lambda runner: runner.elsewhere):
            runner.collect()
        return self._predict_complete()

    def finish(self) -> list[Prediction]:
        """Predictions of the frames that still wait at the end of the video."""
        for runner in self._runners:
            runner.finish()
        self.close()
        return self._predict_complete()

    def close(self) -> None:
        """Gives up what cues and the face detector hold outside, such as processes. :meth:`finish` does so, too."""
        for runner in self._runners:
            runner.close()
        if isinstance(self._detector, CommandFaceDetector):
            self._detector.close()

    def _make_runners(self) -> list[CueRunner]:
        runners = []
        for cue in self.settings.pipeline.cues:
            if cue.name in self.settings.cues:
                make = self._maker(cue)
                runners.append(CueRunner(make(), self.events, make, step=self._nominal_step))
        return runners

    def _maker(self, cue: CueSettings) -> Callable[[], Cue]:
        make = self._plain_maker(cue)
        return make if cue.every == 1 else lambda: HeldCue(make(), cue.every)

    def _plain_maker(self, cue: CueSettings) -> Callable[[], Cue]:
        if cue.is_program:
            return partial(CommandCue, cue.name, **cue.program)
        if cue.name in PUBLISHED_CUES:
            network, device = self.networks.cues[cue.name], str(self.networks.device)
            cls = PUBLISHED_CUES[cue.name].load()
            return lambda: make(cue.name, cls, network, device=device, mode=cue.mode, **cue.options)
        if cue.name in CUES:
            return lambda: make(cue.name, CUES[cue.name].load(), **cue.options)
        return lambda: as_cue(create_plugin("gasp.cues", cue.name, **cue.options))

    def _needs_reading(self) -> bool:
        """Whether anybody uses what the packaged network sees: the published cues do not."""
        entry = DETECTORS.get(self.settings.faces)
        shared = entry is not None and entry.shared
        return shared or any(runner.needs_saliency for runner in self._runners)

    def _other_detector(self) -> FaceDetector | None:
        faces = self.settings.face_finding
        if faces.detector == NO_DETECTOR:
            return None
        if faces.is_program:
            return CommandFaceDetector(**faces.program)
        entry = DETECTORS.get(faces.detector)
        if entry is None:
            return create_plugin("gasp.faces", faces.detector, **faces.options)
        if entry.shared:
            return None
        where = {"device": str(self.networks.device)} if entry.takes_device else {}
        return make(faces.detector, partial(create_detector, faces.detector), **where, **faces.options)

    def _detect(
        self, images: list[NDArray[np.uint8]], glimpses: Sequence[Glimpse | None]
    ) -> list[list[Detection]]:
        if self.settings.faces == NO_DETECTOR:
            return [[] for _ in images]
        if self._detector is None:
            return [[] if glimpse is None else glimpse.faces for glimpse in glimpses]
        try:
            return self._detector.detect(images)
        except GaspError:
            raise
        except Exception as error:
            fault = f": {error.fault}" if isinstance(error, ProgramError) else ""
            self.events.note(f"face detector {self.settings.faces} failed{fault}", error, len(images))
            return [[] for _ in images]

    def _observe(
        self,
        frame: Frame,
        sound: NDArray[np.float32] | None,
        glimpse: Glimpse | None,
        found: list[Detection],
    ) -> Observation:
        number = frame.index // self.settings.every
        if self._time is None and number == 0:
            self._start = frame.time
        step = self._nominal_step if self._time is None else max(1e-3, frame.time - self._time)
        self._time = frame.time
        small = shrink(frame.image) if glimpse is None else glimpse.small
        saliency = None if glimpse is None else glimpse.saliency
        cut = self._cuts.step(small)
        if saliency is not None and not np.isfinite(saliency).all():
            self.events.note("saliency network gave values that are not numbers")
            saliency = np.zeros_like(saliency)
        return Observation(
            frame=frame,
            small=small,
            grid=(small.shape[0] // STRIDE, small.shape[1] // STRIDE),
            faces=self._track(frame, found, cut),
            log_saliency=saliency,
            sound=sound,
            sound_rate=self.sound_rate,
            cut=cut,
            step=step,
            number=number,
            start=self._start,
        )

    def _track(self, frame: Frame, found: list[Detection], cut: bool) -> list[Face]:
        if self.settings.face_finding.tracking:
            return self._tracker.step(frame.image, found, frame.time, cut=cut)
        return [Face(place, face.box, face.score) for place, face in enumerate(found, 1)]

    def _predict_complete(self) -> list[Prediction]:
        """Predictions of the leading frames that every cue has a map for."""
        count = min((len(runner.ready) for runner in self._runners), default=len(self._waiting))
        observations = [self._waiting.popleft() for _ in range(count)]
        results = [{runner.name: runner.ready.popleft() for runner in self._runners} for _ in range(count)]
        fused = self._fusion.step(
            [self._in_order(cues, o) for cues, o in zip(results, observations, strict=True)],
            [observation.cut for observation in observations],
            [observation.number for observation in observations],
        )
        return [self._predict(*stage) for stage in zip(observations, results, fused, strict=True)]

    def _in_order(self, cues: dict[str, CueResult], observation: Observation) -> list[Map]:
        """The maps that the fusion takes; a modality that is not computed is a black picture."""
        return [
            cues[name].map if name in cues else black(observation) for name in self.networks.fusion.modalities
        ]

    def _predict(self, observation: Observation, cues: dict[str, CueResult], fused: Fused) -> Prediction:
        saliency = fused.saliency
        failed = fused.replaced or not np.isfinite(saliency).all()
        if failed:
            self.events.note("fusion network gave values that are not numbers")
        if not np.isfinite(saliency).all():
            saliency = np.zeros_like(saliency)
        contributions = fused.contributions
        if self._placement is not None:
            saliency, contributions = self._placement.place(
                saliency,
                contributions,
                heights_of(observation.faces, observation.frame.height),
                cut=observation.cut,
            )
        gates = fused.gates
        if gates is not None and not np.isfinite(list(gates.values())).all():
            gates = None
        frame = observation.frame
        found = list(cues.values())
        size = (frame.height, frame.width)
        return Prediction(
            index=frame.index,
            time=frame.time,
            saliency=saliency,
            gates=gates,
            cues={name: result.map for name, result in cues.items()},
            faces=[
                explain_face(describe_face(face, found), contributions, *size) for face in observation.faces
            ],
            focus=find_focus(saliency, frame.height, frame.width),
            image=frame.image,
            failed=failed,
            contributions=contributions,
            cut=observation.cut,
            ages={name: result.age for name, result in cues.items() if result.age},
        )


def describe_face(face: Face, results: Sequence[CueResult]) -> Face:
    """The face with what the cues found of it; later ones overrule earlier ones."""
    found: dict[str, float | str] = {}
    for result in results:
        found.update(result.found.get(face.track_id, {}))
    return replace(face, found=found)


def explain_face(face: Face, contributions: Contributions | None, height: int, width: int) -> Face:
    """The face with what cues contribute to its share of attention, in a picture of ``height`` x ``width``."""
    return face if contributions is None else replace(face, why=contributions.share(face.box, height, width))


def make_fusion(
    settings: PredictSettings,
    networks: Networks,
    step: float,
    *,
    still: bool,
    looks: int = 0,
    spread: int = 0,
) -> tuple[GaspFusion, Placement | None]:
    """The fusion, at its beginning, and what places its maps, where the settings ask for that.

    Args:
        settings: of the run.
        networks: of the pipeline.
        step: seconds between frames.
        still: whether the source is a single picture, whose map stays where it is.
        looks: frames between two looks at contributions; 0 without.
        spread: coalitions per frame over which a look is spread; 0: not at all.
    """
    published = settings.pipeline.alignment == "published"
    rule = PlacementRule() if settings.pipeline.places and not still else None
    fusion = GaspFusion(
        networks.fusion,
        networks.device,
        windows="newest repeated" if published else "first repeated",
        sharpness=rule.sharpness if rule else 1.0,
        looks=looks,
        cues=settings.pipeline.cue_names,
        spread=spread,
    )
    return fusion, Placement(rule, step) if rule else None


def heights_of(faces: Sequence[Face], height: int) -> list[float]:
    """Heights of faces as shares of that of their picture."""
    return [face.box.height / height for face in faces]


def looks_every(seconds: float, step: float) -> int:
    """Frames between two looks at contributions that are to be ``seconds`` apart; 0 where there are none."""
    return max(1, round(seconds / step)) if seconds else 0


def warm_up(pasts: Sequence[int | None], sequence_len: int, looks: int = 0, placement: int = 0) -> int | None:
    """Frames before the first that is wanted on which it depends, through cues and the fusion.

    Args:
        pasts: those that the cues declare.
        sequence_len: frames in the fusion's window.
        looks: frames between two looks at contributions, which are held until the next one; 0 without.
        placement: frames before its own over which a map is averaged.

    Returns:
        The number of frames, or None for all since the beginning.
    """
    known = [past for past in pasts if past is not None]
    if len(known) < len(pasts):
        return None
    return max(known, default=0) + sequence_len - 1 + max(0, looks - 1) + placement


def find_focus(saliency: NDArray[np.float32], height: int, width: int) -> Focus:
    """The peak of a map in pixels of a picture of ``height`` x ``width`` (the middle of the map's cell)."""
    row, column = np.unravel_index(int(saliency.argmax()), saliency.shape)
    rows, columns = saliency.shape
    x, y = (column + 0.5) * width / columns, (row + 0.5) * height / rows
    return Focus(float(x), float(y), float(saliency[row, column]))
