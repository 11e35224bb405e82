"""Pixels that are not square: DV, DVD, broadcast archives."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from gasp.video import open_source
from gasp.video.memory import MemorySource
from helpers.videos import moving_square, set_display_matrix, write_video

PAL_WIDE = Fraction(64, 45)


def disc(width: int, height: int, aspect: float, count: int = 4) -> np.ndarray:
    """Pictures as stored (count, height, width, 3) of a disc that is round when shown."""
    x, y = np.meshgrid((np.arange(width) + 0.5) * aspect, np.arange(height) + 0.5)
    inside = np.hypot(x - width * aspect / 2, y - height / 2) < height / 3
    return np.repeat((inside[..., None] * np.uint8(255)).repeat(3, -1)[None], count, 0)


def roundness(image: np.ndarray) -> float:
    """Width by height of what is bright."""
    bright = image[..., 0] > 128
    return float(np.ptp(np.flatnonzero(bright.any(0))) / np.ptp(np.flatnonzero(bright.any(1))))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
@pytest.mark.parametrize("aspect", [PAL_WIDE, Fraction(16, 15), Fraction(8, 9), Fraction(2)])
def test_pictures_have_square_pixels(tmp_path: Path, name: str, aspect: Fraction) -> None:
    path = write_video(tmp_path / name, disc(180, 144, float(aspect)), pixel_aspect=aspect)
    with open_source(path) as source:
        frames = list(source)
    assert (source.width, source.height) == (round(180 * aspect), 144)
    assert source.stored_size == (180, 144)
    assert source.pixel_aspect == pytest.approx(float(aspect), rel=0.005)
    assert {frame.image.shape for frame in frames} == {(144, source.width, 3)}
    assert roundness(frames[2].image) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1)])
def test_turned_pictures_too(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = write_video(tmp_path / "clip.mp4", disc(180, 144, float(PAL_WIDE)), pixel_aspect=PAL_WIDE)
    set_display_matrix(path, matrix)
    with open_source(path) as source:
        image = next(iter(source)).image
    sides = (256, 144), (180, 144)
    shown, stored = (side if matrix[0] else side[::-1] for side in sides)
    assert (source.width, source.height) == shown
    assert source.stored_size == stored
    assert roundness(image) == pytest.approx(1, abs=0.03)


def test_a_far_start_gives_the_same_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", moving_square(70, 90, 72), pixel_aspect=PAL_WIDE)
    source = open_source(path)
    np.testing.assert_array_equal(next(source.frames(60)).image, list(source)[60].image)


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4095, 4096), Fraction(1, 10), Fraction(20)])
def test_square_or_impossible_pixels_change_nothing(
    tmp_path: Path, aspect: Fraction, caplog: pytest.LogCaptureFixture
) -> None:
    plain = write_video(tmp_path / "plain.mkv", moving_square(2, 180, 144))
    told = write_video(tmp_path / "told.mkv", moving_square(2, 180, 144), pixel_aspect=aspect)
    with caplog.at_level(logging.WARNING):
        source = open_source(told)
    assert source.pixel_aspect == 1
    np.testing.assert_array_equal(next(iter(source)).image, next(iter(open_source(plain))).image)
    assert ("cannot be" in caplog.text) == (aspect in (Fraction(1, 10), 20))


def test_other_sources_have_square_pixels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), moving_square(1)[0])
    for source in (MemorySource(moving_square(2)), open_source(tmp_path), open_source(tmp_path / "1.png")):
        assert source.stored_size == (source.width, source.height)
        assert source.pixel_aspect == 1
