"""Hard cuts, and what must not be taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.video.cuts import CutDetector
from helpers.synthetic import image

Pictures = list[NDArray[np.uint8]]


def wide(name: str) -> NDArray[np.uint8]:
    """A smooth colourful panorama."""
    return image(name, 160, 640)


def cuts(pictures: Pictures) -> list[int]:
    detector = CutDetector()
    return [i for i, picture in enumerate(pictures) if detector.step(picture)]


def pan(name: str, frames: int, step: int) -> Pictures:
    return [wide(name)[:, step * i : step * i + 240] for i in range(frames)]


def test_the_first_picture_begins_a_shot() -> None:
    assert cuts([wide("a")] * 5) == [0]


def shots() -> Pictures:
    """A bright landscape, a dark blue room, the landscape again; ten pictures each, with some noise."""
    landscape = wide("a")[:, :240]
    room = (wide("b")[:, :240] * (0.2, 0.3, 0.6)).astype(np.uint8)
    rng = np.random.default_rng(1)
    pictures = [landscape] * 10 + [room] * 10 + [landscape] * 10
    return [np.clip(p + rng.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in pictures]


def test_hard_cuts_are_found() -> None:
    assert cuts(shots()) == [0, 10, 20]


@pytest.mark.parametrize("size", [(1, 1), (20, 500), (1080, 1920)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    black, white = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)
    assert cuts([black, black, white, white, black]) == [0, 2, 4]


def test_shots_of_different_sizes() -> None:
    small = wide("a")[::2, ::2]
    assert cuts([wide("a"), small, wide("a")]) == [0]


def test_a_slow_pan_is_no_cut() -> None:
    assert cuts(pan("c", 50, 8)) == [0]


def test_a_fade_from_one_shot_to_another_is_no_cut() -> None:
    first, second = wide("a")[:, :240].astype(np.float64), wide("b")[:, :240].astype(np.float64)
    shares = np.linspace(0, 1, 25)
    assert cuts([((1 - s) * first + s * second).astype(np.uint8) for s in shares]) == [0]


def test_a_fade_to_black_is_no_cut() -> None:
    picture = wide("a")[:, :240]
    assert cuts([(picture * (1 - i / 25)).astype(np.uint8) for i in range(26)]) == [0]


def test_flickering_light_is_no_cut() -> None:
    picture = wide("a")[:, :240].astype(np.float64)
    light = [1.0, 0.85, 1.05, 0.9, 1.0, 0.8, 1.0]
    assert cuts([np.clip(picture * gain, 0, 255).astype(np.uint8) for gain in light]) == [0]


def test_somebody_walking_by_is_no_cut() -> None:
    pictures = []
    for i in range(30):
        picture = wide("a")[:, :240].copy()
        picture[30:160, 8 * i : 8 * i + 50] = (60, 40, 90)
        pictures.append(picture)
    assert cuts(pictures) == [0]
