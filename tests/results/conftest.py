from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gasp.faces.face import Box, Face
from gasp.pipeline.prediction import Focus, Prediction
from gasp.video import Sound, VideoSource, VideoWriter, open_source
from gasp.video.frames import Frame

FRAMES, WIDTH, HEIGHT, FPS = 40, 96, 64, 25.0


def predict_frame(frame: Frame, first_track: int = 1, faces: int = 2) -> Prediction:
    """A stand-in for the pipeline: depends on the frame alone."""
    rows, columns = np.mgrid[:12, :18]
    x = 3 + 10 * abs(np.sin(frame.index / 9))
    saliency = np.exp(-((columns - x) ** 2 + (rows - 5) ** 2) / 6).astype(np.float32)
    saliency = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    people = [
        Face(
            first_track + i,
            Box(10.0 + 40 * i, 12.0, 30.0 + 40 * i, 36.0),
            0.9,
            found={"speaking": 0.25 * (i + 1)},
        )
        for i in range(faces)
    ]
    return Prediction(
        index=frame.index,
        time=frame.time,
        saliency=saliency,
        gates={"captured": 0.25, "faces": 0.75},
        cues={"captured": frame.image, "faces": (saliency * 255).astype(np.uint8)},
        faces=people,
        focus=Focus(float(x * WIDTH / 18), 30.0, 1.0),
        image=frame.image,
    )


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
