from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.cues.alignment import move_onto
from helpers.observations import texture


def grey(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Structure at several scales, as pictures have it."""
    layers = [texture(height, width, seed, smooth)[..., 0].astype(np.float32) for smooth in (1, 2.5, 6)]
    return np.asarray(np.mean(layers, 0), np.float32)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (60, 80), (53, 71)])
@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-2, 4), (0, 0)])
def test_a_shift_is_undone_and_the_pictures_stay_as_they_are(
    height: int, width: int, dx: int, dy: int
) -> None:
    large = grey(height + 20, width + 20)
    before = large[10 : 10 + height, 10 : 10 + width].copy()
    after = large[10 - dy : 10 - dy + height, 10 - dx : 10 - dx + width].copy()
    kept = before.copy(), after.copy()
    moved = move_onto(before, after, within=0.25)
    inside = (slice(6, -6), slice(6, -6))
    assert np.abs(moved - after)[inside].mean() <= 0.3 * np.abs(before - after)[inside].mean()
    # OpenCV's phase correlation overwrites pictures of some sizes.
    np.testing.assert_array_equal(before, kept[0])
    np.testing.assert_array_equal(after, kept[1])


def test_what_is_too_far_unclear_or_plain_stays() -> None:
    large = grey(60, 140)
    before, after = large[:, :80].copy(), large[:, 40:120].copy()
    assert move_onto(before, after, within=0.25) is before
    other = grey(60, 80, seed=9)
    assert move_onto(before, other, within=0.5, least_response=0.9) is before
    thing = before.copy()
    thing[20:50, 20:50], thing[20:50, 24:54] = 255, 250
    assert move_onto(before, thing, within=0.25) is before
    plain = np.full((60, 80), 7, np.float32)
    np.testing.assert_array_equal(move_onto(plain, plain + 9, within=0.25), plain)
