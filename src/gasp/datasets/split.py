"""A held-back part of a dataset that stays the same when the dataset grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from gasp.errors import UsageError


def held_back(ids: Iterable[str], fraction: float = 0.15, seed: str = "gasp") -> frozenset[str]:
    """The ids that are kept for evaluation: about ``fraction`` of them.

    Whether an id is held back depends on the id and ``seed`` alone, never on the other ids, so that adding
    images to a dataset moves none from one side to the other. A smaller fraction holds back a subset.
    """
    if not 0 <= fraction <= 1:
        raise UsageError(f"the fraction to hold back must be between 0 and 1, not {fraction}")
    return frozenset(name for name in ids if _place(name, seed) < fraction)


def _place(name: str, seed: str) -> float:
    """A number in [0, 1) that looks random and never changes."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
