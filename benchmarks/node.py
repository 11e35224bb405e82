"""What a node costs over the pipeline itself, and how it shares itself between two clients that push.

    python benchmarks/node.py [--size 640x480] [--frames 150] [--json FILE]

Both sides compute the same frames of the clip of the package in this one run, in turns, so that what else the machine
does disturbs them alike: a frame through `Pipeline.step` in this process, then through the node as it is, then as JPEG.
A node's cost is the median of the differences between neighbours. All run with one thread of the CPU each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gasp.config.settings import PredictSettings
from gasp.demo import clip_path
from gasp.node.client import NodeClient
from gasp.pipeline.live import SPREAD
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.predictor import Predictor
from gasp.video import open_source
from gasp.video.frames import Frame

GOALS = {"raw": 3.0, "JPEG": 10.0}


def read_frames(count: int, width: int, height: int) -> list[np.ndarray]:
    """So many frames of the clip, repeated, at this size."""
    with open_source(clip_path()) as source:
        clip = [cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA) for frame in source]
    return list(islice(chain.from_iterable(repeat(clip)), count))


def start_node() -> tuple[subprocess.Popen[str], str]:
    """A node with one thread, and where it is."""
    command = [
        sys.executable,
        "-m",
        "gasp",
        "node",
        "--json",
        "--threads",
        "1",
        "--address",
        "tcp://127.0.0.1:*",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["address"]


def measure_cost(address: str, frames: list[np.ndarray]) -> dict[str, Any]:
    """Milliseconds of each way, and by how much each exceeds the first."""
    predictor = Predictor.load(PredictSettings.read({"threads": 1}))
    pipeline = Pipeline(predictor.settings, predictor.networks, step=0.04, spread=SPREAD)
    raw, coded = NodeClient(address, timeout=60), NodeClient(address, timeout=60, quality=90)
    times: dict[str, list[float]] = {"in process": [], "raw": [], "JPEG": []}
    computed: dict[str, list[float]] = {"raw": [], "JPEG": []}
    with raw, coded:
        for index, image in enumerate(frames):
            began = time.perf_counter()
            pipeline.step([Frame(index, index * 0.04, image)], [None])
            times["in process"].append(time.perf_counter() - began)
            for way, client in (("raw", raw), ("JPEG", coded)):
                began = time.perf_counter()
                result = client.step(image, time=index * 0.04)
                times[way].append(time.perf_counter() - began)
                assert result is not None
                computed[way].append(result.diagnostics["computed"])
    warm = slice(10, None)
    base = times["in process"][warm]
    rows = {"in process": {"median_ms": 1000 * statistics.median(base)}}
    for way in GOALS:
        spent, inside = times[way][warm], computed[way][warm]
        rows[way] = {
            "median_ms": 1000 * statistics.median(spent),
            "over_in_process_ms": 1000 * statistics.median(a - b for a, b in zip(spent, base, strict=True)),
            # Without what computing itself varies by: the same frame takes another time in another process.
            "over_computing_ms": 1000 * statistics.median(a - b for a, b in zip(spent, inside, strict=True)),
            "over_computing_p95_ms": 1000
            * float(np.quantile([a - b for a, b in zip(spent, inside, strict=True)], 0.95)),
            "goal_ms": GOALS[way],
        }
    return rows


def measure_shares(address: str, image: np.ndarray, seconds: float) -> dict[str, float]:
    """Shares of results of two clients that always have four frames on their way."""
    counts: Counter[str] = Counter()
    end, both = threading.Event(), threading.Barrier(2)

    def push(name: str) -> None:
        with NodeClient(address, name=name, timeout=60) as client:
            client.step(image)
            both.wait()
            for _ in range(4):
                client.send(image)
            while not end.is_set():
                counts[name] += client.receive().kind == "result"
                client.send(image)

    threads = [threading.Thread(target=push, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    end.set()
    for thread in threads:
        thread.join()
    whole = sum(counts.values())
    return {"results": whole, **{name: count / whole for name, count in sorted(counts.items())}}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the two clients")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    frames = read_frames(options.frames, width, height)
    process, address = start_node()
    try:
        rows = measure_cost(address, frames)
        shares = measure_shares(address, frames[0], options.seconds)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{options.size}, {len(frames)} frames, {machine}\n")
    print(
        f"{'':12}{'median':>9}{'over in process':>17}{'over computing':>16}{'its 95 %':>10}{'goal':>7}   (ms)"
    )
    for way, row in rows.items():
        names = ("over_in_process_ms", "over_computing_ms", "over_computing_p95_ms", "goal_ms")
        cells = [f"{row[name]:.2f}" if name in row else "" for name in names]
        print(f"{way:12}{row['median_ms']:9.2f}{cells[0]:>17}{cells[1]:>16}{cells[2]:>10}{cells[3]:>7}")
    print(
        f"\ntwo clients that push: {shares['one']:.1%} and {shares['other']:.1%} of {shares['results']} results"
    )
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "cost": rows, "shares": shares}, indent=2))


if __name__ == "__main__":
    main()
