"""Charts over time as inline SVG, without scripts, in the page's fonts and colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 960, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 30
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_DASHES = ("", "9 4", "2 4", "12 4 2 4")


@dataclass(frozen=True, slots=True)
class Series:
    """One line or band: a value per point in time, ``colour`` as CSS knows it."""

    name: str
    colour: str
    values: Sequence[float]


def line_chart(
    times: Sequence[float], series: Sequence[Series], *, low: float, high: float, unit: Callable[[float], str]
) -> str:
    """Lines over ``times`` (seconds, at least two) on a scale from ``low`` to ``high``; ``unit`` writes its
    numbers.

    Lines are told apart by dashes as well as by colour.
    """
    across, down = _scales(times, low, high)
    lines = [
        f'<polyline points="{_points(times, one.values, across, down)}" fill="none" '
        f'stroke="{escape(one.colour)}" stroke-width="2" stroke-linejoin="round" '
        f'stroke-dasharray="{_DASHES[place // 4 % len(_DASHES)]}">'
        f"<title>{escape(one.name)}</title></polyline>"
        for place, one in enumerate(series)
    ]
    return _svg(times, low, high, unit, lines)


def stacked_chart(times: Sequence[float], series: Sequence[Series], *, unit: Callable[[float], str]) -> str:
    """Bands one on top of the other over ``times`` (seconds, at least two), their sum being at most 1."""
    across, down = _scales(times, 0, 1)
    floor = [0.0] * len(times)
    bands = []
    for one in series:
        ceiling = [min(1.0, below + value) for below, value in zip(floor, one.values, strict=True)]
        outline = _points(times, ceiling, across, down)
        back = _points(times[::-1], floor[::-1], across, down)
        bands.append(
            f'<polygon points="{outline} {back}" fill="{escape(one.colour)}" fill-opacity=".85">'
            f"<title>{escape(one.name)}</title></polygon>"
            f'<polyline points="{outline}" fill="none" stroke="currentColor" stroke-opacity=".25"/>'
        )
        floor = ceiling
    return _svg(times, 0, 1, unit, bands)


def legend(series: Sequence[Series]) -> str:
    """Names beside their colours, HTML."""
    entries = (
        f'<li><i style="background:{escape(one.colour)}"></i>{escape(one.name)}</li>' for one in series
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def clock(seconds: float) -> str:
    """1:02, or 1:02:03 from an hour on; tenths below ten seconds where there are any."""
    if 0 < seconds < 10 and abs(seconds - round(seconds)) > 0.04:
        return f"0:{seconds:04.1f}"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _scales(
    times: Sequence[float], low: float, high: float
) -> tuple[Callable[[float], float], Callable[[float], float]]:
    span, reach = max(1e-9, times[-1] - times[0]), max(1e-9, high - low)

    def across(time: float) -> float:
        return _LEFT + (time - times[0]) / span * (_WIDTH - _LEFT - _RIGHT)

    def down(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / reach * (_HEIGHT - _TOP - _BOTTOM)

    return across, down


def _points(
    times: Sequence[float],
    values: Sequence[float],
    across: Callable[[float], float],
    down: Callable[[float], float],
) -> str:
    return " ".join(
        f"{across(time):.1f},{down(value):.1f}" for time, value in zip(times, values, strict=True)
    )


def _svg(
    times: Sequence[float], low: float, high: float, unit: Callable[[float], str], content: Sequence[str]
) -> str:
    across, down = _scales(times, low, high)
    grid = []
    for part in range(5):
        value = low + (high - low) * part / 4
        y = down(value)
        grid.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="rule"/>')
        text = escape(unit(value))
        grid.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for time in _ticks(times[0], times[-1]):
        x, foot = across(time), _HEIGHT - _BOTTOM
        grid.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{clock(time)}</text>')
        grid.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{foot}" y2="{foot + 5}" class="tick"/>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(grid)}{"".join(content)}</svg>'


def _ticks(first: float, last: float) -> list[float]:
    """Round times between ``first`` and ``last``, ten at most."""
    step = next((step for step in _STEPS if (last - first) / step <= 10), (last - first) / 10)
    count = int((last - first) / step + 1e-6)
    start = -(-first // step) * step
    ticks = [start + step * place for place in range(count + 2)]
    return [tick for tick in ticks if tick <= last + 1e-6 * step]
