"""Small video files made on the spot, with the oddities that real ones have."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

CLOCK = Fraction(1, 90000)


def moving_square(count: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Pictures (count, height, width, 3): a bright square moves over a gradient, so that they differ."""
    x, y = np.meshgrid(np.linspace(0, 120, width), np.linspace(0, 120, height))
    background = np.stack([x, y, (x + y) / 2], -1).astype(np.uint8)
    frames = np.repeat(background[None], count, 0)
    side = max(1, min(width, height) // 4)
    for index, frame in enumerate(frames):
        left = (index * 3) % max(1, width - side)
        frame[height // 3 : height // 3 + side, left : left + side] = (230, 200, 40)
    return frames


def clicks(rate: int, seconds: float, at: Sequence[float], channels: int = 1) -> NDArray[np.float32]:
    """Silence (channels, n) with a short burst, loudest in its middle, centred on each time in ``at``."""
    time = np.arange(round(rate * seconds)) / rate
    sound = np.zeros_like(time)
    for centre in at:
        away = time - centre
        sound += 0.8 * np.exp(-((away / 0.002) ** 2)) * np.cos(2 * np.pi * 500 * away)
    return np.repeat(sound[None], channels, 0).astype(np.float32)


def loudest(samples: NDArray[np.float32], rate: int, start: float, near: float, within: float = 0.2) -> float:
    """Time of the loudest sample around ``near`` seconds."""
    first = max(0, round((near - within - start) * rate))
    stop = max(0, round((near + within - start) * rate))
    return start + (first + int(np.argmax(np.abs(samples[first:stop])))) / rate


def write_video(
    path: Path,
    frames: NDArray[Any],
    *,
    fps: float = 25.0,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    source_format: str = "rgb24",
    options: dict[str, str] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 48000,
    sound_codec: str = "aac",
    sound_start: float = 0.0,
    sound_gap: tuple[float, float] | None = None,
    pixel_aspect: Fraction | None = None,
    colours: tuple[int, int, int] | None = None,
) -> Path:
    """Encode ``frames`` (T, H, W, 3) and ``sound`` (channels, n); every picture is shown at its own time.

    Sound between ``sound_gap[0]`` and ``sound_gap[1]`` seconds is left out of the file. ``pixel_aspect``: width of a
    pixel by its height. ``colours``: what the file says of its primaries, transfer characteristics and matrix (codes of
    ITU-T H.273); nothing is converted.
    """
    times = [index / fps for index in range(len(frames))] if times is None else times
    with av.open(str(path), "w") as output:
        video = output.add_stream(codec, Fraction(fps).limit_denominator(1001), options=options or {})
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = (
            CLOCK
            if codec in ("libx264", "libvpx-vp9", "libvpx")
            else 1 / Fraction(fps).limit_denominator(1001)
        )
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if colours is not None:
            context = video.codec_context
            context.color_primaries, context.color_trc, context.colorspace = colours
        audio = None
        if sound is not None:
            layout = "mono" if len(sound) == 1 else "stereo"
            audio = output.add_stream(sound_codec, rate=sound_rate, layout=layout)
            _encode_sound(output, audio, sound, layout, sound_start, sound_gap)
        base = video.codec_context.time_base
        for image, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format=source_format)
            frame.pts, frame.time_base = round(time / base), base
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None:
            output.mux(audio.encode(None))
    return path


def write_sound(path: Path, sound: NDArray[np.float32], rate: int, codec: str) -> Path:
    """A file with nothing but sound (channels, n)."""
    with av.open(str(path), "w") as output:
        layout = "mono" if len(sound) == 1 else "stereo"
        audio = output.add_stream(codec, rate=rate, layout=layout)
        _encode_sound(output, audio, sound, layout, 0.0, None)
        output.mux(audio.encode(None))
    return path


def _encode_sound(
    output: Any,
    audio: Any,
    sound: NDArray[np.float32],
    layout: str,
    start: float,
    gap: tuple[float, float] | None,
) -> None:
    rate = audio.codec_context.sample_rate
    for first in range(0, sound.shape[1], 1000):
        if gap is not None and gap[0] <= first / rate < gap[1]:
            continue
        piece = np.ascontiguousarray(sound[:, first : first + 1000])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start * rate)
        output.mux(audio.encode(frame))


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Turn or mirror the picture of an MP4 by its track header: (a, b, c, d) of ISO 14496-12, 8.3.2."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4
    assert data[place] == 0  # version 0: 32-bit times
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, place + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def damage(path: Path, where: float, length: int) -> None:
    """Overwrite ``length`` bytes at the fraction ``where`` of a file with noise."""
    data = bytearray(path.read_bytes())
    first = int(where * len(data))
    data[first : first + length] = np.random.default_rng(0).bytes(length)
    path.write_bytes(data)


def cut_short(path: Path, fraction: float) -> None:
    """Keep only the beginning of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
