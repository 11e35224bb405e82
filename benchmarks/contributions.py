"""Whether contributions find the cue that decides, what they say of real videos, and what they cost.

    python benchmarks/contributions.py [FOLDER] [--scenes 200] [--every 5] [--seconds 20] [--pipeline FILE]

Drawn scenes: three equal faces, of which one speaks or moves; the share of scenes in which this cue moves most of all
social cues and adds most to the right face. FOLDER: videos, such as those of FindWho; the mean share of the map that
each cue moves. Cost: frames per second of ``gasp predict`` with overlay and report, with and without contributions, in
turns, on the clip of the package at 1280 x 720.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from speed import make_video, measure

import gasp
from gasp.config.settings import PredictSettings
from gasp.fusion.coalitions import method_of
from gasp.pipeline.networks import Networks
from helpers.contributing_scenes import share_found


def scenes(networks: Networks, count: int) -> None:
    """Prints in how many drawn scenes the right cue and face lead."""
    print(f"\n{count} drawn scenes, {method_of(networks.fusion.network)}")
    for decides in ("speaking", "motion"):
        print(f"only one face: {decides:12s}{share_found(networks.fusion, decides, count):8.1%}", flush=True)


def videos(folder: Path, pipeline: str, every: int) -> None:
    """Prints the mean share of the map that each cue moves."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".mp4", ".avi", ".mov", ".mkv")]
    rows = []
    for path in paths:
        shares = [p.why for p in gasp.predict(path, pipeline=pipeline, every=every) if p.why is not None]
        names = list(shares[0])
        if not rows:
            print(f"\n{'share moved':16s}" + "".join(f"{name:>12s}" for name in names))
        rows.append([float(np.mean([share[name] for share in shares])) for name in names])
        print(f"{path.stem:16s}" + "".join(f"{value:12.3f}" for value in rows[-1]), flush=True)
    print(f"{'mean':16s}" + "".join(f"{value:12.3f}" for value in np.mean(rows, 0)))


def cost(seconds: float, pipeline: str) -> None:
    """Prints frames per second with and without contributions."""
    print(f"\n{'1280 x 720':16s}{'frames/s':>10s}{'CPU ms':>10s}")
    with tempfile.TemporaryDirectory() as folder:
        two, video = Path(folder) / "two.mp4", Path(folder) / "video.mp4"
        make_video(two, 2, 1)
        make_video(video, seconds, None)
        start_up = measure(two, "--pipeline", pipeline, "--why", "0")["processor"]
        for _ in range(2):
            for why in ("0", "2"):
                row = measure(video, "--pipeline", pipeline, "--why", why, start_up=start_up)
                print(f"--why {why:10s}{row['fps']:10.1f}{row['cpu_ms']:10.1f}", flush=True)


def main() -> None:
    """All three."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--every", type=int, default=5, help="of how many frames of FOLDER one is predicted")
    parser.add_argument(
        "--seconds", type=float, default=20, help="length of the video for the cost, 0 for none"
    )
    parser.add_argument("--pipeline", default="default")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    scenes(Networks.load(PredictSettings(pipeline=options.pipeline)), options.scenes)
    if options.folder is not None:
        videos(options.folder, options.pipeline, options.every)
    if options.seconds:
        cost(options.seconds, options.pipeline)


if __name__ == "__main__":
    main()
