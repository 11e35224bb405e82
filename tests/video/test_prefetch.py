from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from gasp.video import prefetch


def test_order_and_end() -> None:
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([])) == []


def test_errors_arrive_in_their_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ZeroDivisionError

    found = prefetch(items())
    assert list(islice(found, 2)) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_runs_ahead_within_bounds_and_ends_when_abandoned() -> None:
    before = threading.active_count()
    made = []
    closed = []

    def items() -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.append(True)

    found = prefetch(items(), 4)
    assert next(found) == 0
    time.sleep(0.2)
    assert 2 <= len(made) <= 6  # four ready, one in hand, one given
    found.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert threading.active_count() == before
