from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gasp.pipeline.prediction import Prediction
from gasp.video import Sound, VideoSource, VideoWriter, open_source
from helpers.predictions import FPS, FRAMES, HEIGHT, WIDTH, predict_frame


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


@pytest.fixture
def predictions(source: VideoSource) -> Callable[..., Iterator[Prediction]]:
    def run(start_index: int = 0, every: int = 1, **settings: int) -> Iterator[Prediction]:
        return (predict_frame(frame, **settings) for frame in source.frames(start_index, every))

    return run
