"""Where frames come from while they happen, and the simple kinds: pulled from a source, pushed from Python."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gasp.errors import UsageError
from gasp.video.frames import Frame
from gasp.video.live.mailbox import ClosedError, Mailbox, Policy
from gasp.video.pictures import to_rgb
from gasp.video.sound import Sound, SoundStream
from gasp.video.source import Clock, VideoSource


class FeedEndedError(Exception):
    """The feed is over."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame as it came.

    ``frame``: its ``index`` counts what came, dropped frames too. ``sequence``: the same, or the number that whoever
    pushed it gave (0..2**64 - 1). ``stamp_ns``: when it arrived, nanoseconds of ``time.monotonic_ns()``. ``sound``:
    mono float32 samples up to this frame since the one before it (of a file: from this frame to the next), None
    without sound. ``decoding``: seconds.
    """

    frame: Frame
    sequence: int
    stamp_ns: int
    sound: NDArray[np.float32] | None = None
    decoding: float = 0.0


class Feed(ABC):
    """Gives frames one after another as they happen.

    ``label``: its name for messages. ``width``, ``height``, ``fps``: of the frames to expect; they may change.
    ``clock``: see :class:`~gasp.video.source.VideoSource`. ``live``: whether frames come at their own time, whoever
    waits. ``has_sound``: whether sound comes with them.
    """

    label: str
    width: int
    height: int
    fps: float
    has_sound: bool
    live: bool = True
    clock: Clock = "capture"

    @abstractmethod
    def receive(self, timeout: float | None = None, *, newest: bool = False) -> Captured | None:
        """The next frame, or the ``newest``; None when none came in time. Raises :class:`FeedEndedError`."""

    @property
    @abstractmethod
    def received(self) -> int:
        """Frames that came so far."""

    @property
    @abstractmethod
    def dropped(self) -> int:
        """Frames that nobody took in time."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """Frames that :meth:`receive` gave."""

    @property
    def condition(self) -> str:
        """In a word how the feed is."""
        return "running"

    def pause(self, paused: bool) -> None:
        """Hold on, or go on; frames that come meanwhile are dropped."""
        raise UsageError(f"{self.label} cannot be paused")

    def close(self) -> None:  # noqa: B027  (not every feed holds anything)
        """Let go of what it holds; whoever waits is told that the feed is over."""


class Pulled(Feed):
    """A source whose frames are there when one asks: a file, arrays, a generator."""

    live = False

    def __init__(self, source: VideoSource, rate: int = 16000) -> None:
        self.label = source.name
        self.width, self.height, self.fps = source.width, source.height, source.fps
        self.clock = source.clock
        self.has_sound = source.has_sound
        self._source = source
        self._count = 0
        self._items = self._read(source.sound_stream(rate))

    @property
    def received(self) -> int:
        """See :class:`Feed`."""
        return self._count

    @property
    def dropped(self) -> int:
        """Never any."""
        return 0

    @property
    def taken(self) -> int:
        """See :class:`Feed`."""
        return self._count

    def receive(self, timeout: float | None = None, *, newest: bool = False) -> Captured | None:
        """See :class:`Feed`."""
        began = time.perf_counter()
        frame, sound = next(self._items, (None, None))
        if frame is None:
            raise FeedEndedError
        self._count += 1
        decoding = time.perf_counter() - began
        return Captured(frame, self._count - 1, time.monotonic_ns(), sound, decoding)

    def close(self) -> None:
        """See :class:`Feed`."""
        self._source.close()

    def _read(self, stream: SoundStream | None) -> Iterator[tuple[Frame, NDArray[np.float32] | None]]:
        """Frames with their sound; each waits for no other, so sound lasts as long as the step before."""
        step, before = 1 / self.fps if self.fps > 0 else 0.04, None
        try:
            for frame in self._source:
                if before is not None and frame.time > before:
                    step = frame.time - before
                before = frame.time
                yield frame, None if stream is None else stream.until(frame.time + step)
        finally:
            if stream is not None:
                stream.close()


class BoxedFeed(Feed):
    """A feed whose frames come from another thread and wait in a mailbox, of which older ones may be dropped."""

    def __init__(self, policy: Policy) -> None:
        self._box: Mailbox[Captured] = Mailbox(policy, merge_sound)

    @property
    def received(self) -> int:
        """See :class:`Feed`."""
        return self._box.received

    @property
    def dropped(self) -> int:
        """See :class:`Feed`."""
        return self._box.dropped

    @property
    def taken(self) -> int:
        """See :class:`Feed`."""
        return self._box.taken

    def receive(self, timeout: float | None = None, *, newest: bool = False) -> Captured | None:
        """See :class:`Feed`."""
        try:
            return self._box.get(timeout, newest=newest)
        except ClosedError:
            raise FeedEndedError from None

    def close(self) -> None:
        """See :class:`Feed`."""
        self._box.close()


class Pushed(BoxedFeed):
    """Frames pushed from Python, for example from a robot's own camera loop; any thread may push.

    Args:
        fps: Frames per second to expect.
        policy: What happens to frames that come too fast.
        rate: Samples per second of the sound that is pushed.
    """

    label = "frames"

    def __init__(self, fps: float = 25.0, policy: Policy = "newest", rate: int | None = None) -> None:
        super().__init__(policy)
        self.fps = fps
        self.width = self.height = 0
        self.has_sound = rate is not None
        self.rate = rate
        self._count = 0
        self._lock = threading.Lock()

    def push(
        self,
        picture: ArrayLike,
        *,
        time_s: float | None = None,
        sound: ArrayLike | None = None,
        sequence: int | None = None,
        stamp_ns: int | None = None,
    ) -> None:
        """Give the next frame.

        Args:
            picture: RGB (H, W, 3), as :func:`gasp.video.open_source` takes them.
            time_s: Its time in seconds; by default when it was pushed.
            sound: Samples (n,) or (n, channels) since the frame before.
            sequence: Its number, passed through; by default counted.
            stamp_ns: When it was taken, on the clock of ``time.monotonic_ns()``; by default now.
        """
        stamp = time.monotonic_ns() if stamp_ns is None else stamp_ns
        image = to_rgb(picture)
        heard = None
        if sound is not None:
            if self.rate is None:
                raise UsageError("Sound was pushed, but the rate of sound was not given to Pushed(rate=…).")
            heard = Sound.from_array(sound, self.rate).samples
        with self._lock:
            index, self._count = self._count, self._count + 1
            self.height, self.width = image.shape[:2]
            frame = Frame(index, stamp / 1e9 if time_s is None else time_s, image)
            self._box.put(Captured(frame, index if sequence is None else sequence, stamp, heard))

    def end(self) -> None:
        """There are no more frames; those that wait are still predicted."""
        self._box.close()


def merge_sound(older: Captured, newer: Captured) -> Captured:
    """The newer frame, with the sound of the older one that is dropped."""
    if older.sound is None:
        return newer
    if newer.sound is None:
        return replace(newer, sound=older.sound)
    return replace(newer, sound=np.concatenate([older.sound, newer.sound]))


class SoundFifo:
    """Sound that comes at its own pace, handed out so that it fits the frames.

    ``rate``: samples per second. Never more than ``most`` seconds wait: what is older is dropped, since it would make
    all later sound late.
    """

    def __init__(self, rate: int, most: float = 0.5) -> None:
        self.rate = rate
        self._most = round(most * rate)
        self._pieces: deque[NDArray[Any]] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def put(self, samples: NDArray[np.float32]) -> None:
        """More sound, mono float32."""
        with self._lock:
            self._pieces.append(samples)
            self._size += len(samples)
            while (excess := self._size - self._most) > 0:
                first = self._pieces.popleft()
                if len(first) > excess:
                    self._pieces.appendleft(first[excess:])
                self._size -= min(len(first), excess)

    def take(self, seconds: float) -> NDArray[np.float32]:
        """So much sound; zeros where not enough has come."""
        wanted = max(0, round(seconds * self.rate))
        with self._lock:
            whole = np.concatenate([*self._pieces, np.zeros(0, np.float32)]).astype(np.float32)
            self._pieces.clear()
            rest = whole[wanted:]
            self._size = len(rest)
            if len(rest):
                self._pieces.append(rest)
        return np.pad(whole[:wanted], (0, max(0, wanted - len(whole))))
