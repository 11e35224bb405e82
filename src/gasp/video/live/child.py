"""The process that opens and decodes a live source: ``python -m gasp.video.live.child``.

Opening or reading a stream may hang for ever inside the decoder, where no thread can be ended; a process can. It is
told what to open in a first message on its standard input, puts pictures into shared memory and tells of them, and of
what went wrong, on its standard output. It ends with its input.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from gasp.errors import GaspError
from gasp.messages import Message, ProtocolError, read_message, write_message
from gasp.video.containers import pick_sound, pick_video
from gasp.video.live.feed import SoundFifo
from gasp.video.live.ring import LARGEST, SLOTS, Ring
from gasp.video.video_file import VideoFile

LATE = 1.0
"""Seconds behind its time from which a paced source begins to count anew rather than to catch up."""


class Parent:
    """The process that wants the frames."""

    def __init__(self) -> None:
        # Whatever prints must not get between messages.
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._input = sys.stdin.buffer
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._free = list(range(SLOTS))
        self._paused = False
        self.asked = self._first().body
        self._ring = Ring(self.asked["ring"])

    def listen(self) -> None:
        """Take what the parent says, until it says no more."""
        while True:
            try:
                message = read_message(self._input)
            except (ProtocolError, OSError, ValueError):
                message = None
            if message is None:
                os._exit(0)  # the decoder may hang: nothing waits for it
            with self._changed:
                if message.kind == "free":
                    self._free.append(int(message.body["slot"]))
                elif message.kind == "pause":
                    self._paused = bool(message.body["paused"])
                self._changed.notify_all()

    def tell(self, kind: str, **body: Any) -> None:
        """Say something that is no frame."""
        with self._sending:
            write_message(self._output, Message(kind, body))

    def send(
        self, image: NDArray[np.uint8], index: int, seconds: float, stamp_ns: int, decoding: float,
        sound: NDArray[np.float32] | None,
    ) -> None:  # fmt: skip
        """Give a frame; waits for a free slot."""
        while image.nbytes > LARGEST:
            half = (image.shape[1] // 2, image.shape[0] // 2)
            image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            slot = self._free.pop(0)
        self._ring.write(slot, image)
        body = {
            "slot": slot, "index": index, "time": seconds, "stamp_ns": stamp_ns, "decoding": decoding,
            "height": image.shape[0], "width": image.shape[1],
        }  # fmt: skip
        with self._sending:
            write_message(self._output, Message("frame", body, {} if sound is None else {"sound": sound}))

    def wait_while_paused(self) -> float:
        """Returns the seconds that it took."""
        began = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: not self._paused)
        return time.monotonic() - began

    @property
    def paused(self) -> bool:
        """Whether frames are not wanted just now."""
        return self._paused

    def _first(self) -> Message:
        message = read_message(self._input)
        if message is None:
            raise SystemExit(0)
        return message


def main() -> int:
    """Opens what the parent asks for and sends it until it is over."""
    # Ctrl-C at a terminal reaches every process of the group: the parent decides when this one ends.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = Parent()
    threading.Thread(target=parent.listen, name="orders", daemon=True).start()
    asked = parent.asked
    try:
        if asked["kind"] == "file":
            _play(parent, asked)
        else:
            _receive(parent, asked)
    except GaspError as error:
        parent.tell("failed", reason=str(error))
    except (av.FFmpegError, OSError, ValueError) as error:
        parent.tell("failed", reason=_reason(error))
    else:
        parent.tell("ended")
    return 0


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said)


class _Pace:
    """Holds frames back to their time: ``until(seconds)`` sleeps until that time of the medium is due."""

    def __init__(self) -> None:
        self._origin: float | None = None

    def until(self, seconds: float) -> None:
        now = time.monotonic()
        if self._origin is None or now - self._origin - seconds > LATE or self._origin + seconds - now > 30:
            self._origin = now - seconds
        time.sleep(max(0.0, self._origin + seconds - time.monotonic()))

    def shift(self, seconds: float) -> None:
        """The medium stood still for so long."""
        if self._origin is not None:
            self._origin += seconds


def _play(parent: Parent, asked: dict[str, Any]) -> None:
    """A file at its own speed, and over again where that is asked for."""
    file = VideoFile(Path(asked["url"]))
    parent.tell(
        "opened", width=file.width, height=file.height, fps=file.fps, sound=asked["sound"] and file.has_sound
    )
    pace, index, shift = _Pace(), 0, 0.0
    speed = float(asked["speed"])
    while True:
        stream = file.sound_stream(asked["rate"]) if asked["sound"] else None
        step, before = 1 / file.fps if file.fps > 0 else 0.04, None
        began = time.perf_counter()
        for frame in file:
            decoding = time.perf_counter() - began
            if before is not None and frame.time > before:
                step = frame.time - before
            before = frame.time
            sound = None if stream is None else stream.until(frame.time + step)
            pace.shift(parent.wait_while_paused())
            if speed:
                pace.until((frame.time + shift) / speed)
            parent.send(frame.image, index, frame.time + shift, time.monotonic_ns(), decoding, sound)
            index += 1
            began = time.perf_counter()
        if stream is not None:
            stream.close()
        if not asked["loop"] or before is None:
            return
        shift += before + step - file.start_time


def _receive(parent: Parent, asked: dict[str, Any]) -> None:
    """A camera, stream, screen or pipe."""
    container = av.open(
        asked["url"], "r", format=asked["format"], options=dict(asked["options"]),
        timeout=(float(asked["timeout"]), float(asked["timeout"])), metadata_errors="replace",
    )  # fmt: skip
    with container:
        stream = pick_video(container)
        if stream is None:
            raise ValueError("it holds no video")
        # Decoding of frames in parallel makes each wait for the next ones.
        stream.thread_type = "SLICE"
        heard = pick_sound(container) if asked["sound"] else None
        fifo = _open_sound(asked) or (None if heard is None else SoundFifo(asked["rate"]))
        pace = _Pace() if asked["paced"] else None
        rate = stream.average_rate or stream.guessed_rate
        told = False
        previous: int | None = None
        for index, (frame, arrived, decoding) in enumerate(_frames(container, heard, fifo)):
            image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if not told:
                parent.tell(
                    "opened",
                    width=frame.width,
                    height=frame.height,
                    fps=float(rate or 25),
                    sound=fifo is not None,
                )
                told = True
            if pace is not None and frame.time is not None:
                pace.until(frame.time)
                arrived = time.monotonic_ns()
            if parent.paused:
                continue
            lasted = 0.0 if previous is None else min(1.0, (arrived - previous) / 1e9)
            previous = arrived
            sound = None if fifo is None else fifo.take(lasted)
            parent.send(image, index, arrived / 1e9, arrived, decoding, sound)
        if not told:
            raise ValueError("not one picture came")


def _frames(
    container: InputContainer, heard: Any, fifo: SoundFifo | None
) -> Iterator[tuple[VideoFrame, int, float]]:
    """Decoded pictures with the time at which their data came and the seconds of decoding; sound goes its own way."""
    video = pick_video(container)
    assert video is not None
    resampler = None if fifo is None or heard is None else AudioResampler("flt", "mono", fifo.rate)
    broken = 0
    for packet in container.demux([video] if resampler is None else [video, heard]):
        arrived, began = time.monotonic_ns(), time.perf_counter()
        if not packet.size:
            continue
        try:
            decoded = packet.decode()
            broken = 0
        except av.FFmpegError:
            broken += 1
            if broken > 1000:
                raise ValueError("what comes cannot be decoded") from None
            continue
        for one in decoded:
            if isinstance(one, VideoFrame):
                yield one, arrived, time.perf_counter() - began
                began = time.perf_counter()
            elif isinstance(one, AudioFrame) and resampler is not None and fifo is not None:
                for piece in resampler.resample(one):
                    fifo.put(piece.to_ndarray().reshape(-1).astype(np.float32))


def _open_sound(asked: dict[str, Any]) -> SoundFifo | None:
    """Listen to a device of its own in a thread; None where none was asked for."""
    if not asked["microphone"]:
        return None
    system = (
        "alsa"
        if sys.platform.startswith("linux")
        else "avfoundation"
        if sys.platform == "darwin"
        else "dshow"
    )
    container = av.open(asked["microphone"], "r", format=system)
    heard = pick_sound(container)
    if heard is None:
        raise ValueError(f"{asked['microphone']} gives no sound")
    fifo = SoundFifo(asked["rate"])
    resampler = AudioResampler("flt", "mono", fifo.rate)

    def listen() -> None:
        for one in container.decode(heard):
            for piece in resampler.resample(one):
                fifo.put(piece.to_ndarray().reshape(-1).astype(np.float32))

    threading.Thread(target=listen, name="microphone", daemon=True).start()
    return fifo


if __name__ == "__main__":
    sys.exit(main())
