"""Who is who from one piece of a video to the next."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gasp.faces.face import Box, Face
from gasp.faces.joining import FaceJoiner, People, Person, Seen, seen


def looks(*colours: int) -> NDArray[np.float32]:
    """Square roots of a histogram with these colours."""
    values = np.zeros(432, np.float32)
    values[list(colours)] = 1
    return values


def face(track: int, x: float, *colours: int) -> Face:
    return Face(track, Box(x, 0, x + 10, 10), 1.0, looks=looks(*colours) if colours else None)


def joiner(*before: Seen, people: People | None = None) -> FaceJoiner:
    made = FaceJoiner(deque(before))
    made.begin(people or People(highest=5))
    return made


def numbers(faces: list[Face]) -> list[int]:
    return [one.track_id for one in faces]


def test_the_first_piece_keeps_the_numbers_of_its_tracker() -> None:
    first = joiner(people=People())
    assert numbers(first.rename(0, 0.0, [face(3, 0), face(1, 50)])) == [3, 1]
    assert first.end().highest == 3


def test_who_is_in_the_same_place_is_the_same() -> None:
    one = FaceJoiner(deque([(7, [(2, Box(0, 0, 10, 10)), (5, Box(50, 0, 60, 10))])]))
    one.learn(7, [face(1, 51), face(2, 1), face(3, 90)])
    one.begin(People(highest=5))
    assert numbers(one.rename(8, 0.3, [face(1, 51), face(2, 1), face(3, 90)])) == [5, 2, 6]
    assert numbers(one.rename(9, 0.4, [face(3, 90), face(4, 0)])) == [6, 7], (
        "others get numbers that are free"
    )
    assert one.end().highest == 7


def test_frames_that_nobody_shares_teach_nothing() -> None:
    one = FaceJoiner(deque([(7, [(2, Box(0, 0, 10, 10))])]))
    one.learn(6, [face(1, 0)])
    one.begin(People(highest=2))
    assert numbers(one.rename(8, 0.3, [face(1, 0)])) == [3]


def test_somebody_who_comes_back_is_recognised_by_looks() -> None:
    people = People(5, {2: Person(10.0, looks(1, 2, 3)), 4: Person(11.0, looks(7, 8, 9))})
    one = joiner(people=people)
    assert numbers(one.rename(300, 12.0, [face(1, 0, 7, 8, 9)])) == [4]
    assert numbers(one.rename(301, 12.1, [face(1, 0, 7, 8, 9), face(2, 50, 7, 8, 9)])) == [4, 6], "4 is taken"
    assert numbers(one.rename(302, 12.2, [face(3, 80, 20, 21)])) == [7], "nobody looks like this"
    ended = one.end()
    assert ended.highest == 7
    assert sorted(ended.known) == [2, 4, 6, 7]
    assert ended.known[4].time == 12.1


def test_nobody_is_recognised_after_too_long() -> None:
    one = joiner(people=People(5, {2: Person(10.0, looks(1, 2, 3))}))
    assert numbers(one.rename(9000, 200.0, [face(1, 0, 1, 2, 3)])) == [6]


def test_faces_without_looks() -> None:
    one = joiner(people=People(5, {2: Person(10.0, looks(1, 2, 3))}))
    assert numbers(one.rename(300, 11.0, [face(1, 0)])) == [6]
    assert sorted(one.end().known) == [2]


def test_only_the_latest_are_remembered() -> None:
    many = {number: Person(float(number), looks(number % 400)) for number in range(1, 300)}
    one = joiner(people=People(299, many))
    one.rename(0, 299.5, [])
    assert sorted(one.end().known) == list(range(200, 300))


@given(
    st.dictionaries(
        st.integers(1, 10**6),
        st.tuples(st.floats(0, 1e6), st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)),
        max_size=5,
    )
)
def test_people_as_plain_values(values: dict[int, tuple[float, list[float]]]) -> None:
    people = People(
        max(values, default=0), {n: Person(t, np.array(v, np.float32)) for n, (t, v) in values.items()}
    )
    plain = people.plain()
    once = People.from_plain(json.loads(json.dumps(plain)))
    assert once.plain() == plain, "what went through a file once is as it would be after a hundred times"
    assert (once.highest, sorted(once.known)) == (people.highest, sorted(people.known))


def test_boxes_are_remembered_as_tables_have_them() -> None:
    assert seen(3, [Face(1, Box(1.04, 2.06, 3, 4), 1.0)]) == (3, [(1, Box(1.0, 2.1, 3.0, 4.0))])
