"""How fast the default pipeline is at 720p, and whether memory and time per frame stay flat.

    python benchmarks/speed.py [--seconds 60] [--long 600] [--rate 10] [--json FILE]

The clip of the package is enlarged to 1280 x 720 and repeated. Every row comes from a process of its own: wall
time without start-up (from run.json), processor time (which other programs disturb less) without that of a run over
two frames, and the largest resident set as the system accounts it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from itertools import chain, repeat
from pathlib import Path

import cv2
import torch

from gasp.demo import clip_path
from gasp.video import VideoWriter, open_source

GASP = [sys.executable, "-m", "gasp"]


def make_video(path: Path, seconds: float, fps: float | None) -> None:
    """The clip at 1280 x 720, repeated up to a length, with its sound once, at its own or another rate.

    Frames are not gathered: what this process once held would count as the memory of those it starts.
    """
    with open_source(clip_path()) as source:
        fps = fps or source.fps
        frames = chain.from_iterable(iter(source) for _ in repeat(None))
        with VideoWriter(path, 1280, 720, fps, sound_from=clip_path()) as writer:
            for k, frame in zip(range(round(seconds * fps)), frames, strict=False):
                writer.write(cv2.resize(frame.image, (1280, 720), interpolation=cv2.INTER_LINEAR), k / fps)


def measure(video: Path, *options: str, start_up: float = 0.0) -> dict[str, float]:
    """Frames per second, processor seconds and peak memory (MiB) of one run of ``gasp predict``.

    ``start_up``: processor seconds that do not count as those of frames.
    """
    with tempfile.TemporaryDirectory() as out:
        command = [*GASP, "predict", str(video), "-o", out, "--quiet", *options]
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        manifest = json.loads((Path(out) / video.stem / "run.json").read_text())
    timing, frames = manifest["timing"], manifest["frames"]["done"]
    processor = usage.ru_utime + usage.ru_stime
    return {
        "processor": processor,
        "cpu_ms": 1000 * (processor - start_up) / frames,
        "frames": frames,
        "fps": timing["frames_per_second"],
        "ms": 1000 * timing["seconds"] / frames,
        "MiB": usage.ru_maxrss / 1024,
    }


def help_time(runs: int = 7) -> float:
    """Median seconds of ``gasp --help``."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([*GASP, "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return sorted(times)[runs // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--long", type=float, default=0, help="also a video of so many seconds, for flatness")
    parser.add_argument("--rate", type=float, help="frames per second of the videos, instead of the clip's")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print(
        f"{'1280 x 720':32s}{'frames':>8s}{'frames/s':>10s}{'ms/frame':>10s}{'CPU ms':>10s}{'peak MiB':>10s}"
    )
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        two, short, long = (Path(folder) / f"{name}.mp4" for name in ("two", "short", "long"))
        make_video(two, 2, 1)
        start_up = measure(two)["processor"]

        def show(name: str, video: Path, *more: str) -> None:
            row = rows[name] = measure(video, *more, start_up=start_up)
            print(
                f"{name:32s}{row['frames']:8.0f}{row['fps']:10.1f}{row['ms']:10.1f}{row['cpu_ms']:10.1f}{row['MiB']:10.0f}",
                flush=True,
            )

        make_video(short, options.seconds, options.rate)
        show(f"overlay and report, {options.seconds:g} s", short)
        show(f"tables only, {options.seconds:g} s", short, "--no-overlay", "--no-report")
        if options.long:
            make_video(long, options.long, options.rate)
            show(f"overlay and report, {options.long:g} s", long)
    seconds = help_time()
    print(f"gasp --help: {seconds:.3f} s")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "help": seconds}, indent=1))


if __name__ == "__main__":
    main()
