from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.cues.motion import Motion
from helpers.observations import observe, texture

CELL = 4


def run(pictures: list[NDArray[np.uint8]], cuts: tuple[int, ...] = (0,)) -> list[NDArray[np.uint8]]:
    cue = Motion()
    return [
        cue.step(observe(picture, cell=CELL, cut=index in cuts)) for index, picture in enumerate(pictures)
    ]


def with_disc(background: NDArray[np.uint8], x: float, y: float, radius: float = 12) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[: background.shape[0], : background.shape[1]]
    picture = background.copy()
    picture[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = (250, 250, 250)
    return picture


@pytest.fixture(scope="module")
def scenery() -> NDArray[np.uint8]:
    return texture(240, 480, smooth=8)


def test_a_moving_disc_is_bright_and_the_rest_dark(scenery: NDArray[np.uint8]) -> None:
    still = scenery[:, :320] // 3
    drawn = run([with_disc(still, 60 + 5 * t, 80) for t in range(10)])[-1]
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert abs(row * CELL - 80) < 24
    assert abs(column * CELL - 105) < 32
    assert drawn.max() > 120
    assert drawn[35:].max() < 5
    assert drawn[:, 60:].max() < 5


def test_a_still_scene_is_black(scenery: NDArray[np.uint8]) -> None:
    assert not np.any(run([scenery[:, :320]] * 4))


def test_noise_of_the_camera_is_black(scenery: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(scenery[:, :320] + rng.normal(0, 4, (240, 320, 1)), 0, 255).astype(np.uint8) for _ in range(5)
    ]
    assert np.max(run(noisy)) < 15


def test_a_pan_of_the_camera_is_compensated(scenery: NDArray[np.uint8]) -> None:
    panned = [np.ascontiguousarray(scenery[:, 8 * t : 8 * t + 320]) for t in range(10)]
    grey = [picture[::CELL, ::CELL, 0].astype(np.float32) for picture in panned]
    uncompensated = np.abs(grey[-1] - grey[-2]).mean()
    drawn = run(panned)[-1].astype(np.float64)
    change = 6 * drawn / (255 - drawn)  # back from the drawn value to grey levels
    assert uncompensated > 10
    assert change.mean() < 0.15 * uncompensated


def test_it_is_black_where_a_shot_begins_and_forgets_what_was_before(scenery: NDArray[np.uint8]) -> None:
    other = texture(240, 320, seed=5)
    pictures = [with_disc(scenery[:, :320], 60 + 8 * t, 80) for t in range(6)] + [other] * 2
    drawn = run(pictures, cuts=(0, 6))
    assert not drawn[0].any()
    assert drawn[5].max() > 100
    assert not drawn[6].any()
    assert not drawn[7].any()


def test_six_grey_levels_beyond_three_are_half_brightness() -> None:
    # A plain picture that flickers by 9 levels has no shift, and the mean comes to rest at 6.
    flicker = [np.full((64, 64, 3), 100 + 9 * (t % 2), np.uint8) for t in range(60)]
    drawn = run(flicker)[-1]
    assert np.abs(drawn.astype(int) - 127).max() <= 1


def test_a_longer_step_weighs_the_new_frame_more(scenery: NDArray[np.uint8]) -> None:
    before, after = with_disc(scenery[:, :320], 100, 80), with_disc(scenery[:, :320], 130, 80)
    peaks = []
    for step in (0.02, 0.2, 2.0):
        cue = Motion()
        cue.step(observe(before, cell=CELL, cut=True, step=step))
        peaks.append(int(cue.step(observe(after, cell=CELL, step=step)).max()))
    assert peaks == sorted(peaks)
    assert peaks[0] < peaks[-1]


def test_the_size_may_change_on_the_way(scenery: NDArray[np.uint8]) -> None:
    drawn = run([scenery[:, :320], scenery[:120, :160], scenery[:120, :160]])
    assert [m.shape for m in drawn] == [(60, 80), (30, 40), (30, 40)]
    assert not np.any(drawn[1])
