"""Videos of what was predicted: the overlay and the grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError
from gasp.pipeline.prediction import Prediction
from gasp.results.sink import Pieces, Sink
from gasp.video import VideoSource, VideoWriter
from gasp.video.joining import join_videos
from gasp.video.writer import LARGEST_SIDE

Draw = Callable[[Prediction], NDArray[np.uint8]]
"""Draws a frame: RGB uint8 (H, W, 3), always of one size."""


class VideoSink(Sink):
    """``<name>.mp4``: what ``draw`` makes of every frame, at the frames' times, with the original sound.

    Args:
        name: Of the video.
        draw: Draws a frame.
        every: Of how many frames one is predicted.
    """

    def __init__(self, name: str, draw: Draw, every: int = 1) -> None:
        self.name = name
        self._draw, self._every = draw, every
        self._writer: VideoWriter | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """One video."""
        return (f"{self.name}.mp4",)

    def begin(self, folder: Path, source: VideoSource) -> None:
        """A piece begins: a video of its own."""
        self._path, self._fps = folder / f"{self.name}.mp4", source.fps / self._every
        self._source = str(source.path or source.name)

    def write(self, prediction: Prediction) -> None:
        """Draws and encodes a frame."""
        image = self._draw(prediction)
        if self._writer is None:
            height, width = image.shape[:2]
            if max(height, width) > LARGEST_SIDE:
                raise InputError(
                    f"{self._source}: {self.name}.mp4 cannot be {width} x {height} pixels, {LARGEST_SIDE} a side is "
                    f"the most; scale the input, or leave {self.name}.mp4 out (gasp predict --no-overlay, no --grid)."
                )
            self._writer = VideoWriter(self._path, width, height, self._fps, start=prediction.time)
        self._writer.write(image, prediction.time)

    def piece(self) -> dict[str, float]:
        """Ends the piece's video."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
        return {}

    def join(self, pieces: Pieces) -> None:
        """Joins the videos without encoding anything again."""
        end = None if pieces.complete else pieces[-1].end + 1 / pieces.source.fps
        videos = [(piece.folder / f"{self.name}.mp4", piece.start) for piece in pieces]
        sound = pieces.source.original_sound()
        join_videos(videos, pieces.into / f"{self.name}.mp4", sound_from=sound, sound_end=end)

    def close(self, complete: bool) -> None:
        """Drops a piece that was not ended."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.abort()
