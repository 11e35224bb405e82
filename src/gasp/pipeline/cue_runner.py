"""Runs one cue, and sees to it that every frame gets its result."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gasp.cues.cue import Cue, CueResult, FrameCue, Map, UnfinishedError, as_result
from gasp.cues.observation import Observation
from gasp.errors import GaspError
from gasp.messages.link import ProgramError

log = logging.getLogger(__name__)


class Events(Counter[str]):
    """Counts what went wrong without stopping the run, by description."""

    def note(self, event: str, error: Exception | None = None, count: int = 1) -> None:
        """Counts an event, and says it the first time."""
        if event not in self:
            reason = f" ({type(error).__name__}: {error})" if error else ""
            log.warning("%s%s; counted from now on", event, reason)
        self[event] += count


class CueRunner:
    """Gives frames to a cue and gathers its results in :attr:`ready`, one per frame, in order.

    Frames are submitted first and results collected afterwards, so that cues whose work runs elsewhere overlap. A cue
    that fails costs its own maps only: they are black for the frames that it had not finished. It begins anew with the
    next frame if ``make`` is there to make a new one; without, one that is no :class:`~gasp.cues.cue.FrameCue` has
    failed for good, and so has one that was made anew as often as its ``restarts`` say. ``step``: nominal seconds
    between frames.

    ``past``, ``future``, ``sound_rate``, ``needs_saliency`` and ``elsewhere`` are those that the cue declares.
    """

    def __init__(
        self, cue: Cue, events: Events, make: Callable[[], Cue] | None = None, *, step: float = 0.04
    ) -> None:
        cue.begin(step)
        self.cue: Cue | None = cue
        self.name = cue.name
        self.past, self.future, self.sound_rate = cue.past, cue.future, cue.sound_rate
        self.needs_saliency, self.elsewhere = cue.needs_saliency, cue.elsewhere
        self._restarts = cue.restarts
        self.ready: deque[CueResult] = deque()
        self._events = events
        self._make = make
        self._step = step
        self._waiting: deque[Observation] = deque()
        self._receive: Callable[[], list[CueResult]] | None = None
        self._failures = 0

    def submit(self, observations: Sequence[Observation]) -> None:
        """Starts the cue's work on the next frames. :meth:`collect` comes before the next ones."""
        self._waiting.extend(observations)
        if self.cue is None:
            self._give_up(None)
        elif not isinstance(self.cue, FrameCue):
            try:
                self._receive = self.cue.submit(observations)
            except GaspError:
                raise
            except Exception as error:
                self._give_up(error)

    def collect(self) -> None:
        """Waits for the results of what was submitted."""
        if isinstance(self.cue, FrameCue):
            while self._waiting:
                self._look(self.cue, self._waiting.popleft())
            self._count_failures()
        elif self._receive is not None:
            receive, self._receive = self._receive, None
            self._take(receive, self.future)

    def finish(self) -> None:
        """The video is over: the results of all frames that still wait."""
        if self._waiting and self.cue is not None:
            self._take(self.cue.finish, 0)

    def close(self) -> None:
        """The cue gives up what it holds; nothing is submitted afterwards."""
        if self.cue is not None:
            self.cue.close()

    def _look(self, cue: FrameCue, observation: Observation) -> None:
        """One frame of a cue of the simple kind: what fails costs this frame only."""
        try:
            result = check_result(as_result(cue.step(observation)))
        except GaspError:
            raise
        except Exception as error:
            self._events.note(f"cue {self.name} failed", error)
            result = CueResult(black(observation))
        self.ready.append(result)

    def _take(self, receive: Callable[[], list[CueResult]], allowed: int) -> None:
        """Take what the cue gives; ``allowed``: how many frames may wait afterwards."""
        try:
            results = receive()
            left = len(self._waiting) - len(results)
            if not 0 <= left <= allowed:
                raise ValueError(f"it gave {len(results)} maps while {len(self._waiting)} frames waited")
        except GaspError:
            raise
        except UnfinishedError as error:
            self._keep(error.results)
            self._count_failures()
            self._give_up(error.reason)
        except Exception as error:
            self._count_failures()
            self._give_up(error)
        else:
            self._keep(results)
            self._count_failures()

    def _keep(self, results: Sequence[CueResult]) -> None:
        """Results of the frames that have waited longest."""
        for result in results:
            observation = self._waiting.popleft()
            try:
                self.ready.append(check_result(result))
            except ValueError as error:
                self._events.note(f"cue {self.name} failed", error)
                self.ready.append(CueResult(black(observation)))

    def _count_failures(self) -> None:
        """Take over what the cue itself counts: results of its network that are not numbers."""
        if self.cue is None:
            return
        if self.cue.failures > self._failures:
            # The cue has said so already.
            new = self.cue.failures - self._failures
            self._events[f"cue {self.name} gave values that are not numbers"] += new
        self._failures = self.cue.failures

    def _give_up(self, error: Exception | None) -> None:
        fault = f": {error.fault}" if isinstance(error, ProgramError) else ""
        self._events.note(f"cue {self.name} failed{fault}", error, len(self._waiting))
        self.ready.extend(CueResult(black(observation)) for observation in self._waiting)
        self._waiting.clear()
        failed, self.cue, self._failures = self.cue, None, 0
        if failed is not None:
            failed.close()
            self._make_anew()

    def _make_anew(self) -> None:
        if self._make is None:
            return
        if self._restarts is not None:
            if not self._restarts:
                log.warning("cue %s failed too often; its maps are black from now on", self.name)
                return
            self._restarts -= 1
        self.cue = self._make()
        self.cue.begin(self._step)


def black(observation: Observation) -> Map:
    """The map of a cue that has none."""
    return np.zeros(observation.grid, np.uint8)


def check_result(result: CueResult) -> CueResult:
    """The result of a cue, if it is one: later stages rely on its form. Raises ValueError otherwise."""
    if not isinstance(result, CueResult):
        raise ValueError(f"its result is a {type(result).__name__}, not a CueResult")
    drawn = result.map
    if not isinstance(drawn, np.ndarray):
        raise ValueError(f"its map is a {type(drawn).__name__}, not an array")
    if (
        drawn.dtype != np.uint8
        or drawn.ndim not in (2, 3)
        or drawn.shape[2:] not in ((), (3,))
        or not drawn.size
    ):
        raise ValueError(f"its map is {drawn.dtype} {drawn.shape}, not uint8 (h, w) or (h, w, 3)")
    if not isinstance(result.found, Mapping) or not all(
        isinstance(said, Mapping) for said in result.found.values()
    ):
        raise ValueError("what it found is no mapping from track_id to names and values")
    return result
