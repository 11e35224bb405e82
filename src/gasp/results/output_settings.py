"""Which results a run leaves."""

from __future__ import annotations

from dataclasses import dataclass

from gasp.errors import UsageError
from gasp.results.maps import check_format


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What is written beside the tables and the manifest, which are always there.

    ``overlay``, ``grid``: videos. ``maps``: None, "png", "npy" or "zarr"; ``map_size`` their (width, height),
    None for the network's own. ``report``: the page. ``sinks``: names of sinks of other
    installed packages that take every prediction, too. Raises :class:`UsageError` for impossible values.
    """

    overlay: bool = True
    grid: bool = False
    maps: str | None = None
    map_size: tuple[int, int] | None = None
    report: bool = True
    sinks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.maps is not None:
            check_format(self.maps)
        if self.map_size is not None and not all(1 <= side <= 16384 for side in self.map_size):
            raise UsageError(f"map_size = {self.map_size}: width and height must be 1 to 16384 pixels.")
