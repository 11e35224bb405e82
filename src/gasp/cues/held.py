"""A cue that works on some frames only; in between, what it found last is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gasp.cues.cue import Cue, CueResult
from gasp.cues.observation import Observation


class HeldCue(Cue):
    """Gives every ``every``-th frame to ``cue``, and its latest result to those in between, with its age.

    Frames are chosen by their number, so that results do not depend on where a run began: the first of each
    ``every`` successive numbers, also where some are missing, as in a live stream that drops frames; and those at which
    a shot begins. The sound and the time of the frames in between come with the next one that is chosen.
    """

    def __init__(self, cue: Cue, every: int) -> None:
        self.name = cue.name
        self._cue = cue
        self._every = every
        self._declare()
        self._block: int | None = None
        self._between: list[Observation] = []
        # The frames under way, and whether the cue works on them.
        self._waiting: deque[tuple[Observation, bool]] = deque()
        self._found: deque[CueResult] = deque()
        self._latest: tuple[int, CueResult] | None = None

    def begin(self, step: float) -> None:
        """See :class:`Cue`."""
        self._cue.begin(step * self._every)
        self._declare()

    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """See :class:`Cue`."""
        return self.submit(observations)()

    def submit(self, observations: Sequence[Observation]) -> Callable[[], list[CueResult]]:
        """See :class:`Cue`."""
        chosen = []
        for observation in observations:
            block = observation.number // self._every
            works, self._block = block != self._block or observation.cut, block
            self._waiting.append((observation, works))
            self._between.append(observation)
            if works:
                chosen.append(_joined(self._between))
                self._between = []
        receive = self._cue.submit(chosen) if chosen else list

        def collect() -> list[CueResult]:
            self._found.extend(receive())
            self.failures = self._cue.failures
            return self._complete()

        return collect

    def finish(self) -> list[CueResult]:
        """See :class:`Cue`."""
        self._found.extend(self._cue.finish())
        return self._complete()

    def close(self) -> None:
        """See :class:`Cue`."""
        self._cue.close()

    def _complete(self) -> list[CueResult]:
        """Results of the oldest frames, up to the first that the cue still works on."""
        results = []
        while self._waiting:
            observation, works = self._waiting[0]
            if works:
                if not self._found:
                    break
                self._latest = observation.number, self._found.popleft()
            self._waiting.popleft()
            results.append(self._held(observation))
        return results

    def _held(self, observation: Observation) -> CueResult:
        if self._latest is None:
            return CueResult(np.zeros(observation.grid, np.uint8))
        number, result = self._latest
        return replace(result, age=observation.number - number)

    def _declare(self) -> None:
        """What the cue declares, counted in all frames."""
        cue, every = self._cue, self._every
        self.past = None if cue.past is None else cue.past * every + every - 1
        self.future = cue.future * every
        self.sound_rate, self.needs_saliency = cue.sound_rate, cue.needs_saliency
        self.elsewhere, self.restarts = cue.elsewhere, cue.restarts


def _joined(observations: Sequence[Observation]) -> Observation:
    """The last one, with the sound and the time of them all."""
    last = observations[-1]
    heard = [one.sound for one in observations if one.sound is not None]
    return replace(
        last, sound=np.concatenate(heard) if heard else None, step=sum(one.step for one in observations)
    )
