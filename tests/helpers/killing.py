"""Killing commands at random moments: what is left at the end must be what an uninterrupted command leaves."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gasp.video import Sound, VideoWriter, open_source
from helpers.fork_server import ForkServer

WITH_TIMES = ("run.json", "report.html")
"""Files that tell when and where something was made."""


@dataclass(frozen=True)
class Case:
    """A command that is killed. ``words``: of the command into a folder; ``watch``: there once it is at work."""

    name: str
    words: Callable[[Path], list[object]]
    watch: str


def make_noisy_clip(path: Path, frames: int = 64, width: int = 96, height: int = 64) -> Path:
    """Squares that move before three backgrounds, one after the other; constant noise is heard."""
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 0.2, 48000 * frames // 25).astype(np.float32)
    backgrounds = [
        cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), (0, 0), 5)
        for _ in range(3)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, width, height, 25.0, sound_from=Sound(noise, 48000)) as writer:
        for index in range(frames):
            image = backgrounds[3 * index // frames].copy()
            x = 3 * index % (width - 24)
            image[20:44, x : x + 24] = (220, 180, 150)
            writer.write(image, index / 25)
    return path


def make_gaze(folder: Path, names: tuple[str, ...] = ("talk", "walk"), frames: int = 32) -> Path:
    """A set of one's own: videos and a table of fixations."""
    rng = np.random.default_rng(3)
    lines = ["video,observer,onset_ms,duration_ms,x,y"]
    for name in names:
        make_noisy_clip(folder / "videos" / f"{name}.mp4", frames)
        for observer in range(4):
            for start in range(0, 40 * frames, 200):
                x, y = rng.uniform(5, 90), rng.uniform(5, 60)
                lines.append(f"{name},{observer},{start},180,{x:.1f},{y:.1f}")
    (folder / "fixations.csv").write_text("\n".join(lines) + "\n")
    return folder


def cases(folder: Path) -> list[Case]:
    """The four commands that go on, on small made material in ``folder``."""
    clip = make_noisy_clip(folder / "noise.mp4")
    gaze = make_gaze(folder / "gaze")
    # Without contributions, which take most of the time of short pieces; tests of pieces look at them.
    small: list[object] = ["--piece", 16, "--batch", 8, "--threads", 1, "-q"]
    frames = folder / "frames"

    def predict(out: Path) -> list[object]:
        return ["predict", clip, "-o", out, "--grid", "--maps", "png", "--why", 0, *small]

    def generate(out: Path) -> list[object]:
        cues = "captured,glance,motion"
        return ["generate", "own", "--folder", gaze, "-o", out, "--size", "48x32", "--cues", cues, *small]

    def pack(out: Path) -> list[object]:
        return [
            "pack",
            frames / "Grouped_frames",
            "-o",
            out,
            "--size",
            "400x400",
            "--target-size",
            "200x200",
            "-q",
        ]

    def evaluate(out: Path) -> list[object]:
        return [
            "evaluate",
            gaze,
            "-o",
            out,
            "--cues",
            "captured,glance,motion",
            "--threads",
            1,
            "--workers",
            1,
            "--draws",
            100,
            "-q",
        ]

    return [
        Case("predict", predict, "noise/.partial/pieces"),
        Case("generate", generate, ".partial/own/talk/pieces"),
        Case("pack", pack, ".partial/pieces"),
        Case("evaluate", evaluate, ".partial/pieces"),
    ]


def content(folder: Path) -> dict[str, str]:
    """A checksum for every file: of its bytes, or of a video's decoded frames and their times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in WITH_TIMES:
            name = path.relative_to(folder).as_posix()
            found[name] = (
                _frames(path) if path.suffix == ".mp4" else hashlib.sha256(path.read_bytes()).hexdigest()
            )
    return found


def _frames(path: Path) -> str:
    digest = hashlib.sha256()
    with open_source(path) as video:
        for frame in video:
            digest.update(frame.image.tobytes())
            digest.update(f"{frame.time:.5f}".encode())
    return digest.hexdigest()


def kill_and_compare(
    server: ForkServer, case: Case, folder: Path, kills: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Kills a command ``kills`` times, in one or two goes each, and says how what is left at the end compares."""
    rng = random.Random(seed)
    done = server.run(*case.words(folder / "whole"), timeout=600)
    assert done.status == 0, done.err
    whole = content(folder / "whole")
    assert whole
    for number in range(kills):
        out = folder / f"killed-{number}"
        killed = 0
        for _ in range(rng.choice((1, 1, 2))):
            moment = rng.uniform(0, 0.9 * done.seconds)
            one = server.run(*case.words(out), timeout=600, kill_after=moment, watch=out / case.watch)
            killed += one.status == -9
        last = server.run(*case.words(out), timeout=600)
        left = content(out) if last.status == 0 else {}
        different = sorted({name for name in {*left, *whole} if left.get(name) != whole.get(name)})
        yield {"kills": killed, "status": last.status, "err": last.err, "different": different}
        shutil.rmtree(out, ignore_errors=True)
