"""Hard cuts, and what must not be taken for one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import gasp.demo
from gasp.video import open_source
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


def as_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def noisy(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An eighth of the light, with the noise of a camera that is other in every picture."""
    rng = np.random.default_rng(int(picture.sum()))
    return as_bytes(picture / 8 + rng.normal(0, 4, picture.shape))


DIM: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "half": lambda picture: as_bytes(picture * 0.5),
    "quarter": lambda picture: as_bytes(picture * 0.25),
    "eighth": lambda picture: as_bytes(picture / 8),
    "night": lambda picture: as_bytes(64 * (picture / 255.0) ** 2),
    "faded": lambda picture: as_bytes(picture * 0.25 + 96),
    "pale": lambda picture: as_bytes(picture * 0.12 + 200),
    "noisy": noisy,
}


@pytest.fixture(scope="module")
def film() -> Pictures:
    """The demonstration clip, small: shots of faces that begin at pictures 0, 80 and 155."""
    with open_source(Path(gasp.demo.__file__).parent / "clip.mp4") as source:
        return [cv2.resize(frame.image, (192, 108), interpolation=cv2.INTER_AREA) for frame in source]


def test_cuts_of_a_film(film: Pictures) -> None:
    assert cuts(film) == [0, 80, 155]


@pytest.mark.parametrize("dim", DIM)
def test_cuts_of_a_dark_or_faded_film(film: Pictures, dim: str) -> None:
    assert cuts([DIM[dim](picture) for picture in film[40:200]]) == [0, 40, 115]


def found_in_one_room(film: Pictures, dim: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> int:
    """How many of 30 cuts are found between shots that have their colours in common."""
    room = [film[40], film[120], film[300]]
    shots = [dim(picture[:, side]) for picture in room for side in (slice(0, 96), slice(96, 192))]
    return sum(cuts(list(pair)) == [0, 1] for pair in itertools.permutations(shots, 2))


@pytest.mark.parametrize("dim", DIM)
def test_as_many_cuts_in_one_room_are_found_at_low_contrast(film: Pictures, dim: str) -> None:
    bright = found_in_one_room(film, lambda picture: picture)
    assert found_in_one_room(film, DIM[dim]) >= 0.9 * bright


def content(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
    """PySceneDetect's measure of a change: mean difference of hue, saturation and value."""
    pair = [cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(float) for picture in (before, now)]
    return float(np.abs(pair[0] - pair[1]).mean())


def test_an_adaptive_rule_finds_the_same_cuts(film: Pictures) -> None:
    """PySceneDetect's: three times the mean change of the two pictures before and the two after, and at least 15."""
    change = np.array([0.0, *(content(a, b) for a, b in itertools.pairwise(film))])
    around = [np.delete(change[i - 2 : i + 3], 2).mean() for i in range(2, len(change) - 2)]
    found = [i for i, mean in enumerate(around, 2) if change[i] >= max(15, 3 * mean)]
    assert [0, *found] == cuts(film)


def moving(picture: NDArray[np.uint8]) -> dict[str, Pictures]:
    """What is no cut, of a picture 192 wide and 108 high."""
    rng = np.random.default_rng(3)
    places = rng.integers(0, 17, (20, 2))
    rows, columns = np.mgrid[:108, :192]
    spot = np.exp(-(((columns - 96) / 40) ** 2 + ((rows - 54) / 30) ** 2))[..., None]
    steps = np.linspace(0, 1, 26)
    return {
        "fast pan": [picture[:, x : x + 112] for x in range(0, 80, 10)],
        "shaking": [picture[y : y + 92, x : x + 160] for y, x in places],
        "flash": [as_bytes(picture * (1.8 if i % 5 == 2 else 1.0)) for i in range(12)],
        "lamp": [as_bytes(picture * (1 + spot * (i % 2))) for i in range(12)],
        "flicker": [as_bytes(picture * gain) for gain in rng.uniform(0.7, 1.1, 12)],
        "noise": [as_bytes(picture + rng.normal(0, 10, picture.shape)) for _ in range(12)],
        "fade in": [as_bytes(picture * step) for step in steps],
        "fade out": [as_bytes(picture * (1 - step)) for step in steps],
        "fade to grey": [as_bytes(picture * (1 - step) + 110 * step) for step in steps],
    }


@pytest.mark.parametrize("dim", DIM)
@pytest.mark.parametrize("what", moving(np.zeros((108, 192, 3), np.uint8)))
def test_nothing_else_becomes_a_cut_in_the_dark(film: Pictures, dim: str, what: str) -> None:
    for place in (40, 120, 300):
        pictures = moving(film[place])[what]
        # A flash as bright as half the screen counts as two cuts, in the dark as in the light.
        allowed = cuts(pictures) if what == "flash" else [0]
        assert set(cuts([DIM[dim](picture) for picture in pictures])) <= set(allowed)


@pytest.mark.parametrize("dim", [name for name in DIM if name not in ("half", "night")])
def test_flashes_in_dark_and_pale_scenes_are_no_cuts(film: Pictures, dim: str) -> None:
    for place in (40, 120, 300):
        assert cuts([DIM[dim](picture) for picture in moving(film[place])["flash"]]) == [0]


@pytest.mark.parametrize("dim", DIM)
def test_dissolves_in_the_dark_are_no_cuts(film: Pictures, dim: str) -> None:
    first, second = film[40].astype(float), film[300]
    pictures = [as_bytes((1 - share) * first + share * second) for share in np.linspace(0, 1, 20)]
    assert cuts([DIM[dim](picture) for picture in pictures]) == [0]
