"""EyeLink: recordings as text (.asc, made by SR Research's edf2asc).

Lines that are read: ``EFIX <eye> <start> <end> <duration> <x> <y> <pupil>`` (times in milliseconds, pixels of the
screen); ``MSG <time> DISPLAY_COORDS|GAZE_COORDS <left> <top> <right> <bottom>``; ``START <time>``; messages of trials
``!V VFRAME <number> <x> <y> <file>`` (a picture of the video is shown), ``!V TRIAL_VAR <name> <value>`` and
``SYNCTIME``; and samples ``<time> <x> <y> ...``, from which fixations are found where there is no EFIX line.
An offset in front of a message is subtracted from its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gasp.datasets.recordings.detection import DISPERSION, detect_fixations
from gasp.datasets.recordings.viewing import EYES, Eye, Floats, Viewing, merge_samples
from gasp.datasets.text_tables import read_text
from gasp.datasets.video_set import SUFFIXES

_VFRAME = re.compile(r"!V\s+VFRAME\s+(\d{1,9})\s+(-?\d+)\s+(-?\d+)\s+(\S.*)")
_TRIAL_VAR = re.compile(r"!V\s+TRIAL_VAR\s+(\S+)\s+(\S.*)")
_MESSAGE = re.compile(r"MSG\s+(\d+(?:\.\d+)?)\s+(?:(-?\d{1,6})\s+(?=\S))?(.*)")

VideoOf = Callable[[str], str | None]


@dataclass
class _Trial:
    """A part of the file in which one video is shown: from START to END, or to the next video's first picture."""

    start: float
    video: str | None = None
    strange: bool = False  # a video is shown that is not of the set
    corner: tuple[float, float] | None = None
    pictures: dict[int, float] = field(default_factory=dict)
    fixations: dict[str, list[tuple[float, ...]]] = field(default_factory=lambda: {"left": [], "right": []})
    samples: dict[str, list[tuple[float, float, float]]] = field(
        default_factory=lambda: {"left": [], "right": []}
    )


def read_eyelink(path: Path, video_of: VideoOf, eye: Eye = "left") -> Iterator[Viewing]:
    """What the observer fixated on each video. ``video_of("")`` gives the only video, where there is one."""
    trials, screen = _parse(path, video_of)
    for trial in trials:
        video = trial.video or (None if trial.strange else video_of(""))
        if video is None:
            continue
        fixations = _chosen(trial, eye, screen)
        shown = np.array([trial.pictures[number] for number in sorted(trial.pictures)], np.float64)
        whole = len(shown) > 1 and len(shown) == max(trial.pictures) - min(trial.pictures) + 1
        start = float(shown[0]) if len(shown) else trial.start
        yield Viewing(
            video, path.stem, (fixations[:, 0] - start) / 1000, fixations[:, 1] / 1000,
            fixations[:, 2], fixations[:, 3], path, screen=screen, corner=trial.corner,
            frame_times=(shown - start) / 1000 if whole and (np.diff(shown) > 0).all() else None,
        )  # fmt: skip


def _chosen(trial: _Trial, eye: Eye, screen: tuple[int, int] | None) -> Floats:
    """Fixations (n, 4) of the eye asked for, or of the one that there is: onset, duration (ms), x, y."""
    order = [eye, *(other for other in EYES if other != eye)]
    for side in order:
        if trial.fixations[side]:
            return np.array(trial.fixations[side], np.float64)
    for side in order:
        if trial.samples[side]:
            time, x, y = np.array(trial.samples[side], np.float64).T
            width = screen[0] if screen else float(np.nanmax(x, initial=1.0))
            spans = detect_fixations(time / 1000, x, y, DISPERSION * width)
            begin, end = time[spans[:, 0]], time[spans[:, 1]]
            return np.stack([begin, end - begin, *merge_samples(time, x, y, begin, end)], 1)
    return np.zeros((0, 4))


def _parse(path: Path, video_of: VideoOf) -> tuple[list[_Trial], tuple[int, int] | None]:
    trials: list[_Trial] = []
    screen: tuple[int, int] | None = None
    eyes = ["left"]
    for line in read_text(path).splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "MSG":
            found = _MESSAGE.match(line)
            if found:
                time = float(found.group(1)) - float(found.group(2) or 0)
                screen = _screen(found.group(3)) or screen
                _hear(found.group(3), time, trials, video_of)
        elif words[0] == "START" and len(words) > 1 and _is_number(words[1]):
            trials.append(_Trial(float(words[1])))
        elif words[0] == "SAMPLES":
            eyes = [side for side in EYES if side.upper() in words] or eyes
        elif words[0] == "EFIX" and trials:
            _take_fixation(words, trials[-1])
        elif trials and _is_number(words[0]):
            _take_sample(words, eyes, trials[-1])
    return trials, screen


def _hear(message: str, time: float, trials: list[_Trial], video_of: VideoOf) -> None:
    if not trials:
        return
    trial = trials[-1]
    if picture := _VFRAME.match(message):
        number, x, y, name = picture.groups()
        video = video_of(name)
        if video is None:
            trial.strange = True
            return
        if trial.video not in (None, video) and trial.pictures:  # the next video of the same block
            trial = _Trial(time)
            trials.append(trial)
        trial.video, trial.corner = video, (float(x), float(y))
        trial.pictures.setdefault(int(number), time)
    elif variable := _TRIAL_VAR.match(message):
        value = variable.group(2)
        if trial.video is None and Path(value).suffix.lower() in SUFFIXES:
            trial.video = video_of(value)
            trial.strange = trial.video is None
    elif message.split()[:1] == ["SYNCTIME"]:
        trial.start = time


def _screen(message: str) -> tuple[int, int] | None:
    """Size of the screen: the last pixel is told, so that it is one more."""
    words = message.split()
    if (
        words[:1] not in (["DISPLAY_COORDS"], ["GAZE_COORDS"])
        or len(words) < 5
        or not all(map(_is_number, words[1:5]))
    ):
        return None
    left, top, right, bottom = map(float, words[1:5])
    width, height = right - left + 1, bottom - top + 1
    # Some scripts tell the size itself.
    return (int(width - width % 2), int(height - height % 2)) if width > 1 and height > 1 else None


def _take_fixation(words: list[str], trial: _Trial) -> None:
    if len(words) >= 7 and words[1] in ("L", "R") and all(map(_is_number, words[2:7])):
        begin, end, lasts, x, y = map(float, words[2:7])
        trial.fixations["left" if words[1] == "L" else "right"].append((begin, lasts or end - begin, x, y))


def _take_sample(words: list[str], eyes: list[str], trial: _Trial) -> None:
    values = [float(word) if _is_number(word) else np.nan for word in words]
    for place, side in enumerate(eyes):
        if len(values) >= 3 * place + 3:
            trial.samples[side].append((values[0], values[3 * place + 1], values[3 * place + 2]))


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False
