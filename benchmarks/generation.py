"""Memory while the maps of a long video are generated.

    python benchmarks/generation.py --minutes 8

Makes a video with sound and recorded fixations, generates maps of its frames, and prints the resident memory every
500 frames, with the processor time so far. The faster cues by default, since it is the length that matters.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from gasp.config.settings import PredictSettings
from gasp.datasets import open_set
from gasp.results.grouped import GenerateSettings
from gasp.runs.generate import generate
from gasp.video import VideoWriter
from gasp.work.progress import Progress

RATE, HEIGHT, WIDTH = 25, 180, 320


def make_recordings(folder: Path, minutes: float) -> int:
    """Writes a moving pattern and gaze of ten observers; the number of frames."""
    (folder / "videos").mkdir(parents=True)
    frames = round(minutes * 60 * RATE)
    random = np.random.default_rng(0)
    wide = np.kron(random.integers(0, 256, (18, 64, 3), np.uint8), np.ones((10, 10, 1), np.uint8))
    with VideoWriter(folder / "videos" / "long.mp4", WIDTH, HEIGHT, RATE) as writer:
        for frame in range(frames):
            writer.write(np.ascontiguousarray(wide[:, frame % WIDTH :][:, :WIDTH]), frame / RATE)
    with (folder / "fixations.csv").open("w", encoding="utf-8") as file:
        file.write("video,observer,onset_ms,duration_ms,x,y\n")
        for onset in range(0, frames * 1000 // RATE, 300):
            for observer in range(10):
                x, y = random.integers(20, (WIDTH - 20, HEIGHT - 20))
                file.write(f"long,{observer},{onset},280,{x},{y}\n")
    return frames


def resident() -> float:
    """MiB that this process has in memory."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=8, help="of video at 25 frames per second (%(default)s)"
    )
    parser.add_argument("--cues", default="captured,motion", help="(%(default)s)")
    parser.add_argument("--faces", default="none", help="detector (%(default)s)")
    options = parser.parse_args()
    settings = PredictSettings(cues=options.cues, faces=options.faces, device="cpu")
    with tempfile.TemporaryDirectory() as temporary:
        frames = make_recordings(Path(temporary) / "raw", options.minutes)
        videos = open_set("long", Path(temporary) / "raw")
        print(f"{platform.machine()}, {frames} frames of {WIDTH} x {HEIGHT}, cues {options.cues}")
        start = time.process_time()

        def report(progress: Progress) -> None:
            if progress.done % 500 == 0 or progress.done == progress.total:
                used = time.process_time() - start
                print(
                    f"{progress.done:7.0f} frames {resident():8.0f} MiB {used:8.0f} s of processor time",
                    flush=True,
                )

        generate(
            videos,
            videos.ids,
            Path(temporary) / "out",
            settings,
            GenerateSettings(size=(90, 160)),
            report=report,
        )
        print(f"written: {resident():.0f} MiB")


if __name__ == "__main__":
    main()
