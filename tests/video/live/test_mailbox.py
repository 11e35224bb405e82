"""Frames wait in a short queue, or are dropped and counted."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp.video.live.mailbox import ClosedError, Mailbox


def joined(older, newer):
    return older + newer


@given(st.lists(st.sampled_from(["put", "get", "newest"]), max_size=60), st.integers(1, 4))
def test_nothing_is_lost_uncounted(steps, depth):
    box, put, taken = Mailbox("newest", joined, depth), 0, 0
    order = []
    for step in steps:
        if step == "put":
            box.put([put])
            put += 1
        else:
            item = box.get(0, newest=step == "newest")
            taken += item is not None
            order += item or []
    box.close()
    left = 0
    while True:
        try:
            order += box.get(0)
            left += 1
        except ClosedError:
            break
    assert box.received == put == taken + box.dropped + left
    assert order == list(range(put))  # what is dropped leaves its part to the next one, in order
    assert left <= depth


def test_every_frame_waits_for_room():
    box = Mailbox("every", joined, 2)
    box.put([0])
    box.put([1])
    assert box.full
    thread = threading.Thread(target=box.put, args=([2],))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert [box.get(), box.get(), box.get()] == [[0], [1], [2]]
    thread.join(5)
    assert box.dropped == 0


def test_who_wants_the_newest_lets_nobody_wait():
    box = Mailbox("every", joined, 2)
    for k in range(2):
        box.put([k])
    assert box.get(newest=True) == [0, 1]
    for k in range(2, 9):
        box.put([k])  # would wait for ever
    assert box.dropped == 1 + 5
    assert box.get(newest=True)[-1] == 8


def test_closing_frees_who_waits():
    box = Mailbox("every", joined, 1)
    box.put([0])
    thread = threading.Thread(target=box.put, args=([1],))
    thread.start()
    box.close()
    thread.join(5)
    assert not thread.is_alive()
    assert box.get() == [0]
    with pytest.raises(ClosedError):
        box.get()
    assert box.received == 1
