"""High dynamic range and wide gamut: what an ordinary screen would show of them."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gasp.video import open_source
from gasp.video.high_range import Range, to_ordinary
from helpers.videos import moving_square, write_video

# ITU-R BT.2087: BT.709 to BT.2020.
WIDER = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TRANSFERS = {"PQ": 16, "HLG": 18}


def light_of(picture: np.ndarray) -> np.ndarray:
    """Linear light in colours of BT.2020, where 1 is white."""
    code = picture / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4) @ WIDER.T


def pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, with white at 203 candelas per square metre."""
    power = (light * 203 / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(light: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100 for a screen of 1000 candelas per square metre."""
    light = light * 0.203
    brightness = light @ np.array([0.2627, 0.6780, 0.0593])
    scene = light * (np.maximum(brightness, 1e-9) ** (-0.2 / 1.2))[..., None]
    a = 0.17883277
    high = a * np.log(np.maximum(12 * scene - (1 - 4 * a), 1e-9)) + 0.5 - a * np.log(4 * a)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


CODES = {"PQ": pq, "HLG": hlg}


def codes(picture: np.ndarray, transfer: str) -> np.ndarray:
    """Code values 0..65535 of an ordinary picture."""
    return np.round(65535 * np.clip(CODES[transfer](light_of(picture)), 0, 1)).astype(np.uint16)


def write_high_range(path: Path, codes: np.ndarray, transfer: str) -> Path:
    """A file of 10 bits whose header says what the codes mean."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", 25, options={"crf": "4"})
        stream.height, stream.width = codes.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, TRANSFERS[transfer], 9
        for index in range(3):
            whole = av.VideoFrame.from_ndarray(codes, format="rgb48le")
            frame = whole.reformat(format="yuv420p10le", dst_colorspace=9)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


def colourful() -> np.ndarray:
    """Colours up to a light grey, which stay as they are."""
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    return np.round(np.stack([200 * x, 200 * y, 100 + 80 * (x - y)], -1)).astype(np.uint8)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_what_is_not_brighter_than_white_stays_as_it_was(transfer: str) -> None:
    shown = to_ordinary(codes(colourful(), transfer), Range(transfer, wide=True))
    assert distance(shown, colourful()) < 1
    assert np.abs(shown.astype(int) - colourful()).max() <= 6


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_highlights_keep_their_order_and_their_hue(transfer: str) -> None:
    light = np.geomspace(0.01, 1000 / 203, 200)
    grey = CODES[transfer](np.repeat(light[None, :, None], 3, -1))
    shown = to_ordinary(np.round(65535 * np.clip(grey, 0, 1)).astype(np.uint16), Range(transfer, True))[0]
    assert np.ptp(shown, axis=-1).max() <= 1
    assert (np.diff(shown[:, 0].astype(int)) >= 0).all()
    assert shown[-1, 0] >= 253
    page = shown[np.argmin(abs(light - 1)), 0]
    assert 215 <= page <= 245
    red = CODES[transfer](np.array([4.0, 2.0, 1.0]) @ WIDER.T)
    shown = to_ordinary(np.round(65535 * red).astype(np.uint16)[None, None], Range(transfer, True))[0, 0]
    assert shown[0] > shown[1] > shown[2] > 60


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_files_are_shown_as_meant_and_say_so_once(
    tmp_path: Path, transfer: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_high_range(tmp_path / name, codes(colourful(), transfer), transfer)
    with caplog.at_level(logging.WARNING), open_source(path) as source:
        frames = [*source, *source]
    assert distance(frames[1].image, colourful()) < 4
    assert frames[1].image.dtype == np.uint8
    assert frames[1].image.flags.c_contiguous
    assert caplog.text.count(f"high dynamic range ({transfer})") == 1


def test_wide_gamut_alone_is_brought_back(caplog: pytest.LogCaptureFixture) -> None:
    light = light_of(colourful())
    wide = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    shown = to_ordinary(np.round(65535 * wide).astype(np.uint16), Range("SDR", wide=True))
    assert distance(shown, colourful()) < 1


@pytest.mark.parametrize("colours", [(1, 1, 1), (6, 6, 6), (2, 2, 2), (5, 13, 5)])
def test_other_files_are_left_alone(
    tmp_path: Path, colours: tuple[int, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "clip.mp4", moving_square(3), colours=colours)
    with caplog.at_level(logging.INFO), av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        for frame, plain in zip(open_source(path), expected, strict=True):
            np.testing.assert_array_equal(frame.image, plain)
    assert "range" not in caplog.text
