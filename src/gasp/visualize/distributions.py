"""Values of many videos side by side, as inline SVG: a dot per video, the mean, and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _FOOT = 560, 150, 14, 8, 24, 26
_MOST_LETTERS = 21


@dataclass(frozen=True, slots=True)
class DotRow:
    """One line: a dot per value (NaN is left out), ``mean`` with ``low`` and ``high``; ``colour`` as CSS knows it."""

    name: str
    colour: str
    values: Sequence[float]
    mean: float
    low: float
    high: float


def dot_chart(rows: Sequence[DotRow], *, decimals: int = 2) -> str:
    """Rows of dots over one common scale; rows without a finite value are named with a dash."""
    finite = [value for row in rows for value in (*row.values, row.low, row.high) if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin
    height = _TOP + _ROW * len(rows) + _FOOT

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    foot = height - _FOOT
    parts = []
    for tick in _ticks(low, high):
        x = across(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{foot}" class="rule"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{tick:.{decimals}f}</text>')
    for place, row in enumerate(rows):
        y = _TOP + _ROW * (place + 0.5)
        name = row.name if len(row.name) <= _MOST_LETTERS else row.name[: _MOST_LETTERS - 1] + "…"
        parts.append(
            f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end"><title>{escape(row.name)}</title>'
            f"{escape(name)}</text>"
        )
        dots = "".join(
            f'<circle cx="{across(value):.1f}" cy="{y + _spread(i):.1f}" r="2.6"/>'
            for i, value in enumerate(row.values)
            if math.isfinite(value)
        )
        if not dots:
            parts.append(f'<text x="{_LEFT}" y="{y + 4:.1f}">–</text>')
            continue
        colour = escape(row.colour)
        parts.append(f'<g fill="{colour}" fill-opacity=".42">{dots}</g>')
        if math.isfinite(row.mean):
            parts.append(
                f'<line x1="{across(row.low):.1f}" x2="{across(row.high):.1f}" y1="{y}" y2="{y}" '
                f'stroke="currentColor" stroke-width="2"/>'
                f'<circle cx="{across(row.mean):.1f}" cy="{y}" r="4.5" fill="{colour}" '
                f'stroke="currentColor" stroke-width="1.5"><title>{row.mean:.3f}</title></circle>'
            )
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(parts)}</svg>'


def _spread(place: int) -> float:
    """Up and down by turns, so that dots of equal value are seen; the same in every chart."""
    return (place * 0.618034 % 1 - 0.5) * 0.6 * _ROW


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between ``low`` and ``high``, three to eight."""
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [step * k for k in range(first, math.floor(high / step) + 1)]
