from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gasp.cues.observation import Observation
from gasp.cues.speaking import Speaking
from gasp.faces.face import Box, Face
from helpers.observations import RATE, face, observe, speech, texture, tone

STEP = 0.04
LEFT, RIGHT = Box(30, 30, 94, 94), Box(200, 30, 264, 94)


def scene(t: int, *, speaker: Box | None, shake: int = 0) -> NDArray[np.uint8]:
    """Two heads before a wall; the speaker's mouth opens and closes in bursts of 0.4 s. ``shake`` moves heads."""
    image = texture(130, 300, seed=1, smooth=6) // 2
    for seed, box in ((2, LEFT), (3, RIGHT)):
        head = texture(64, 64, seed=seed, smooth=4)
        if box is speaker and t % 15 < 10:
            opening = (0, 3, 6, 8, 4, 1, 5, 9, 3, 6)[t % 15]
            head[46 - opening // 2 : 46 + (opening + 1) // 2, 20:44] = 10
        x, y = round(box.x1) + shake * (-1) ** t, round(box.y1)
        image[y : y + 64, x : x + 64] = head
    return image


def told(cue: Speaking, observation: Observation) -> tuple[NDArray[np.uint8], list[float]]:
    """The map, and the score of each face."""
    result = cue.step(observation)
    return result.map, [float(result.found[face.track_id]["speaking"]) for face in observation.faces]


def scores(
    sound: NDArray[np.float32] | None, *, speaker: Box | None = LEFT, shake: int = 0, frames: int = 75
) -> NDArray[np.float64]:
    """Mean score of the left and the right face over the last second and a half."""
    cue = Speaking()
    rows = []
    for t in range(frames):
        faces = [face(LEFT, 1), face(RIGHT, 2)]
        heard = None if sound is None else sound[round(t * STEP * RATE) : round((t + 1) * STEP * RATE)]
        drawn, found = told(
            cue,
            observe(scene(t, speaker=speaker, shake=shake), faces, sound=heard, cut=t == 0, step=STEP),
        )
        rows.append(found)
        assert drawn.max() <= np.rint(255 * max(rows[-1])) + 1
    return np.array(rows)[-38:].mean(0)


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    return speech(3.2)


@pytest.mark.parametrize(("speaker", "place"), [(LEFT, 0), (RIGHT, 1)])
def test_the_lively_mouth_speaks_while_there_is_a_voice(
    voice: NDArray[np.float32], speaker: Box, place: int
) -> None:
    found = scores(voice, speaker=speaker)
    assert found[place] > 0.4
    assert found[1 - place] < 0.1 * found[place]


def test_nobody_speaks_in_silence(voice: NDArray[np.float32]) -> None:
    assert scores(np.zeros_like(voice)).max() < 0.01


def test_a_steady_tone_is_nobodys_voice() -> None:
    assert scores(tone(3.2, 440)).max() < 0.01


def test_without_sound_the_mouth_alone_counts_half(voice: NDArray[np.float32]) -> None:
    found = scores(None)
    assert 0.2 < found[0] <= 0.5
    assert found[1] < 0.05


def test_a_voice_without_a_lively_mouth_is_nobodys(voice: NDArray[np.float32]) -> None:
    assert scores(voice, speaker=None).max() < 0.05


def test_moving_heads_are_not_moving_mouths(voice: NDArray[np.float32]) -> None:
    found = scores(voice, speaker=LEFT, shake=2)
    assert found[0] > 0.3
    assert found[1] < 0.3 * found[0]


def test_what_was_before_its_window_leaves_no_trace(voice: NDArray[np.float32]) -> None:
    """A face that was lively is forgotten in a declared time, and a start in the middle gives the same to the bit."""
    whole, late = Speaking(), Speaking()
    assert whole.past is not None
    start = 70 - whole.past
    for t in range(75):
        faces = [face(LEFT, 1), face(RIGHT, 2)]
        heard = voice[round(t * STEP * RATE) : round((t + 1) * STEP * RATE)]
        seen = observe(scene(t, speaker=LEFT if t < 20 else RIGHT), faces, sound=heard, step=STEP)
        expected = told(whole, seen)
        if t >= start:
            found = told(late, seen)
        if t >= 70:
            assert found[1] == expected[1]
            assert found[1][1] > 0.4


def test_a_cut_and_an_absence_begin_anew() -> None:
    cue = Speaking()

    def step(t: int, *, cut: bool = False, present: bool = True) -> float:
        faces = [face(LEFT)] if present else []
        _, found = told(cue, observe(scene(t, speaker=LEFT), faces, cut=cut, step=STEP))
        return found[0] if faces else 0.0

    assert max(step(t) for t in range(30)) > 0.1
    assert step(30, cut=True) == 0
    assert max(step(t) for t in range(31, 60)) > 0.1
    step(60, present=False)
    assert step(61) == 0  # a picture of long ago says nothing of what the mouth does now


boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.floats(-60, 120), st.floats(-60, 90), st.floats(0.2, 150), st.floats(0.2, 150),
)  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(st.lists(boxes, max_size=6), st.sampled_from([(1, 1), (2, 90), (60, 80)]))
def test_any_box_in_any_picture_gives_scores_from_0_to_1(boxes: list[Box], size: tuple[int, int]) -> None:
    cue = Speaking()
    for t in range(4):
        faces = [Face(i, box, 0.9) for i, box in enumerate(boxes)]
        drawn, values = told(cue, observe(texture(*size, seed=t), faces, sound=speech(STEP), step=STEP))
        assert drawn.shape == size
        assert len(values) == len(faces)
        assert all(0 <= value <= 1 for value in values)
        assert sum(values) <= 1


def test_forty_faces_share_one_voice() -> None:
    cue, sound = Speaking(), speech(24 * STEP)
    for t in range(24):
        image = texture(120, 320, seed=t)
        faces = [
            face((x * 32, y * 30, x * 32 + 24, y * 30 + 28), 10 * y + x) for y in range(4) for x in range(10)
        ]
        drawn, values = told(
            cue, observe(image, faces, cell=4, sound=sound[t * 640 : (t + 1) * 640], step=STEP)
        )
    assert len(values) == 40
    assert 0.3 < sum(values) <= 1
    assert drawn.any()
