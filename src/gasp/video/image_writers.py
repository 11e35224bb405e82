"""Writing animated GIFs and folders of numbered images."""

from __future__ import annotations

import re
from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import ArrayLike

from gasp.errors import OutputError, UsageError
from gasp.video.containers import file_url
from gasp.video.pictures import resize, to_rgb
from gasp.video.target import Target
from gasp.video.writer import PictureWriter

_HUNDREDTH = Fraction(1, 100)  # the unit of time in a GIF


class GifWriter(PictureWriter):
    """An animated GIF that repeats for ever, each picture with a palette of its own.

    Pictures of another size are scaled to ``width`` x ``height`` pixels. Times are rounded to hundredths of a
    second; the first picture is shown at once, whatever its time.
    """

    def __init__(
        self, path: str | PathLike[str], width: int, height: int, fps: float, *, keep_partial: bool = False
    ) -> None:
        if not (0 < width < 65536 and 0 < height < 65536 and 0 < fps < float("inf")):
            raise UsageError(f"A GIF of {width} x {height} pixels at {fps} frames per second is impossible.")
        super().__init__(Target(path), keep_partial)
        self._size = (int(width), int(height))
        self._fps = fps
        self._begin = 0.0
        self._time = 0.0
        self._ticks = -1
        self._graph = _palette_graph(*self._size)
        self._container: OutputContainer | None = av.open(file_url(self._target.temporary), "w", format="gif")
        self._stream = self._container.add_stream("gif", Fraction(fps).limit_denominator(1001))
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "pal8"
        self._stream.codec_context.time_base = _HUNDREDTH

    def __enter__(self) -> GifWriter:
        return self

    def _add(self, image: ArrayLike, time: float | None) -> None:
        picture = to_rgb(image)
        if picture.shape[1::-1] != self._size:
            picture = resize(picture, *self._size)
        if time is None:
            time = self._time + 1 / self._fps if self.count else 0.0
        if not self.count:
            self._begin = time
        self._time = time
        self._ticks = max(self._ticks + 1, round((time - self._begin) / _HUNDREDTH))
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._ticks, _HUNDREDTH
        self._graph.push(frame)
        self._drain()

    def _drain(self) -> None:
        assert self._container is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, VideoFrame)
            self._container.mux(self._stream.encode(frame))

    def _finish(self, *, complete: bool) -> None:
        assert self._container is not None
        self._graph.push(None)
        self._drain()
        self._container.mux(self._stream.encode(None))
        self._release()

    def _release(self) -> None:
        if self._container is not None:
            container, self._container = self._container, None
            container.close()


def _palette_graph(width: int, height: int) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=width, height=height, format=VideoFormat("rgb24"), time_base=_HUNDREDTH)
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    apply = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
    source.link_to(split)
    split.link_to(apply, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(apply, 0, 1)
    apply.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


class ImageFolderWriter(PictureWriter):
    """A folder of images ``000001.png``, ``000002.png`` ...; grey pictures (H, W) are stored as grey.

    ``suffix`` is ``png`` or ``jpg`` (with ``quality`` 1..100). The folder appears when it is complete; one
    that is there already is replaced if it holds nothing but such images. Times are not kept.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        suffix: str = "png",
        quality: int = 95,
        keep_partial: bool = False,
    ) -> None:
        if suffix not in ("png", "jpg"):
            raise UsageError(f"Images are written as png or jpg, not {suffix!r}.")
        _check_replaceable(Path(path))
        super().__init__(Target(path, folder=True), keep_partial)
        self._suffix = suffix
        self._options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == "jpg" else []

    def __enter__(self) -> ImageFolderWriter:
        return self

    def _add(self, image: ArrayLike, time: float | None) -> None:
        picture = np.asarray(image)
        if picture.ndim != 2 or picture.dtype != np.uint8:
            picture = to_rgb(picture)[..., ::-1]
        _, data = cv2.imencode(f".{self._suffix}", picture, self._options)
        (self._target.temporary / f"{self.count + 1:06d}.{self._suffix}").write_bytes(data.tobytes())

    def _finish(self, *, complete: bool) -> None:
        pass

    def _release(self) -> None:
        pass


def _check_replaceable(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but numbered images."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} cannot be written: a file of that name is in the way.")
    other = next(
        (item.name for item in folder.iterdir() if not re.fullmatch(r"\d{6,}\.(png|jpg)", item.name)), None
    )
    if other is not None:
        raise OutputError(f"{folder} is not replaced: it holds other things, such as {other!r}.")
