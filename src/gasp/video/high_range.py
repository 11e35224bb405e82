"""Pictures of high dynamic range or wide gamut, brought to the range and colours of an ordinary screen.

Code values mean light on a scale of their own there (PQ: SMPTE ST 2084; HLG: ITU-R BT.2100), in the wide colours of
BT.2020; shown as they are, they look washed out, and no network was trained on such pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc
from numpy.typing import NDArray

Light = NDArray[np.float32]

_TRANSFERS: dict[int, str] = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
# Light of a white page in candelas per square metre, 1 on the scale used here (ITU-R BT.2408).
_WHITE = 203.0
# The brightest light that pictures are made for, as most are.
_PEAK = 1000.0 / _WHITE
# Up to this, light stays as it is; above, it is pressed together so that the brightest becomes 1.
_KNEE = 0.6
# BT.2020 to BT.709 (ITU-R BT.2087), and the share of each colour of BT.2020 in brightness.
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_BRIGHTNESS = np.array([[0.2627, 0.6780, 0.0593]], np.float32)


@dataclass(frozen=True, slots=True)
class Range:
    """How a frame's code values mean light. ``transfer``: "PQ", "HLG" or "SDR". ``wide``: in colours of BT.2020."""

    transfer: str
    wide: bool

    @property
    def high(self) -> bool:
        """Whether its light goes beyond white."""
        return self.transfer != "SDR"


def range_of(frame: VideoFrame) -> Range | None:
    """What must be brought to the ordinary range; None for frames that are in it, or do not say."""
    transfer = _TRANSFERS.get(int(frame.color_trc), "SDR")
    wide = int(frame.color_primaries) == ColorPrimaries.BT2020
    return Range(transfer, wide) if wide or transfer != "SDR" else None


def to_ordinary(codes: NDArray[np.uint16], source: Range) -> NDArray[np.uint8]:
    """Bring a picture to sRGB.

    Light up to more than half of white stays as it is, and highlights are pressed together: hue stays, since the three
    colours are scaled by one factor, that of the brightest. Colours outside BT.709 are clipped.

    Args:
        codes: RGB (H, W, 3), R'G'B' in the range 0..65535.
        source: What the codes mean.

    Returns:
        RGB, uint8 (H, W, 3).
    """
    light = _decoding(source.transfer)[codes >> 4]
    if source.transfer == "HLG":
        # Light of the scene becomes light of a screen of 1000 candelas (BT.2100, gamma 1.2).
        brightness = cv2.transform(light, _BRIGHTNESS).reshape(light.shape[:2])
        light *= (_PEAK * brightness**0.2)[..., None]
    if source.high:
        brightest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
        light *= (_pressed(brightest) / np.maximum(brightest, 1e-6))[..., None]
    if source.wide:
        light = cv2.transform(light, _TO_BT709)
    steps = (np.clip(light, 0.0, 1.0) * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    return np.asarray(_encoding()[steps])


def _pressed(light: Light) -> Light:
    """The tone curve: the same up to the knee, then a hyperbola with the same slope that takes the peak to 1."""
    over = np.maximum(light - np.float32(_KNEE), 0) / np.float32(1 - _KNEE)
    most = (_PEAK - _KNEE) / (1 - _KNEE)
    return np.minimum(light, _KNEE) + (1 - _KNEE) * over * (1 + over / np.float32(most**2)) / (1 + over)


@lru_cache(maxsize=3)
def _decoding(transfer: str) -> Light:
    """Light for each of 4096 code values: 1 is white; for HLG, light of the scene with 1 as the brightest."""
    code = np.arange(4096) / 4095
    if transfer == "PQ":
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        light = 10000 / _WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    elif transfer == "HLG":
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    table = light.astype(np.float32)
    table.setflags(write=False)
    return table


@lru_cache(maxsize=1)
def _encoding() -> NDArray[np.uint8]:
    """The sRGB code value (IEC 61966-2-1) for each of 65536 steps of light."""
    light = np.arange(65536) / 65535
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.round(255 * code).astype(np.uint8)
    table.setflags(write=False)
    return table
