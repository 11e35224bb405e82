"""Fingerprints: equal for runs with equal results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def fingerprint(decisive: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of everything that decides a result, whatever the order of its keys.

    Args:
        decisive: Plain values; of settings exactly those that have an effect
            (:meth:`gasp.config.base.Settings.decisive`).
    """
    text = json.dumps(decisive, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
