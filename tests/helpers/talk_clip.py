"""A short clip, and a predictor without networks; a ``conftest.py`` that imports the fixtures offers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gasp.config.settings import PredictSettings
from gasp.pipeline.prediction import Prediction
from gasp.video import Sound, VideoSource, VideoWriter, open_source
from gasp.video.frames import Frame
from helpers.predictions import FPS, FRAMES, HEIGHT, WIDTH, predict_frame

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of 96 x 64 with a moving square and a tone; the picture changes altogether at frame 25."""
    path = tmp_path_factory.mktemp("clips") / "talk.mp4"
    tone = np.sin(np.arange(int(48000 * FRAMES / FPS)) * 0.05).astype(np.float32) * 0.3
    with VideoWriter(path, WIDTH, HEIGHT, FPS, sound_from=Sound(tone, 48000)) as writer:
        for index in range(FRAMES):
            image = np.full((HEIGHT, WIDTH, 3), 40 if index < 25 else 210, np.uint8)
            image[20:40, index : index + 20] = (200, 60, 30)
            writer.write(image, index / FPS)
    return path


@pytest.fixture
def source(clip: Path) -> Iterator[VideoSource]:
    with open_source(clip) as opened:
        yield opened


@dataclass
class StandInPipeline:
    """Predictions that depend on the frames seen since it began, as far as ``warm_up`` frames back."""

    settings: PredictSettings
    draw: Callable[[Frame], Prediction]
    warm_up: int | None = 4
    latency: int = 0
    sound_rate: int = 16000
    events: Counter[str] = field(default_factory=Counter)
    seen: list[Frame] = field(default_factory=list)
    given: int = 0
    heard: list[float] = field(default_factory=list)

    def begin(self, start_time: float) -> None:
        """Nothing to know."""

    def look(self, frames: Sequence[Frame]) -> list[None]:
        """Nobody reads."""
        return [None] * len(frames)

    def step(self, frames: Sequence[Frame], sounds: Sequence[Any], glimpses: Any = None) -> list[Prediction]:
        """The predictions that are complete."""
        self.seen.extend(frames)
        self.heard.extend(0.0 if sound is None else float(np.abs(sound).sum()) for sound in sounds)
        return self._complete(self.latency)

    def finish(self) -> list[Prediction]:
        """The rest."""
        return self._complete(0)

    def close(self) -> None:
        """It holds nothing."""

    def _complete(self, waits: int) -> list[Prediction]:
        ready = []
        while self.given < len(self.seen) - waits:
            at, self.given = self.given, self.given + 1
            one = self.draw(self.seen[at])
            back = len(self.seen) if self.warm_up is None else self.warm_up
            memory = sum(frame.index for frame in self.seen[max(0, at - back) : at + 1])
            hears = sum(self.heard[max(0, at - back) : at + 1])
            gates = {"captured": float(np.sin(memory) ** 2), "faces": float(np.round(np.sin(hears) ** 2, 6))}
            ready.append(replace(one, gates=gates))
        return ready


@dataclass
class StandInPredictor:
    """Begins :class:`StandInPipeline`; ``begun`` keeps all of them."""

    settings: PredictSettings = field(
        default_factory=lambda: PredictSettings(piece=8, batch=4, cues=("captured", "faces"))
    )
    draw: Callable[[Frame], Prediction] = predict_frame
    warm_up: int | None = 4
    latency: int = 0
    files: tuple[tuple[str, str], ...] = (("glance", "00ff"),)
    begun: list[StandInPipeline] = field(default_factory=list)

    def begin(self, source: VideoSource) -> StandInPipeline:
        """A new one."""
        self.begun.append(StandInPipeline(self.settings, self.draw, self.warm_up, self.latency))
        return self.begun[-1]

    def weights(self) -> list[dict[str, str]]:
        """As a manifest tells them."""
        return [{"name": name, "sha256": sha256, "licence": "MIT"} for name, sha256 in self.files]

    def statements(self) -> dict[str, str]:
        """What cues say."""
        return {"captured": "the frame itself"}

    def decisive(self) -> Mapping[str, Any]:
        """As the real one."""
        return {"settings": self.settings.decisive(), "weights": self.files}

    @property
    def computed(self) -> list[int]:
        """Indices of the frames that any pipeline saw."""
        return sorted({frame.index for pipeline in self.begun for frame in pipeline.seen})
