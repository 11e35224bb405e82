"""How a node is doing: results per second, delays, and how busy it is."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

SECONDS = 10.0
"""What the numbers tell of: the time just past."""
_MOST = 4096


class Meter:
    """Counts results of the last seconds. Used by one thread, read by others."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._results: deque[tuple[float, float, float]] = deque(maxlen=_MOST)
        self.results = 0

    def note(self, latency: float, busy: float) -> None:
        """An answer to a frame that took ``latency`` seconds since it arrived, ``busy`` of which were computing."""
        self.results += 1
        self._results.append((time.perf_counter(), latency, busy))

    def plain(self) -> dict[str, Any]:
        """``results_per_second``; ``latency_median`` and ``latency_p95`` in seconds, None without results;
        ``load``: the share of time spent computing, 0..1."""
        now = time.perf_counter()
        span = min(SECONDS, max(1e-3, now - self._began))
        recent = [entry for entry in tuple(self._results) if entry[0] > now - span]
        delays = [latency for _, latency, _ in recent]
        return {
            "uptime": now - self._began,
            "results": self.results,
            "results_per_second": len(recent) / span,
            "latency_median": float(np.median(delays)) if delays else None,
            "latency_p95": float(np.quantile(delays, 0.95)) if delays else None,
            "load": min(1.0, sum(busy for _, _, busy in recent) / span),
        }
