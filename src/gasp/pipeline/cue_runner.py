"""Runs one cue of either kind, and sees to it that every frame gets its map."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gasp.cues.cue import Cue, WindowedCue
from gasp.cues.observation import Observation
from gasp.errors import GaspError

log = logging.getLogger(__name__)

Map = NDArray[np.uint8]


class Events(Counter[str]):
    """Counts what went wrong without stopping the run, by description."""

    def note(self, event: str, error: Exception | None = None, count: int = 1) -> None:
        """Counts an event, and says it the first time."""
        if event not in self:
            reason = f" ({type(error).__name__}: {error})" if error else ""
            log.warning("%s%s; counted from now on", event, reason)
        self[event] += count


class CueRunner:
    """Pushes frames through a cue and gathers its maps in :attr:`ready`, one per frame, in order.

    A cue that fails costs its own maps only: they are black for the frames that it had not finished. It begins anew
    with the next frame if ``make`` is there to make a new one; a windowed cue without it has failed for good.
    """

    def __init__(
        self, cue: Cue | WindowedCue, events: Events, make: Callable[[], Cue | WindowedCue] | None = None
    ):
        self.cue: Cue | WindowedCue | None = cue
        self.name = cue.name
        self.future = int(getattr(cue, "future", 0))
        self.ready: deque[Map] = deque()
        self._events = events
        self._make = make
        self._waiting: deque[Observation] = deque()
        self._failures = 0

    def push(self, observations: Sequence[Observation]) -> None:
        """Takes the next frames."""
        self._waiting.extend(observations)
        if self.cue is None:
            self._give_up(None)
        elif hasattr(self.cue, "push"):
            self._run(lambda: cast(WindowedCue, self.cue).push(observations), self.future)
        else:
            for observation in observations:
                self._step(self.cue, observation)
        self._count_failures()

    def finish(self) -> None:
        """The video is over: the maps of all frames that still wait."""
        if self._waiting:
            self._run(lambda: cast(WindowedCue, self.cue).finish(), 0)
            self._count_failures()

    def _step(self, cue: Cue, observation: Observation) -> None:
        self._waiting.popleft()
        try:
            drawn = check_map(cue.step(observation))
        except GaspError:
            raise
        except Exception as error:
            self._events.note(f"cue {self.name} failed", error)
            drawn = black(observation)
        self.ready.append(drawn)

    def _run(self, call: Callable[[], list[Map]], allowed: int) -> None:
        """Take what a windowed cue gives; ``allowed``: how many frames may wait afterwards."""
        try:
            drawn = call()
            left = len(self._waiting) - len(drawn)
            if not 0 <= left <= allowed:
                raise ValueError(f"it gave {len(drawn)} maps while {len(self._waiting)} frames waited")
        except GaspError:
            raise
        except Exception as error:
            self._give_up(error)
            return
        for one in drawn:
            observation = self._waiting.popleft()
            try:
                self.ready.append(check_map(one))
            except ValueError as error:
                self._events.note(f"cue {self.name} failed", error)
                self.ready.append(black(observation))

    def _count_failures(self) -> None:
        """Take over what the cue itself counts in ``failures``: results of its network that are not numbers."""
        failures = int(getattr(self.cue, "failures", 0))
        if failures > self._failures:
            # The cue has said so already.
            self._events[f"cue {self.name} gave values that are not numbers"] += failures - self._failures
        self._failures = failures

    def _give_up(self, error: Exception | None) -> None:
        self._events.note(f"cue {self.name} failed", error, len(self._waiting))
        self.ready.extend(black(observation) for observation in self._waiting)
        self._waiting.clear()
        self.cue = self._make() if self._make is not None else None


def black(observation: Observation) -> Map:
    """The map of a cue that has none."""
    return np.zeros(observation.grid, np.uint8)


def check_map(drawn: Map) -> Map:
    """The map of a cue, if it is one: later stages rely on its form."""
    if not isinstance(drawn, np.ndarray):
        raise ValueError(f"its map is a {type(drawn).__name__}, not an array")
    if (
        drawn.dtype != np.uint8
        or drawn.ndim not in (2, 3)
        or drawn.shape[2:] not in ((), (3,))
        or not drawn.size
    ):
        raise ValueError(f"its map is {drawn.dtype} {drawn.shape}, not uint8 (h, w) or (h, w, 3)")
    return drawn
