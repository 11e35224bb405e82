"""How a live run keeps up."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any, NamedTuple

import numpy as np

from gasp.pipeline.live import Latency, LiveResult


class Spread(NamedTuple):
    """Median, 95th and 99th percentile, in milliseconds."""

    median: float
    p95: float
    p99: float


class Statistics:
    """Of the latest ``memory`` results, or of all with None. ``count``: of results, all of them."""

    def __init__(self, memory: int | None = 500) -> None:
        self.count = 0
        self.levels: Counter[int] = Counter()
        self._latencies: deque[Latency] = deque(maxlen=memory)
        self._times: deque[float] = deque(maxlen=memory)

    def note(self, result: LiveResult) -> None:
        """One more result, just now."""
        self.count += 1
        self.levels[result.level] += 1
        self._latencies.append(result.latency)
        self._times.append(time.monotonic())

    @property
    def rate(self) -> float:
        """Results per second."""
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(1e-9, self._times[-1] - self._times[0])

    def latency(self, part: str = "total") -> Spread:
        """Of a part of :class:`~gasp.pipeline.live.Latency`."""
        values = [1000 * getattr(one, part) for one in self._latencies]
        return Spread(*(float(p) for p in np.percentile(values, (50, 95, 99)))) if values else Spread(0, 0, 0)

    @property
    def slope(self) -> float:
        """By how many milliseconds per minute the latency grows, least squares over the results."""
        if len(self._times) < 3:
            return 0.0
        minutes = (np.array(self._times) - self._times[0]) / 60
        return float(np.polyfit(minutes, [1000 * one.total for one in self._latencies], 1)[0])

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON; milliseconds."""
        return {
            "results": self.count,
            "results_per_second": round(self.rate, 2),
            "latency_ms": {
                part: {name: round(value, 1) for name, value in self.latency(part)._asdict().items()}
                for part in Latency._fields
            },
            "latency_ms_per_minute": round(self.slope, 2),
            "levels": dict(self.levels),
        }
