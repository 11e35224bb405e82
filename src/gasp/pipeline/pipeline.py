"""The streaming core: frames and sound flow once, left to right, from faces over cues to fusion."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.cues.cue import Cue, create_cues
from gasp.cues.observation import Observation
from gasp.errors import GaspError, UsageError
from gasp.faces.detector import FaceDetector, create_detector
from gasp.faces.face import Detection
from gasp.faces.glance import GlanceReader, Glimpse
from gasp.faces.tracker import FaceTracker
from gasp.fusion.gasp import Fused, FusionNetwork, GaspFusion
from gasp.fusion.packaged import load_fusion
from gasp.pipeline.prediction import Focus, Prediction
from gasp.video.cuts import CutDetector
from gasp.video.frames import Frame

log = logging.getLogger(__name__)

SOUND_RATE = 16000


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of a pipeline, loaded once and shared by runs."""

    reader: GlanceReader
    fusion: FusionNetwork
    device: torch.device

    @classmethod
    def load(cls, settings: PredictSettings) -> Networks:
        """The packaged networks, on the device that the settings ask for."""
        device = choose_device(settings.device)
        return cls(GlanceReader(device=device), load_fusion(), device)


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where one can be used. Raises :class:`UsageError` otherwise."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    device = torch.device(name)
    if (device.index or 0) >= count.get(device.type, 0):
        raise UsageError(f"device = {name!r} cannot be used on this machine; run with --device cpu or auto")
    return device


class Pipeline:
    """Predicts one video, frame after frame, in memory that does not grow.

    ``latency`` is the number of frames by which predictions lag behind frames; the default cues only look back,
    so it is 0. ``events`` counts what went wrong without stopping the run, by description. ``cues``: cues of your
    own, in place of those that the settings name.
    """

    latency = 0

    def __init__(
        self,
        settings: PredictSettings,
        networks: Networks | None = None,
        *,
        step: float = 0.04,
        cues: Sequence[Cue] | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.networks = networks or Networks.load(settings)
        self.events: Counter[str] = Counter()
        self._nominal_step = step
        self._detector = self._other_detector()
        self._tracker = FaceTracker()
        self._cuts = CutDetector()
        self._cues = create_cues(settings.cues) if cues is None else list(cues)
        self._fusion = GaspFusion(self.networks.fusion, self.networks.device)
        self._time: float | None = None

    def step(self, frames: Sequence[Frame], sounds: Sequence[NDArray[np.float32] | None]) -> list[Prediction]:
        """Predictions for the next frames, computed together; results do not depend on the grouping.

        ``sounds``: for each frame the mono samples at 16 kHz from its time to the next frame's, or None.
        """
        images = [frame.image for frame in frames]
        glimpses = self.networks.reader.read(images)
        found = self._detect(images, glimpses)
        observations = [self._observe(*stage) for stage in zip(frames, sounds, glimpses, found, strict=True)]
        drawn = [self._draw(observation) for observation in observations]
        fused = self._fusion.step(
            [self._in_order(maps, o) for maps, o in zip(drawn, observations, strict=True)],
            [observation.cut for observation in observations],
        )
        return [self._predict(*result) for result in zip(observations, drawn, fused, strict=True)]

    def _other_detector(self) -> FaceDetector | None:
        name = self.settings.faces
        return None if name in ("glance", "none") else create_detector(name)

    def _detect(self, images: list[NDArray[np.uint8]], glimpses: list[Glimpse]) -> list[list[Detection]]:
        if self.settings.faces == "none":
            return [[] for _ in images]
        if self._detector is None:
            return [glimpse.faces for glimpse in glimpses]
        try:
            return self._detector.detect(images)
        except GaspError:
            raise
        except Exception as error:
            self._note(f"face detector {self.settings.faces} failed", error, len(images))
            return [[] for _ in images]

    def _observe(
        self, frame: Frame, sound: NDArray[np.float32] | None, glimpse: Glimpse, found: list[Detection]
    ) -> Observation:
        step = self._nominal_step if self._time is None else max(1e-3, frame.time - self._time)
        self._time = frame.time
        cut = self._cuts.step(glimpse.small)
        saliency = glimpse.saliency
        if not np.isfinite(saliency).all():
            self._note("saliency network gave values that are not numbers", None)
            saliency = np.zeros_like(saliency)
        return Observation(
            frame=frame,
            small=glimpse.small,
            grid=(saliency.shape[0], saliency.shape[1]),
            faces=self._tracker.step(frame.image, found, frame.time, cut=cut),
            log_saliency=saliency,
            sound=sound,
            sound_rate=SOUND_RATE,
            cut=cut,
            step=step,
        )

    def _draw(self, observation: Observation) -> dict[str, NDArray[np.uint8]]:
        """The map of every cue; a cue that fails costs its own map only."""
        maps = {}
        for cue in self._cues:
            try:
                maps[cue.name] = _check_map(cue.step(observation))
            except GaspError:
                raise
            except Exception as error:
                self._note(f"cue {cue.name} failed", error)
                maps[cue.name] = np.zeros(observation.grid, np.uint8)
        return maps

    def _in_order(
        self, maps: dict[str, NDArray[np.uint8]], observation: Observation
    ) -> list[NDArray[np.uint8]]:
        """The maps that the fusion takes; a modality that is not computed is a black picture."""
        black = np.zeros(observation.grid, np.uint8)
        return [maps.get(name, black) for name in self.networks.fusion.modalities]

    def _predict(
        self, observation: Observation, maps: dict[str, NDArray[np.uint8]], fused: Fused
    ) -> Prediction:
        saliency = fused.saliency
        if not np.isfinite(saliency).all():
            self._note("fusion network gave values that are not numbers", None)
            saliency = np.zeros_like(saliency)
        gates = fused.gates
        if gates is not None and not np.isfinite(list(gates.values())).all():
            gates = None
        frame = observation.frame
        return Prediction(
            index=frame.index,
            time=frame.time,
            saliency=saliency,
            gates=gates,
            cues=maps,
            faces=observation.faces,
            focus=find_focus(saliency, frame.height, frame.width),
            image=frame.image,
        )

    def _note(self, event: str, error: Exception | None, count: int = 1) -> None:
        """Counts an event and says it the first time."""
        if event not in self.events:
            log.warning(
                "%s%s; counted from now on", event, f" ({type(error).__name__}: {error})" if error else ""
            )
        self.events[event] += count


def _check_map(drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The map of a cue, if it is one: later stages rely on its form."""
    if (
        drawn.dtype != np.uint8
        or drawn.ndim not in (2, 3)
        or drawn.shape[2:] not in ((), (3,))
        or not drawn.size
    ):
        raise ValueError(f"its map is {drawn.dtype} {drawn.shape}, not uint8 (h, w) or (h, w, 3)")
    return drawn


def find_focus(saliency: NDArray[np.float32], height: int, width: int) -> Focus:
    """The peak of a map in pixels of a picture of ``height`` x ``width`` (the middle of the map's cell)."""
    row, column = np.unravel_index(int(saliency.argmax()), saliency.shape)
    rows, columns = saliency.shape
    x, y = (column + 0.5) * width / columns, (row + 0.5) * height / rows
    return Focus(float(x), float(y), float(saliency[row, column]))
