"""Pictures of a container file, decoded in order and brought upright."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from gasp.errors import InputError, UsageError
from gasp.naming import printable
from gasp.video.containers import clock_origin, open_container, pick_sound, pick_video, read_packets
from gasp.video.frames import Frame
from gasp.video.high_range import Range, range_of, to_ordinary
from gasp.video.pictures import over_black
from gasp.video.sound import SoundStream
from gasp.video.source import VideoSource
from gasp.video.truncation import is_cut_short

_log = logging.getLogger(__name__)

# Pictures are stored out of order by at most this many (the limit of H.264 and HEVC is 16).
_REORDERING = 32
# Below this, decoding from the start is quicker than finding the place.
_WORTH_SEEKING = 50
# Where packets and pictures correspond one to one (a VP8 packet, for one, may hold no picture) ...
_ONE_PICTURE_PER_PACKET = {"h264", "hevc", "vp9", "libvpx-vp9", "av1", "libdav1d", "mjpeg", "prores", "ffv1"}
# ... and seeking leads where it should.
_INDEXED = ("mp4", "matroska")
# Frames per second; files that claim more have a clock, but no rate.
_HIGHEST_RATE = 1000
# Seconds between two pictures that carry the same time stamp.
_SHORTEST = 1e-3
# Pixels are not meant to be wider or higher than this; DVDs have up to 1.46, anamorphic film 2.
_LARGEST_ASPECT = 4
# Bytes for a pixel of the packed formats.
_BYTES = {"rgb24": 3, "rgba": 4, "rgb48le": 6}
# Encoders round sizes: this close to 1, pixels are square.
_SQUARE = 0.01


class VideoFile(VideoSource):
    """The best video stream of a container file.

    Times are the file's own time stamps, also where the frame rate varies; a picture without a usable stamp
    comes one frame after the one before. Rotation and mirroring in the metadata are applied. Pictures with
    alpha are laid over black, 10- and 16-bit pictures are converted to 8 bits, and pictures whose size
    changes on the way are scaled to the size of the first. Where pixels are not square, pictures are made wider or
    narrower, so that people have their shape. Colours are as FFmpeg understands them (BT.601 where the file does not
    say); high dynamic range (PQ, HLG) and wide gamut (BT.2020) are brought to those of an ordinary screen.

    ``fps`` replaces the average rate only where the file has none.
    """

    def __init__(self, path: Path, fps: float = 25.0) -> None:
        self.path = path
        self.name = printable(path.stem)
        with open_container(path) as container:
            stream = _video_of(container, path)
            self.has_sound = pick_sound(container) is not None
            rates = (stream.average_rate, stream.guessed_rate)
            self.fps = next((float(rate) for rate in rates if rate and rate <= _HIGHEST_RATE), fps)
            self.duration = _duration(container, stream)
            self._header_count = stream.frames
            self._aspect = _pixel_aspect(container, stream, path)
            run = _Pass(container, stream, self.fps, self._aspect)
            first = next(run.pictures(0, 1), None)
        if first is None or run.size is None:
            raise InputError(f"{path} has a video stream, but no picture in it can be decoded.")
        self._decoded_size = run.size
        self._turned = run.turned
        if run.range is not None and run.range.high:
            _log.warning(
                "%s: high dynamic range (%s), brought to the range of an ordinary screen.",
                path,
                run.range.transfer,
            )
        self.height, self.width = first.height, first.width
        self.start_time = first.time
        self.frame_count = self._header_count or (
            max(1, round(self.duration * self.fps)) if self.duration else None
        )
        self.skipped = 0

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height in source pixels, upright."""
        width, height = self._decoded_size
        return (height, width) if self._turned else (width, height)

    def frames(self, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        """Iterate from picture ``start_index``, yielding each ``every``-th; the others are not converted.

        A far start is found through the time stamps of the packets, and decoding begins at the key frame
        before it: exact, because the picture found must carry the very time stamp. Where stamps do not
        allow that, or an earlier pass met damage, everything before is decoded. (In a damaged file that was
        not read before, the index after a seek counts pictures that cannot be decoded.)
        """
        if start_index < 0 or every < 1:
            raise UsageError(f"start_index must be at least 0 and every at least 1: {start_index}, {every}.")
        return self._frames(start_index, every)

    def sound_stream(self, rate: int = 16000) -> SoundStream | None:
        """The file's sound piece by piece; None when it has none."""
        assert self.path is not None
        return SoundStream(self.path, rate) if self.has_sound else None

    def _frames(self, start_index: int, every: int) -> Iterator[Frame]:
        assert self.path is not None
        place = None
        if start_index >= _WORTH_SEEKING and not self.skipped:
            place = _find_place(self.path, start_index)
        if place is not None:
            with self._new_pass() as run:
                if run.seek(place):
                    yield from self._watched(run, run.pictures(start_index, every, start_index))
                    return
        with self._new_pass() as run:
            yield from self._watched(run, run.pictures(start_index, every))

    @contextmanager
    def _new_pass(self) -> Iterator[_Pass]:
        assert self.path is not None
        with open_container(self.path) as container:
            yield _Pass(
                container, _video_of(container, self.path), self.fps, self._aspect, self._decoded_size
            )

    def _watched(self, run: _Pass, pictures: Iterator[Frame]) -> Iterator[Frame]:
        """Keep count of what is left out, and say so once at the end."""
        assert self.path is not None
        self.skipped = 0
        for picture in pictures:
            self.skipped = run.damaged
            yield picture
        self.skipped = run.damaged
        expected = self.frame_count or 0
        if run.reached < expected and run.is_cut_short(self.path):
            self.skipped = max(self.skipped, expected - run.reached)
            _log.warning(
                "%s is cut short: it ends after %.1f s of %.1f.",
                *(self.path, run.reached / self.fps, expected / self.fps),
            )
        elif self.skipped:
            _log.warning("%s: damaged pictures or packets: %d.", self.path, self.skipped)
        if run.rescaled:
            _log.warning(
                "%s: pictures of other sizes scaled to %d x %d: %d.",
                *(self.path, self.width, self.height, run.rescaled),
            )


def _video_of(container: InputContainer, path: Path) -> VideoStream:
    stream = pick_video(container)
    if stream is None:
        raise InputError(f"{path} holds no video, {_what_else(container)}.")
    return stream


def _what_else(container: InputContainer) -> str:
    kinds = sorted({stream.type for stream in container.streams} - {"video"})
    return f"only {' and '.join(kinds)}" if kinds else "nothing at all"


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _pixel_aspect(container: InputContainer, stream: VideoStream, path: Path) -> float:
    """Width of a stored pixel by its height; 1 where that is as good as square, or cannot be meant."""
    ratio = stream.sample_aspect_ratio
    if (
        not ratio or container.format.name == "gif"
    ):  # browsers pass over that of a GIF, and so do those who make them
        return 1.0
    if not 1 / _LARGEST_ASPECT <= ratio <= _LARGEST_ASPECT:
        _log.warning("%s: its pixels cannot be %s times as wide as high; taken as square.", path, ratio)
        return 1.0
    return 1.0 if abs(ratio - 1) < _SQUARE else float(ratio)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a picture is: its time stamp, and that of the key frame to decode from."""

    pts: int
    key_pts: int


class _Pass:
    """One run through a file, with its own decoder.

    ``aspect`` is the width of a stored pixel by its height. ``size`` is the (width, height) of the pictures as
    stored; None for that of the first one decoded. ``turned``: whether that lay on its side. ``range``: how its
    code values mean light, where that is not the ordinary way.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        fps: float,
        aspect: float = 1.0,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.size = size
        self.turned = False
        self.range: Range | None = None
        self._aspect = aspect
        self.damaged = 0
        self.rescaled = 0
        self.reached = 0  # the index after that of the last picture decoded
        self._container = container
        self._stream = stream
        self._origin = clock_origin(container)
        self._step = 1.0 / fps
        self._latest: float | None = None
        self._converter = VideoReformatter()
        self._waiting: list[VideoFrame] = []
        stream.thread_type = "AUTO"
        _read_only(container, stream)

    def seek(self, place: _Place) -> bool:
        """Go to a picture; False when it does not turn up exactly."""
        try:
            self._container.seek(place.key_pts, stream=self._stream)
        except av.FFmpegError:
            return False
        for frame in self._frames():
            if frame.pts is None or frame.pts > place.pts or self.damaged:
                return False
            if frame.pts == place.pts:
                self._waiting.append(frame)
                return True
        return False

    def pictures(self, start_index: int, every: int, first_index: int = 0) -> Iterator[Frame]:
        """The pictures from ``start_index`` on, where the next one decoded has the index ``first_index``."""
        for index, frame in enumerate(self._frames(), first_index):
            time = self._time_of(frame)
            self.reached = index + 1
            if index >= start_index and (index - start_index) % every == 0:
                yield Frame(index, time, self._upright_rgb(frame))

    def is_cut_short(self, path: Path) -> bool:
        """Whether the end of the file, which is at ``path``, is missing."""
        return is_cut_short(path, self._stream)

    def _frames(self) -> Iterator[VideoFrame]:
        while self._waiting:
            yield self._waiting.pop()
        for packet in read_packets(self._container, self._stream, self._count_damage):
            if packet.is_corrupt:  # a part of it is missing; what can be made of it is shown
                self._count_damage()
            yield from self._decode(packet)
        yield from self._decode(None)

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return self._stream.codec_context.decode(packet)
        except av.EOFError:
            return []
        except av.FFmpegError:
            self._count_damage()
            return []

    def _count_damage(self) -> None:
        self.damaged += 1

    def _time_of(self, frame: VideoFrame) -> float:
        """The time stamp in seconds; always later than the picture before."""
        base = frame.time_base or self._stream.time_base
        time = None if frame.pts is None or base is None else float(frame.pts * base - self._origin)
        if self._latest is not None:
            if time is None or time <= self._latest - self._step:  # no stamp, or a clock that starts anew
                time = self._latest + self._step
            elif time <= self._latest:  # two pictures with one stamp
                time = self._latest + _SHORTEST
        self._latest = time or 0.0
        return self._latest

    def _upright_rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        self.size = self.size or (frame.width, frame.height)
        self.rescaled += (frame.width, frame.height) != self.size
        self.range = range_of(frame)
        kind = "rgb48le" if self.range else "rgba" if _has_alpha(frame) else "rgb24"
        converted = self._converter.reformat(frame, *self._shown_size(), format=kind, threads=1)
        pixels = _pixels(converted, _BYTES[kind])
        if self.range:
            pixels = to_ordinary(pixels.view("<u2"), self.range)
        elif converted is frame:  # nothing to convert: the memory is the decoder's
            pixels = pixels.copy()
        if kind == "rgba":
            pixels = over_black(pixels)
        matrix = _display_matrix(frame)
        self.turned = _lies_on_its_side(matrix)
        return np.ascontiguousarray(_upright(pixels, matrix))

    def _shown_size(self) -> tuple[int, int]:
        """Width and height of the pictures with square pixels, before they are brought upright."""
        assert self.size is not None
        return max(1, round(self.size[0] * self._aspect)), self.size[1]


def _read_only(container: InputContainer, stream: VideoStream) -> None:
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all


def _has_alpha(frame: VideoFrame) -> bool:
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def _pixels(frame: VideoFrame, size: int) -> NDArray[np.uint8]:
    """The memory of a packed picture with ``size`` bytes for a pixel as an array (H, W, size), not copied."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height]
    return rows[:, : frame.width * size].reshape(frame.height, frame.width, size)


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d): the stored point (x, y) is shown at (a x + c y, b x + d y) (ISO 14496-12, 8.3.2)."""
    side_data: Any = frame.side_data
    if "DISPLAYMATRIX" not in {entry.type.name for entry in side_data}:
        return 1, 0, 0, 1
    matrix = np.frombuffer(side_data["DISPLAYMATRIX"], np.int32)
    return int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4])


def _lies_on_its_side(matrix: tuple[int, int, int, int]) -> bool:
    a, b, c, d = matrix
    return abs(a) + abs(d) < abs(b) + abs(c)


def _upright(pixels: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Apply the display matrix, rounded to quarter turns and mirrorings."""
    a, b, c, d = matrix
    if _lies_on_its_side(matrix):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if d < 0 else pixels


def _find_place(path: Path, index: int) -> _Place | None:
    """Find picture ``index`` from the packets' time stamps alone; None where they cannot be relied on."""
    with open_container(path) as container:
        stream = _video_of(container, path)
        if stream.codec_context.name not in _ONE_PICTURE_PER_PACKET:
            return None
        if not any(name in container.format.name for name in _INDEXED):
            return None
        _read_only(container, stream)
        trouble: list[None] = []
        stamps: list[int] = []
        keys: list[int] = []
        for packet in read_packets(container, stream, lambda: trouble.append(None)):
            if trouble or packet.pts is None or packet.is_corrupt or packet.is_discard:
                return None
            stamps.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
            if len(stamps) > index + _REORDERING:
                break
    if not keys or keys[0] != min(stamps) or index >= len(stamps) or len(set(stamps)) < len(stamps):
        return None
    pts = sorted(stamps)[index]
    return _Place(pts, max(key for key in keys if key <= pts))
