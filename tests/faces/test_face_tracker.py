"""Identities through crossings, occlusions, cuts and noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gasp.faces.face import Box, Detection, Face
from gasp.faces.tracker import FaceTracker, TrackerSettings, _looks, likeness_matrix

HEIGHT, WIDTH, SIDE = 240, 480, 40
RED, BLUE, GREEN = (200, 40, 40), (40, 40, 200), (40, 180, 60)
STEP = 1 / 25

Person = tuple[float, float, tuple[int, int, int]]


def scene(*people: Person) -> NDArray[np.uint8]:
    """A grey picture with people (x, y of the face's centre, colour of head and clothes), the last one in front."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for x, y, colour in people:
        x1, x2 = (int(np.clip(v, 0, WIDTH)) for v in (x - SIDE, x + SIDE))
        y1, y2 = (int(np.clip(v, 0, HEIGHT)) for v in (y - SIDE, y + 2 * SIDE))
        image[y1:y2, x1:x2] = colour
    return image


def face(x: float, y: float = 80.0, score: float = 0.8, side: float = SIDE) -> Detection:
    return Detection(Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2), score)


def at(faces: list[Face], x: float) -> Face:
    """The reported face nearest to x."""
    return min(faces, key=lambda f: abs(f.box.centre[0] - x))


def still(tracker: FaceTracker, detections: list[Detection], frames: int, start: int = 0) -> list[Face]:
    """The same picture several times; the last faces."""
    image = scene((100, 80, RED), (300, 80, BLUE))
    faces: list[Face] = []
    for i in range(start, start + frames):
        faces = tracker.step(image, detections, i * STEP)
    return faces


def test_two_people_who_cross_keep_their_identities() -> None:
    tracker = FaceTracker()
    names = {}
    for i in range(60):
        red, blue = 60 + 6 * i, 414 - 6 * i
        image = scene((blue, 80, BLUE), (red, 80, RED))
        # While one hides the other, only the face in front is found.
        found = [face(red)] + ([face(blue)] if abs(red - blue) > SIDE else [])
        faces = tracker.step(image, found, i * STEP)
        if i == 5:
            names = {"red": at(faces, red).track_id, "blue": at(faces, blue).track_id}
    assert at(faces, red).track_id == names["red"]
    assert at(faces, blue).track_id == names["blue"]
    assert len({f.track_id for f in faces}) == 2


def test_a_short_gap_is_bridged() -> None:
    tracker = FaceTracker()
    for i in range(10):
        faces = tracker.step(scene((100 + 4 * i, 80, RED)), [face(100 + 4 * i)], i * STEP)
    identity = faces[0].track_id
    assert faces[0].observed
    for i in range(10, 16):
        faces = tracker.step(scene((100 + 4 * i, 80, RED)), [], i * STEP)
        assert [(f.track_id, f.observed) for f in faces] == [(identity, False)]
        assert faces[0].box.centre[0] == pytest.approx(100 + 4 * i, abs=8), "it is taken to move on"
    (back,) = tracker.step(scene((164, 80, RED)), [face(164)], 16 * STEP)
    assert (back.track_id, back.observed) == (identity, True)


def test_a_lost_face_is_no_longer_reported_after_the_bridge_but_found_again() -> None:
    tracker = FaceTracker()
    (before,) = still(tracker, [face(100)], 5)
    assert still(tracker, [], 15, start=5) == []
    (after,) = still(tracker, [face(100)], 1, start=20)
    assert after.track_id == before.track_id


def test_a_quick_move_during_a_gap_is_followed_by_looks() -> None:
    tracker = FaceTracker()
    (before,) = still(tracker, [face(100)], 5)
    tracker.step(scene((160, 80, RED)), [], 12 * STEP)
    (after,) = [f for f in tracker.step(scene((160, 80, RED)), [face(160)], 17 * STEP) if f.observed]
    assert after.track_id == before.track_id


def test_a_false_find_of_other_looks_beside_a_face_does_not_take_its_identity() -> None:
    tracker = FaceTracker()
    (before,) = still(tracker, [face(100)], 5)
    image = scene((100, 80, RED), (60, 200, GREEN))
    tracker.step(image, [face(78, 112, score=0.5)], 5 * STEP)
    (after,) = [f for f in tracker.step(image, [face(100)], 6 * STEP) if f.observed]
    assert after.track_id == before.track_id


def test_people_are_recognised_after_a_cut_away_and_back() -> None:
    tracker = FaceTracker()
    shot, other = scene((100, 80, RED), (300, 80, BLUE)), scene((200, 80, GREEN))
    for i in range(5):
        first = tracker.step(shot, [face(100), face(300)], i * STEP, cut=i == 0)
    for i in range(5, 40):
        away = tracker.step(other, [face(200)], i * STEP, cut=i == 5)
    swapped = scene((330, 80, RED), (90, 80, BLUE))
    back = tracker.step(swapped, [face(330), face(90)], 40 * STEP, cut=True)
    assert {f.track_id for f in away}.isdisjoint({f.track_id for f in first})
    assert at(back, 330).track_id == at(first, 100).track_id
    assert at(back, 90).track_id == at(first, 300).track_id


def test_a_cut_ends_bridging() -> None:
    tracker = FaceTracker()
    still(tracker, [face(100)], 5)
    assert tracker.step(scene(), [], 5 * STEP, cut=True) == []


def test_somebody_else_in_the_same_place_after_a_cut_is_another_person() -> None:
    tracker = FaceTracker()
    (before,) = still(tracker, [face(100)], 5)
    (after,) = tracker.step(scene((100, 80, GREEN)), [face(100)], 5 * STEP, cut=True)
    assert after.track_id != before.track_id


def test_flicker_uses_up_no_identity() -> None:
    tracker = FaceTracker()
    for i in range(60):
        flicker = [face(20 + 137 * i % 440, 200, score=0.45)] if i % 2 else []
        tracker.step(scene((100, 80, RED)), [face(100), *flicker], i * STEP, cut=i == 0)
    (known,) = [f for f in tracker.step(scene((100, 80, RED)), [face(100)], 60 * STEP) if f.observed]
    assert known.track_id == 1
    new = [f for f in tracker.step(scene((100, 80, RED)), [face(400, score=0.9)], 61 * STEP) if f.observed]
    assert [f.track_id for f in new] == [2]


@pytest.mark.parametrize("cut", [True, False])
def test_a_doubtful_face_must_be_found_twice(cut: bool) -> None:
    tracker = FaceTracker()
    image = scene((100, 80, RED))
    assert tracker.step(image, [face(100, score=0.52)], 0.0, cut=cut) == []
    assert [f.track_id for f in tracker.step(image, [face(100, score=0.52)], STEP)] == [1]


def test_weak_detections_keep_a_face_but_do_not_begin_one() -> None:
    tracker = FaceTracker()
    assert still(tracker, [face(100, score=0.45)], 5) == []
    (strong,) = still(tracker, [face(100)], 1, start=5)
    (weak,) = still(tracker, [face(100, score=0.43)], 30, start=6)
    assert weak.track_id == strong.track_id
    assert weak.observed


def test_what_was_certain_for_a_moment_only_is_soon_no_longer_reported() -> None:
    tracker = FaceTracker()
    (hand,) = still(tracker, [face(100, score=0.6)], 3)
    assert len(still(tracker, [face(100, score=0.37)], 3, start=3)) == 1
    assert still(tracker, [face(100, score=0.37)], 30, start=6) == []
    # ... but followed, in case that it was a face after all.
    (again,) = still(tracker, [face(100, score=0.7)], 15, start=36)
    assert again.track_id == hand.track_id


def test_a_flicker_is_bridged_no_longer_than_it_was_seen() -> None:
    tracker = FaceTracker()
    assert len(still(tracker, [face(100)], 3)) == 1
    assert len(still(tracker, [], 2, start=3)) == 1
    assert still(tracker, [], 1, start=5) == []


def test_a_face_found_twice_is_one_person() -> None:
    tracker = FaceTracker()
    (before,) = still(tracker, [face(100)], 5)
    twice = [face(94, score=0.7), face(110, side=50)]
    assert [f.track_id for f in still(tracker, twice, 3, start=5)] == [before.track_id]
    # ... also when only the other find is left afterwards.
    assert [f.track_id for f in still(tracker, twice[1:], 20, start=8)] == [before.track_id]


def test_people_behind_one_another_are_told_apart() -> None:
    tracker = FaceTracker()
    faces = still(tracker, [face(100), face(122)], 5)
    assert len({f.track_id for f in faces}) == 2


def test_somebody_less_alike_is_recognised_where_nobody_else_comes_near() -> None:
    alike = np.array([[0.78, 0.4], [0.45, 0.9]])
    unsure = np.array([[0.78, 0.7], [0.45, 0.9]])
    tracker = FaceTracker()
    assert tracker._alike(alike).tolist() == [[True, False], [False, True]]
    assert tracker._alike(unsure).tolist() == [[False, False], [False, True]]
    # One person before, one now: nothing to compare with.
    assert tracker._alike(alike[:1, :1]).tolist() == [[False]]


def test_a_weak_find_in_place_goes_before_a_better_one_beside_it() -> None:
    tracker = FaceTracker()
    (before,) = still(tracker, [face(100)], 5)
    faces = still(tracker, [face(100, score=0.3), face(130, 100, score=0.5)], 1, start=5)
    assert [(f.track_id, f.box.centre[0]) for f in faces] == [(before.track_id, pytest.approx(100, abs=1))]


def test_a_face_that_is_hidden_by_another_is_not_reported_there() -> None:
    tracker = FaceTracker()
    for i in range(10):
        blue = 200 - 10 * i
        image = scene((blue, 80, BLUE), (100, 80, RED))
        found = [face(100)] + ([face(blue)] if blue > 130 else [])
        faces = tracker.step(image, found, i * STEP)
    assert [f.observed for f in faces] == [True], "behind the other face there is nothing to see"
    (red,) = faces
    both = tracker.step(scene((110, 80, RED), (60, 80, BLUE)), [face(110), face(60)], 10 * STEP)
    assert at(both, 110).track_id == red.track_id
    assert {f.track_id for f in both} == {1, 2}


def test_strong_colours_are_told_apart() -> None:
    likeness = [
        [
            likeness_matrix(
                [_looks(scene((100, 80, a)), face(100).box)], [_looks(scene((99, 80, b)), face(99).box)]
            )
        ]
        for a, b in [((0, 0, 255), (0, 0, 255)), ((0, 0, 255), (255, 0, 0)), ((0, 255, 0), (255, 0, 255))]
    ]
    assert np.ravel(likeness) == pytest.approx([1, 0, 0], abs=0.05)


def test_forty_faces() -> None:
    tracker = FaceTracker()
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (400, 800, 3), dtype=np.uint8)
    centres = [(40 + 80 * (i % 10), 40 + 90 * (i // 10)) for i in range(40)]
    history = []
    for i in range(6):
        noise = rng.normal(0, 2, (40, 2))
        found = [face(x + dx, y + dy) for (x, y), (dx, dy) in zip(centres, noise, strict=True)]
        faces = tracker.step(image, [found[k] for k in rng.permutation(40)], i * STEP)
        place = {f.track_id: min(range(40), key=lambda k: math.dist(centres[k], f.box.centre)) for f in faces}
        history.append(place)
    assert all(place == history[0] for place in history)
    assert sorted(history[0].values()) == list(range(40))


def test_no_faces_and_tiny_pictures() -> None:
    tracker = FaceTracker()
    assert tracker.step(np.zeros((1, 1, 3), np.uint8), [face(100)], 0.0, cut=True) == []
    assert [tracker.step(scene(), [], i * STEP) for i in range(3)] == [[], [], []]


def test_numbers_that_are_none_are_passed_over() -> None:
    tracker = FaceTracker()
    bad = [
        Detection(Box(math.nan, 0, 10, 10), 0.9),
        Detection(Box(0, 0, math.inf, 10), 0.9),
        Detection(Box(-500, -500, -400, -400), 0.9),
        Detection(Box(50, 50, 20, 20), 0.9),
        face(300, score=math.nan),
    ]
    assert [f.track_id for f in still(tracker, [*bad, face(100)], 3)] == [1]


def test_equal_and_falling_times_do_no_harm() -> None:
    tracker = FaceTracker()
    image = scene((100, 80, RED))
    for i, time in enumerate([math.nan, 0.0, 0.0, 0.04, 0.02, -5.0, math.inf, math.nan, 0.08]):
        (found,) = tracker.step(image, [face(100 + i % 2)], time)
        assert found.track_id == 1
        assert found.observed
        assert found.box.centre[0] == pytest.approx(100, abs=2)


def test_trembling_between_nearly_simultaneous_pictures_is_no_motion() -> None:
    tracker = FaceTracker()
    image = scene((100, 80, RED))
    for i in range(10):
        tracker.step(image, [face(100)], i * STEP)
    for i in range(9):
        tracker.step(image, [face(100 + 2 * (i % 2))], 10 * STEP + i * 1e-5)
    (bridged,) = tracker.step(image, [], 10 * STEP + 0.2)
    assert bridged.box.centre[0] == pytest.approx(101, abs=15)


def test_a_steadily_moving_face_is_followed_without_lag() -> None:
    tracker = FaceTracker()
    for i in range(30):
        x = 60 + 8 * i
        (found,) = tracker.step(scene((x, 80, RED)), [face(x)], i * STEP)
    assert found.box.centre[0] == pytest.approx(x, abs=1)


def test_boxes_lie_within_the_picture() -> None:
    tracker = FaceTracker()
    for i in range(25):
        x = 380 + 8 * i
        found = [face(x)] if x < WIDTH else []
        for reported in tracker.step(scene((x, 80, RED)), found, i * STEP):
            assert 0 <= reported.box.x1 < reported.box.x2 <= WIDTH


def test_memory_is_bounded() -> None:
    tracker = FaceTracker(TrackerSettings(remembered=5))
    rng = np.random.default_rng(2)
    for i in range(60):
        image = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        tracker.step(image, [face(100), face(300)], i * STEP, cut=True)
    assert len(tracker._gallery) <= 5
    assert len(tracker._tracks) <= 2


def test_people_are_forgotten_after_a_while() -> None:
    tracker = FaceTracker(TrackerSettings(memory=2.0))
    (before,) = still(tracker, [face(100)], 3)
    tracker.step(scene(), [], 1.0, cut=True)
    (after,) = tracker.step(scene((100, 80, RED), (300, 80, BLUE)), [face(100)], 3.0, cut=True)
    assert after.track_id != before.track_id


DETECTIONS = st.lists(
    st.builds(face, st.floats(-50, 530), st.floats(-50, 290), st.floats(0, 1), st.floats(1, 100)), max_size=5
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(DETECTIONS, st.floats(0, 2), st.booleans()), max_size=8))
def test_any_detections_give_sound_faces_and_the_same_every_time(
    steps: list[tuple[list[Detection], float, bool]],
) -> None:
    image = scene((100, 80, RED), (300, 80, BLUE))
    one, two = FaceTracker(), FaceTracker()
    time = 0.0
    for detections, elapsed, cut in steps:
        time += elapsed
        faces = one.step(image, detections, time, cut=cut)
        assert faces == two.step(image, detections, time, cut=cut)
        identities = [f.track_id for f in faces]
        assert len(set(identities)) == len(identities)
        assert all(identity >= 1 for identity in identities)
        assert sum(f.observed for f in faces) <= len(detections)
        for f in faces:
            assert 0 <= f.box.x1 < f.box.x2 <= WIDTH
            assert 0 <= f.box.y1 < f.box.y2 <= HEIGHT
