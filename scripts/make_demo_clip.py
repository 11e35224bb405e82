"""Make the demo clip: two public-domain portraits that seem to talk, with synthesised voices.

Needs scikit-image and matplotlib (the portraits are in these packages) and the program ``espeak-ng``::

    python scripts/make_demo_clip.py src/gasp/demo/clip.mp4
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.video import Sound, VideoWriter

FPS = 25
WIDTH, HEIGHT = 640, 360
RATE = 48000
SECONDS = 14.8
FADE = 0.5
PLAIN = (54, 66, 82)

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Portrait:
    """A picture and where its mouth is, in pixels of the picture.

    The lips part along a line through (``x``, ``y``), ``half`` pixels to both sides, which lies ``bend`` pixels
    higher at its ends. ``chin``: row of the chin. ``opening``: of the mouth at its widest, pixels.
    """

    image: Image
    x: float
    y: float
    half: float
    bend: float
    chin: float
    opening: float
    voice: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """Something that is said: who (0 or 1), from when on (seconds), what."""

    who: int
    start: float
    words: str


SCRIPT = (
    Line(0, 0.5, "Where do you look, when people talk?"),
    Line(1, 3.5, "I look at the one who is speaking."),
    Line(0, 6.5, "So now, they look at me."),
    Line(1, 8.8, "And now, they look at me."),
    Line(0, 11.1, "And when we both are silent?"),
)
CUT_TO_SECOND, CUT_TO_BOTH = 3.2, 6.2


def portraits() -> list[Portrait]:
    """Both portraits, RGB."""
    import matplotlib
    import skimage.data

    sample = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    hopper = np.ascontiguousarray(cv2.imread(str(sample))[..., ::-1])
    collins = np.ascontiguousarray(skimage.data.astronaut())
    return [
        Portrait(collins, 225, 149, 20, 5, 178, 7, ("-v", "en-us+f2", "-s", "172", "-p", "52")),
        Portrait(hopper, 268, 279, 38, -1, 333, 11, ("-v", "en-us+f5", "-s", "160", "-p", "28")),
    ]


def speak(words: str, voice: tuple[str, ...]) -> NDArray[np.float32]:
    """Synthesised speech at ``RATE``, mono."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "words.wav"
        subprocess.run(["espeak-ng", *voice, "-w", str(file), words], check=True)
        with wave.open(str(file)) as sound:
            samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
            heard = np.flatnonzero(np.abs(samples) > 100)
            samples = samples[heard[0] : heard[-1] + 1]
            return Sound.from_array(samples, sound.getframerate()).resampled(RATE).samples


def record(people: list[Portrait]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The sound, and how far each mouth is open in each frame, 0..1, shape (2, frames)."""
    sound = np.zeros(round(SECONDS * RATE), np.float32)
    mouths = np.zeros((2, round(SECONDS * FPS)))
    for line in SCRIPT:
        words = speak(line.words, people[line.who].voice)
        words *= 0.5 / np.abs(words).max()
        first = round(line.start * RATE)
        words = words[: len(sound) - first]
        sound[first : first + len(words)] += words
        print(f"{line.start:5.1f} to {line.start + len(words) / RATE:4.1f} s: {line.words}")
        own = np.zeros_like(sound)
        own[first : first + len(words)] = words
        mouths[line.who] += loudness(own)
    return sound, np.clip(mouths, 0, 1)


def loudness(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """How loud each frame is, 0..1 (1 at the 90th percentile of what is not silent)."""
    power = sound.reshape(-1, RATE // FPS).astype(np.float64) ** 2
    level = np.sqrt(power.mean(1))
    level = np.convolve(level, (0.25, 0.5, 0.25), "same")
    return np.clip(level / np.percentile(level[level > 1e-3], 90), 0, 1)


def open_mouth(person: Portrait, openness: float) -> Image:
    """The portrait with its lower lip and jaw moved down."""
    if openness < 0.03:
        return person.image
    height, width = person.image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    aside = (x - person.x) / person.half
    line = person.y - person.bend * np.minimum(aside**2, 1.5)
    widest = openness * person.opening
    gap = widest * np.sqrt(np.clip(1 - aside**2, 0, 1))
    jaw = widest * np.exp(-((aside / 1.7) ** 2))
    reach = person.chin - person.y
    below = y - line
    moved = gap + (jaw - gap) * smooth(below / (0.6 * reach))
    moved *= 1 - smooth((y - person.chin) / (0.7 * reach))
    moved[below < 0] = 0
    source_y = (y - moved).astype(np.float32)
    warped = cv2.remap(person.image, x, source_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = np.clip(below + 0.5, 0, 1) * np.clip(gap - below + 0.5, 0, 1) * np.clip(gap, 0, 1)
    depth = np.float32((72, 24, 26)) * (1 - 0.4 * np.clip(below / (widest + 1), 0, 1))[..., None]
    return np.rint(warped + inside[..., None] * (depth - warped)).clip(0, 255).astype(np.uint8)


def smooth(t: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 below 0, 1 above 1, an S between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def view(image: Image, x: float, y: float, across: float, size: tuple[int, int]) -> Image:
    """What a camera sees that looks at (x, y) and shows ``across`` pixels of width; ``size``: (width, height)."""
    scale = size[0] / across
    matrix = np.array([[scale, 0, size[0] / 2 - scale * x], [0, scale, size[1] / 2 - scale * y]])
    return np.asarray(
        cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def glide(time: float, start: float, end: float, first: float, last: float) -> float:
    """From ``first`` to ``last`` between the times ``start`` and ``end``, gently."""
    part = min(1.0, max(0.0, (time - start) / (end - start)))
    return first + (last - first) * part * part * (3 - 2 * part)


def draw(people: list[Portrait], mouths: NDArray[np.float64], time: float) -> Image:
    """The frame at ``time``; ``mouths``: how far each is open."""
    collins, hopper = (open_mouth(person, share) for person, share in zip(people, mouths, strict=True))
    if time < CUT_TO_SECOND:
        x = glide(time, 0, CUT_TO_SECOND, 285, 240)
        y = glide(time, 0, CUT_TO_SECOND, 133, 110)
        across = glide(time, 0, CUT_TO_SECOND, 440, 330)
        return view(collins, x, y, across, (WIDTH, HEIGHT))
    if time < CUT_TO_BOTH:
        x = glide(time, CUT_TO_SECOND, CUT_TO_BOTH, 242, 256)
        y = glide(time, CUT_TO_SECOND, CUT_TO_BOTH, 252, 228)
        across = glide(time, CUT_TO_SECOND, CUT_TO_BOTH, 460, 508)
        return view(hopper, x, y, across, (WIDTH, HEIGHT))
    drift = glide(time, CUT_TO_BOTH, SECONDS, 0, 1)
    sway = 2 * np.sin(time * 1.3)
    tile = (292, 312)
    left = view(collins, 225 + sway, 150 - 8 * drift, 236 - 16 * drift, tile)
    right = view(hopper, 266 - sway, 238 + 4 * drift, 344 - 22 * drift, tile)
    picture = np.full((HEIGHT, WIDTH, 3), PLAIN, np.uint8)
    for place, image in ((19, left), (WIDTH - 19 - tile[0], right)):
        frame_in(picture, image, place, (HEIGHT - tile[1]) // 2)
    return picture


def frame_in(picture: Image, image: Image, x: int, y: int) -> None:
    """Put ``image`` at (x, y), with round corners."""
    height, width = image.shape[:2]
    big, radius = 4, 14
    mask = np.zeros((height * big, width * big), np.uint8)
    reach = radius * big
    cv2.rectangle(mask, (reach, 0), (width * big - reach, height * big), 255, cv2.FILLED)
    cv2.rectangle(mask, (0, reach), (width * big, height * big - reach), 255, cv2.FILLED)
    for corner_x in (reach, width * big - reach):
        for corner_y in (reach, height * big - reach):
            cv2.circle(mask, (corner_x, corner_y), reach, 255, cv2.FILLED)
    share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255
    region = picture[y : y + height, x : x + width]
    region[:] = np.rint(region + share * (image.astype(np.float64) - region))


def main() -> None:
    """Make the clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    path = parser.parse_args().output
    people = portraits()
    sound, mouths = record(people)
    with VideoWriter(
        path, WIDTH, HEIGHT, FPS, sound_from=Sound(sound, RATE), times=False, preset="slow", crf=25
    ) as writer:
        for index in range(mouths.shape[1]):
            time = index / FPS
            light = min(1.0, (SECONDS - time) / FADE)
            frame = draw(people, mouths[:, index], time)
            writer.write(cv2.convertScaleAbs(frame, alpha=light) if light < 1 else frame)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
