"""What hostile inputs are made of, and what a command may say of them."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np

from helpers.fork_server import Done

QUICK: tuple[object, ...] = (
    *("--no-overlay", "--no-report", "--cues", "captured,motion", "--faces", "none", "--threads", 1),
)
"""Options with which `gasp predict` takes little time."""

WRONG: list[Any] = [
    None, 5, -1, 0.5, True, "", "..", "../../vict", "/abs", "x" * 5000, "\x1b[31m", "\x00", [], {}, [[]], {"a": 1},
    1e300, 2**80, float("nan"),
]  # fmt: skip
"""Values that belong nowhere."""


def check(done: Done, line: str, *, allowed: tuple[int, ...] = (1, 2), named: str = "") -> None:
    """Fails where a command hung, crashed, showed a traceback or control signs, or did not say what was wrong.

    Args:
        done: How it ended.
        line: What was tried, for the message.
        allowed: Exit statuses.
        named: What must be named where something went wrong.
    """
    assert done.status is not None, f"{line}: it hung"
    assert done.status in allowed, f"{line}: status {done.status}\n{done.err[-1500:]}"
    assert "Traceback" not in done.err, f"{line}\n{done.err[-1500:]}"
    assert "\x1b" not in done.err, f"{line}: control signs reach the terminal"
    if done.status:
        said = " ".join((done.err + done.out).split())
        assert said, f"{line}: nothing is said"
        assert named in said, f"{line}: {named} is not named\n{said[-800:]}"


def changed(content: Any, rng: random.Random) -> Any:
    """A copy of what a file of JSON or YAML holds, one value of which, anywhere, is replaced by a wrong one."""
    content = copy.deepcopy(content)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = (
            list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        )
        for key in keys:
            places.append((value, key))
            walk(value[key])

    walk(content)
    holder, key = rng.choice(places)
    holder[key] = copy.deepcopy(rng.choice(WRONG))
    return content


def damaged(content: bytes, seed: int) -> bytes:
    """A file of which some bytes are others, or that is cut short, or a stretch of which is missing or doubled."""
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    kind = seed % 4
    if kind == 0:
        return bytes(data[: rng.integers(1, len(data))])
    if kind == 1:
        for place in rng.integers(0, len(data), 1 + len(data) // 200):
            data[place] = rng.integers(256)
        return bytes(data)
    a, b = sorted(int(place) for place in rng.integers(0, len(data), 2))
    return bytes(data[:a] + data[b:]) if kind == 2 else bytes(data[:b] + data[a:])
