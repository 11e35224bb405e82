"""Short made-up videos with faces, for the cues that look at faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gasp.cues.cue import Cue, CueResult
from gasp.cues.observation import Observation
from gasp.faces.face import Box, Face
from gasp.video.frames import Frame
from helpers import synthetic
from helpers.parity import Case


def from_css(box: Sequence[int]) -> Box:
    """A box given as (top, right, bottom, left)."""
    top, right, bottom, left = box
    return Box(left, top, right, bottom)


def frames_of(case: Case) -> list[NDArray[np.uint8]]:
    """The pictures of a parity case."""
    inputs = [i for i in case.about["inputs"] if i["kind"] == "image"]
    return [synthetic.image(i["name"], *i["shape"][:2], i["seed"]) for i in inputs]


def observation(
    image: NDArray[np.uint8], boxes: Sequence[Box], tracks: Sequence[int] | None = None, index: int = 0
) -> Observation:
    """A frame with faces, which are numbered from 1 unless ``tracks`` says otherwise."""
    faces = [
        Face(track, box, 0.9) for track, box in zip(tracks or range(1, len(boxes) + 1), boxes, strict=True)
    ]
    height, width = image.shape[:2]
    small = np.ascontiguousarray(image[::2, ::2])
    return Observation(
        Frame(index, index / 25, image), small, (max(1, height // 8), max(1, width // 8)), faces
    )


def video_of(case: Case) -> list[Observation]:
    """The frames of a parity case with their boxes."""
    boxes = case.about["boxes"]
    return [
        observation(image, [from_css(box) for box in boxes[i]], index=i)
        for i, image in enumerate(frames_of(case))
    ]


def moving(frames: int, people: int = 2, height: int = 72, width: int = 96) -> list[Observation]:
    """People who move a little from frame to frame; the last one is missing in every fifth frame."""
    video = []
    for i in range(frames):
        present = people - (i % 5 == 4 and people > 0)
        boxes = [
            Box(8 + 30 * k + i % 7, 10 + 5 * k, 30 + 30 * k + i % 7, 36 + 5 * k + i % 3)
            for k in range(present)
        ]
        video.append(observation(synthetic.image(f"frame{i}", height, width, 7), boxes, index=i))
    return video


def run(cue: Cue, video: Sequence[Observation], batch: int = 1) -> list[NDArray[np.uint8]]:
    """The maps of a whole video, pushed in groups of ``batch`` frames."""
    return [result.map for result in results_of(cue, video, batch)]


def results_of(cue: Cue, video: Sequence[Observation], batch: int = 1) -> list[CueResult]:
    """The results of a whole video, pushed in groups of ``batch`` frames."""
    results = []
    for start in range(0, len(video), batch):
        results += cue.push(video[start : start + batch])
    results += cue.finish()
    assert not any(face.found for seen in video for face in seen.faces)
    return results


def check_picture(case: Case, name: str, actual: NDArray[np.generic]) -> None:
    """Compare with an expected output, of which a share may lie outside the tolerance."""
    expected, tolerance = case.expected[name], case.about["tolerance"]
    assert actual.shape == expected.shape
    far = np.abs(actual.astype(np.float64) - expected) > tolerance["atol"]
    assert 1 - far.mean() >= tolerance["share"], f"{name}: {far.mean():.2%} of the values differ"
