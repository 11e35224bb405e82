"""Frames pulled from sources and pushed from Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp.errors import UsageError
from gasp.video import open_source
from gasp.video.live import FeedEndedError, Pulled, Pushed
from gasp.video.live.feed import SoundFifo
from helpers.streams import picture


def test_pulled_frames_come_with_the_sound_of_their_time():
    sound = np.arange(16000, dtype=np.float32) / 16000
    feed = Pulled(open_source([picture(k) for k in range(5)], fps=10, sound=(sound, 16000)))
    got = [feed.receive() for _ in range(5)]
    with pytest.raises(FeedEndedError):
        feed.receive()
    assert [captured.sequence for captured in got] == [0, 1, 2, 3, 4] == list(range(feed.received))
    np.testing.assert_allclose(np.concatenate([one.sound for one in got]), sound[:8000], atol=1e-4)


def test_pushed_frames_keep_their_numbers_and_stamps():
    feed = Pushed(rate=16000)
    feed.push(picture(0), sequence=2**64 - 1, stamp_ns=5_000_000_000, sound=np.zeros((640, 2)))
    feed.end()
    captured = feed.receive(1)
    assert (captured.sequence, captured.stamp_ns, captured.frame.time) == (2**64 - 1, 5_000_000_000, 5.0)
    assert captured.sound.shape == (640,)
    with pytest.raises(FeedEndedError):
        feed.receive(1)


def test_sound_of_dropped_frames_stays():
    feed = Pushed(rate=100)
    for k in range(5):
        feed.push(picture(k), sound=np.full(4, k / 10, np.float32))
    feed.end()
    heard = [feed.receive().sound, feed.receive().sound]
    np.testing.assert_allclose(np.concatenate(heard), np.repeat(np.arange(5) / 10, 4), atol=1e-6)
    assert feed.dropped == 3


def test_sound_needs_a_rate():
    with pytest.raises(UsageError, match="rate"):
        Pushed().push(picture(0), sound=np.zeros(10))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300)), max_size=30))
def test_sound_fits_the_frames(steps):
    fifo, put, given = SoundFifo(100, most=1.0), 0, 0
    for puts, count in steps:
        if puts:
            fifo.put(np.arange(put + 1, put + count + 1, dtype=np.float32))
            put += count
            assert fifo._size == sum(map(len, fifo._pieces)) <= 100
        else:
            piece = fifo.take(count / 100)
            assert len(piece) == count
            heard = piece[piece > 0]
            assert (np.diff(heard) > 0).all()
            given += len(heard)
    assert given <= put
