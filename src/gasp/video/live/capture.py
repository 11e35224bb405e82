"""A live source in a process of its own, watched, and opened again when it is lost."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

from gasp.errors import InputError
from gasp.messages import Limits, Message, ProtocolError, read_message, write_message
from gasp.video.frames import Frame
from gasp.video.live.addresses import Address, is_there
from gasp.video.live.feed import BoxedFeed, Captured
from gasp.video.live.mailbox import Policy
from gasp.video.live.ring import Ring

log = logging.getLogger(__name__)

State = Literal["opening", "running", "stalled", "reconnecting", "paused", "ended", "failed"]

SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before a lost source is opened again: they double, and vary, so that many readers do not come at once."""

LOOK_AROUND = 0.5
"""Seconds between two looks, meanwhile, whether there is anything again."""

_LIMITS = Limits(message=2**24)


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """How a live source is taken.

    ``policy``: what happens to frames that come too fast; None: "every" for files, "newest" otherwise. ``sound``:
    whether sound is taken where there is any, at ``rate`` samples per second. ``microphone``: a sound device, in place
    of the stream's own sound ("default" and so on, as ALSA or the system names it). ``open_timeout``: seconds until the
    first frame must have come. ``stall``: seconds without a new frame after which the source counts as lost.
    ``freeze``: seconds of exactly the same picture after which it does; 0: never. ``reconnect``: whether a lost source
    is opened again. ``loop``: a file begins anew at its end. ``speed``: of a file; 2 is twice as fast, 0 as fast as can
    be.
    """

    policy: Policy | None = None
    sound: bool = True
    rate: int = 16000
    microphone: str = ""
    open_timeout: float = 15.0
    stall: float = 5.0
    freeze: float = 0.0
    reconnect: bool = True
    loop: bool = False
    speed: float = 1.0


class Capture(BoxedFeed):
    """Frames of an :class:`~gasp.video.live.addresses.Address` while they happen.

    :meth:`open` starts it and waits for the first frame. Two threads read and watch, whatever happens to the process.
    ``states`` counts how often each state was entered; ``on_state`` is told of each, from another thread.
    """

    def __init__(
        self,
        address: Address,
        settings: CaptureSettings | None = None,
        on_state: Callable[[State, str], None] | None = None,
    ) -> None:
        self.label = address.label
        self.settings = settings or CaptureSettings()
        self.policy: Policy = self.settings.policy or ("every" if address.kind == "file" else "newest")
        super().__init__(self.policy)
        self.clock = "media" if address.paced else "capture"
        self.width = self.height = 0
        self.fps = 25.0
        self.has_sound = False
        self.states: Counter[State] = Counter()
        self.reason = ""
        self.address = address
        self._on_state = on_state
        self._closing = threading.Event()
        self._first = threading.Event()
        self._ring: Ring | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._sending = threading.Lock()
        self._state: State = "opening"
        self._paused = False
        self._heard = time.monotonic()
        self._moved = time.monotonic()
        self._print: bytes = b""
        self._index = 0
        self._waits = 0
        self._threads = [
            threading.Thread(target=self._run, name="capture", daemon=True),
            threading.Thread(target=self._watch, name="watchdog", daemon=True),
        ]

    @property
    def state(self) -> State:
        """See :data:`State`."""
        return self._state

    @property
    def condition(self) -> str:
        """See :class:`Feed`."""
        return self._state

    def open(self) -> Capture:
        """Start, and wait until the first frame is there.

        Raises:
            InputError: There is none, with the reason; nothing is left running.
        """
        for thread in self._threads:
            thread.start()
        self._first.wait(self.settings.open_timeout + 5)
        if not self._box.received:
            reason = self.reason or f"no picture came within {self.settings.open_timeout:g} s"
            self.close()
            raise InputError(f"{self.label} cannot be opened: {reason.rstrip('.')}.")
        return self

    def pause(self, paused: bool) -> None:
        """See :class:`Feed`. A file stands still; of other sources what comes is thrown away."""
        if paused == self._paused or self._state in ("ended", "failed"):
            return
        self._paused = paused
        self._heard = self._moved = time.monotonic()
        self._enter("paused" if paused else "running")
        self._order(Message("pause", {"paused": paused}))

    def close(self) -> None:
        """End the process and the threads; frames that wait may still be taken."""
        self._closing.set()
        self._end_child()
        super().close()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(5)

    # --- the thread that reads ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                over = self._read_once()
                if over or self._closing.is_set():
                    break
                if not self._box.received or not self.settings.reconnect:
                    self._enter("failed", self.reason)
                    break
                self._wait_to_reconnect()
        finally:
            if self._ring is not None:
                with suppress(BufferError):
                    self._ring.close()
            self._box.close()
            self._first.set()

    def _read_once(self) -> bool:
        """Open the source and read it until it is lost; whether it is over for good."""
        self._enter("opening" if not self._box.received else "reconnecting")
        self._heard = self._moved = time.monotonic()
        try:
            self._start_child()
            assert self._child is not None
            assert self._child.stdout is not None
            while True:
                message = read_message(self._child.stdout, _LIMITS)  # type: ignore[arg-type]
                if message is None:
                    self.reason = self.reason or "the process that reads it ended"
                    return False
                if message.kind == "ended" and self.address.kind == "file":
                    self._enter("ended")
                    return True
                if message.kind in ("ended", "failed"):
                    self.reason = message.body.get("reason", "it ended")
                    return False
                self._take(message)
        except (ProtocolError, OSError, ValueError) as error:
            self.reason = self.reason or str(error)
            return False
        finally:
            self._end_child()

    def _take(self, message: Message) -> None:
        self._heard = time.monotonic()
        body = message.body
        if message.kind == "opened":
            self.width, self.height = body["width"], body["height"]
            self.fps, self.has_sound = body["fps"], body["sound"]
            return
        assert self._ring is not None
        image = self._ring.read(body["slot"], body["height"], body["width"])
        sound = message.arrays.get("sound")
        frame = Frame(self._index, body["time"], image)
        captured = Captured(
            frame,
            self._index,
            body["stamp_ns"],
            None if sound is None else message.array("sound"),
            body["decoding"],
        )
        self._index += 1
        if self._state != "paused":
            self._enter("running")
            self._waits, self.reason = 0, ""
        self._note_movement(captured)
        # In this order: where every frame counts, the process waits while the mailbox is full.
        self._box.put(captured)
        self._order(Message("free", {"slot": body["slot"]}))
        self._first.set()
        self._heard = time.monotonic()

    def _note_movement(self, captured: Captured) -> None:
        if not self.settings.freeze:
            return
        image = captured.frame.image
        print_of = image[:: max(1, image.shape[0] // 32), :: max(1, image.shape[1] // 32)].tobytes()
        if print_of != self._print:
            self._print, self._moved = print_of, time.monotonic()

    def _wait_to_reconnect(self) -> None:
        wait = min(LONGEST_WAIT, SHORTEST_WAIT * 2**self._waits) * random.uniform(0.75, 1.25)
        self._waits += 1
        self._enter("reconnecting", self.reason)
        until, there = time.monotonic() + wait, is_there(self.address)
        while (left := until - time.monotonic()) > 0 and not self._closing.wait(min(LOOK_AROUND, left)):
            before, there = there, is_there(self.address)
            if there and not before:  # it is back: nothing is won by waiting
                return

    # --- the process --------------------------------------------------------------------------------------

    def _start_child(self) -> None:
        settings, address = self.settings, self.address
        ring = self._ring = self._ring or Ring.create()
        asked = {
            **asdict(address), "ring": ring.path, "sound": settings.sound, "rate": settings.rate,
            "microphone": settings.microphone, "timeout": max(settings.open_timeout, settings.stall),
            "loop": settings.loop, "speed": settings.speed,
        }  # fmt: skip
        child = subprocess.Popen(
            [sys.executable, "-m", "gasp.video.live.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, pass_fds=ring.inherited,
        )  # fmt: skip
        self._child = child
        if self._closing.is_set():
            return
        self._order(Message("open", asked))

    def _order(self, message: Message) -> None:
        child = self._child
        if child is None or child.stdin is None:
            return
        with self._sending, suppress(OSError, ValueError):
            write_message(child.stdin, message)  # type: ignore[arg-type]

    def _end_child(self) -> None:
        child = self._child
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            # The other thread may be about to close it, too.
            with suppress(OSError, ValueError, RuntimeError):
                if pipe is not None and threading.current_thread() is self._threads[0]:
                    pipe.close()
        if threading.current_thread() is self._threads[0]:
            self._child = None

    # --- the thread that watches --------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._closing.wait(0.1):
            child = self._child
            if child is None or self._paused or self._state in ("ended", "failed"):
                continue
            if self._box.full:  # nobody takes frames: that is no fault of the source
                self._heard = time.monotonic()
                continue
            opening = self._state in ("opening", "reconnecting")
            allowed = self.settings.open_timeout if opening else self.settings.stall
            now = time.monotonic()
            frozen = self.settings.freeze and not opening and now - self._moved > self.settings.freeze
            if now - self._heard > allowed or frozen:
                kept = self.settings.freeze if frozen else allowed
                self.reason = (
                    f"the same picture for {kept:g} s" if frozen else f"no picture came within {kept:g} s"
                )
                if not opening:
                    self._enter("stalled", self.reason)
                self._moved = self._heard = now
                child.kill()

    def _enter(self, state: State, why: str = "") -> None:
        if state == self._state and self.states[state]:
            return
        self._state = state
        self.states[state] += 1
        level = logging.WARNING if state in ("stalled", "reconnecting", "failed") and why else logging.INFO
        log.log(level, "%s: %s%s", self.label, state, f" ({why})" if why else "")
        if self._on_state is not None:
            self._on_state(state, why)
