"""Which results a run leaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

from gasp.errors import UsageError
from gasp.results.maps import MapsSink, check_format
from gasp.results.report import ReportSink
from gasp.results.sink import Sink, create_sinks
from gasp.results.tables import TablesSink
from gasp.results.videos import VideoSink
from gasp.visualize.grid import draw_grid
from gasp.visualize.overlay import Legend, OverlayStyle, draw_overlay

LARGEST_MAP = 16384
"""Pixels of a map's side."""


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What is written beside the tables and the manifest, which are always there.

    ``overlay``, ``grid``: videos. ``maps``: None, "png", "npy" or "zarr"; ``map_size`` their (width, height),
    None for the network's own. ``legend``: what the overlay's bars show, "why" (contributions of cues), "gates" or
    "none". ``report``: the page. ``sinks``: names of sinks of other
    installed packages that take every prediction, too. Raises :class:`UsageError` for impossible values.
    """

    overlay: bool = True
    grid: bool = False
    maps: str | None = None
    map_size: tuple[int, int] | None = None
    report: bool = True
    sinks: tuple[str, ...] = ()
    legend: Legend = "why"

    def __post_init__(self) -> None:
        if self.maps is not None:
            check_format(self.maps)
        if self.legend not in get_args(Legend):
            raise UsageError(f"legend = {self.legend!r}: use one of {', '.join(get_args(Legend))}.")
        if self.map_size is not None and not all(1 <= side <= LARGEST_MAP for side in self.map_size):
            raise UsageError(
                f"map_size = {self.map_size}: width and height must be 1 to {LARGEST_MAP} pixels."
            )

    def create(self, every: int = 1) -> list[Sink]:
        """The sinks that write it. ``every``: of how many frames one is predicted."""
        sinks: list[Sink] = [TablesSink()]
        if self.overlay:
            sinks.append(
                VideoSink("overlay", partial(draw_overlay, style=OverlayStyle(legend=self.legend)), every)
            )
        if self.grid:
            sinks.append(VideoSink("grid", draw_grid, every))
        if self.maps is not None:
            sinks.append(MapsSink(self.maps, self.map_size))
        if self.report:
            sinks.append(ReportSink())
        return sinks + create_sinks(self.sinks)
