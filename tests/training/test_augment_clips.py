from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gasp.config.experiments import AugmentSettings, Experiment
from gasp.training.augment_clips import Portion, augment, colour, move_points, show
from gasp.training.batch import Clip
from gasp.training.clips import Clips
from gasp.training.sources import open_source
from helpers.grouped_frames import make_grouped

SIZE, SMALL = 64, 32


def square(size: int, top: int, left: int, side: int) -> np.ndarray:
    picture = np.zeros((size, size), np.uint8)
    picture[top : top + side, left : left + side] = 240
    return picture


def clip(frames: int = 3) -> Clip:
    """A bright square in every map and, at half the size, in the density; a point in its middle."""
    maps = np.repeat(square(SIZE, 20, 28, 8)[None, None], 6, 1).repeat(frames, 0)
    density = square(SMALL, 10, 14, 4)[None]
    points = square(SMALL, 12, 16, 1)[None]
    return Clip(maps, density, points, density[None].repeat(frames, 0), "a clip")


def centre(picture: np.ndarray) -> tuple[float, float]:
    """(x, y) of the brightness, in shares of the sides."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    weights = picture.astype(float) / picture.sum()
    return float((columns * weights).sum() / picture.shape[1]), float(
        (rows * weights).sum() / picture.shape[0]
    )


def test_a_flip_mirrors_everything_and_twice_is_nothing() -> None:
    before = clip()
    flipped = show(before, Portion(flip=True))
    for old, new in zip(before[:4], flipped[:4], strict=True):
        assert np.array_equal(new, old[..., ::-1])
    again = show(flipped, Portion(flip=True))
    assert all(np.array_equal(old, new) for old, new in zip(before[:4], again[:4], strict=True))


def test_a_drawn_look_to_the_left_becomes_one_to_the_right() -> None:
    # A cone from the middle to the left, as gaze maps are drawn.
    cone = np.zeros((3, SIZE, SIZE), np.uint8)
    cone[:, 30:34, 8:32] = 255
    looking = clip()._replace(maps=np.repeat(cone[None], 3, 0))
    assert centre(looking.maps[0, 0])[0] < 0.4
    assert centre(show(looking, Portion(flip=True)).maps[0, 0])[0] > 0.6


@pytest.mark.parametrize("flip", [False, True])
def test_pictures_targets_and_points_are_cropped_alike(flip: bool) -> None:
    cropped = show(clip(), Portion(0.22, 0.13, 0.71, 0.66, flip))
    x, y = (0.5 - 0.22) / 0.71, (0.375 - 0.13) / 0.66
    x = 1 - x if flip else x
    for frame in range(3):
        assert centre(cropped.maps[frame, 4]) == pytest.approx((x, y), abs=0.01)
        assert cropped.frame_density is not None
        assert centre(cropped.frame_density[frame, 0]) == pytest.approx((x, y), abs=0.01)
    assert centre(cropped.density[0]) == pytest.approx((x, y), abs=0.01)
    assert np.count_nonzero(cropped.fixations) == 1
    assert centre(cropped.fixations[0]) == pytest.approx((x, y), abs=0.05)
    assert cropped.fixations.max() == 240
    assert [picture.shape for picture in cropped[:4]] == [picture.shape for picture in clip()[:4]]


def test_the_border_is_not_darkened() -> None:
    bright = clip()._replace(maps=np.full((3, 6, SIZE, SIZE), 200, np.uint8))
    assert (show(bright, Portion(0.0, 0.0, 0.7, 0.7)).maps == 200).all()


def test_points_outside_are_dropped_and_keep_their_values() -> None:
    points = np.zeros((10, 10), np.uint8)
    points[1, 1], points[5, 5], points[9, 9] = 3, 7, 9
    moved = move_points(points, Portion(0.3, 0.3, 0.5, 0.5))
    assert np.count_nonzero(moved) == 1
    assert moved[5, 5] == 7
    assert np.array_equal(move_points(points, Portion()), points)


def test_colours_of_the_frame_change_and_of_drawn_maps_do_not() -> None:
    rng = np.random.default_rng(0)
    before = clip()._replace(maps=rng.integers(40, 200, (3, 6, SIZE, SIZE), np.uint8))
    after = augment(
        before._replace(maps=before.maps.copy()), AugmentSettings(colour=0.4), np.random.default_rng(1), 0
    )
    assert not np.array_equal(after.maps[:, :3], before.maps[:, :3])
    assert np.array_equal(after.maps[:, 3:], before.maps[:, 3:])
    # Still frames stay still.
    still = before._replace(maps=before.maps[:1].repeat(3, 0))
    after = augment(still, AugmentSettings(colour=0.4), np.random.default_rng(1), 0)
    assert np.array_equal(after.maps[0], after.maps[2])


def test_factors_of_colours() -> None:
    frames = np.random.default_rng(0).integers(60, 180, (2, 3, 8, 8), np.uint8)
    assert np.array_equal(colour(frames, 1, 1, 1), frames)
    assert colour(frames, 1.2, 1, 1).mean() == pytest.approx(1.2 * frames.mean(), abs=0.5)
    assert colour(frames, 1, 0.5, 1).std() == pytest.approx(0.5 * frames.std(), rel=0.02)
    grey = colour(frames, 1, 1, 0)
    assert np.ptp(grey, 1).max() == 0


def test_some_point_stays_in_sight() -> None:
    corner = clip()._replace(fixations=square(SMALL, 0, 0, 1)[None])
    for seed in range(40):
        cropped = augment(corner, AugmentSettings(crop=0.5), np.random.default_rng(seed), None)
        assert cropped.fixations.any()


def test_changes_depend_on_the_draw_alone_and_only_for_training(tmp_path: Path) -> None:
    make_grouped(tmp_path, frames=8)
    source = open_source(tmp_path, (32, 32), (16, 16))
    values = {
        "network": "SequenceGASPDAMEncALSTMGMUConv",
        "options": {"sequence_len": 2},
        "clips": {"size": (32, 32), "target_size": (16, 16)},
    }
    plain = Experiment.read(values)
    changed = plain.replaced(clips={"augment": {"flip": 0.5, "crop": 0.6, "colour": 0.2}})
    ours, again, bare = (Clips(source, source.videos, one) for one in (changed, changed, plain))
    different = 0
    for epoch in range(10):
        first, second, other = ours[epoch, 0], again[epoch, 0], bare[epoch, 0]
        assert np.array_equal(first.maps, second.maps)
        # Augmentation does not change which frames are drawn.
        assert first.name == other.name
        different += not np.array_equal(first.maps, other.maps)
    assert different > 7
    kept = Clips(source, source.videos, changed, "validation")[0, 0]
    assert np.array_equal(kept.maps, Clips(source, source.videos, plain, "validation")[0, 0].maps)
