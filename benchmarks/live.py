"""How live prediction keeps up with a 720p video at 25 frames per second played at its own speed.

    python benchmarks/live.py [--seconds 30] [--soak 600] [--reconnections 100] [--json FILE]

Each row is a run of ``gasp live --benchmark`` in a process of its own, on the package's clip enlarged to 1280 x 720.
Latency is from a frame's arrival to its result. "alone" is the median time of looking at and computing one frame while
nothing else happens, measured in the same run. The soak tells by how much latency grows per minute and how much memory
the process takes at its beginning and end; reconnections are those of an HTTP stream that is closed all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from speed import make_video

from gasp.video.live import Capture, CaptureSettings, read_address

ROWS = {
    "default": [],
    "default, every frame": ["--budget", "0"],
    "default, without contributions": ["--why", "0"],
}


def measure(video: Path, seconds: float, *options: str) -> dict:
    """What one run says of itself, with the resident set early and late in it (MiB)."""
    command = [
        sys.executable, "-m", "gasp", "live", str(video), "--benchmark", "--json", "--quiet", "--loop",
        "--device", "cpu", "--seconds", str(seconds), *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    sizes: list[float] = []
    watcher = threading.Thread(target=watch, args=(process, sizes), daemon=True)
    watcher.start()
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    found = json.loads(output.splitlines()[-1])
    later = sizes[len(sizes) // 3 :] or [0.0]
    return {**found, "resident_early": later[0], "resident_late": later[-1]}


def watch(process: subprocess.Popen, sizes: list[float]) -> None:
    """Notes the resident set once a second."""
    while process.poll() is None:
        try:
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return
        if pages:  # it is not just ending
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        time.sleep(1)


def reconnect(times: int) -> dict[str, float]:
    """Threads, open files and memory before and after so many reconnections."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from helpers.streams import MjpegServer

    def state() -> tuple[int, int, float]:
        own = Path("/proc/self")
        pages = int((own / "statm").read_text().split()[1])
        return len(list((own / "task").iterdir())), len(list((own / "fd").iterdir())), pages * 4096 / 2**20

    with MjpegServer(lambda n: "close" if n % 3 == 2 else "send", rate=200) as server:
        capture = Capture(read_address(server.url), CaptureSettings()).open()
        while server.connections < 5:
            capture.receive(0.1)
        before = state()
        while server.connections < times:
            capture.receive(0.1)
            capture._waits = -50  # without waiting in between
        after = state()
        capture.close()
    return {
        "reconnections": times, "threads": after[0] - before[0], "files": after[1] - before[1],
        "resident_mib": round(after[2] - before[2], 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--soak", type=float, default=0)
    parser.add_argument("--reconnections", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "talk.mp4"
        make_video(video, 10, 25)
        print("| pipeline | results/s of 25 | latency ms: median, 95 %, 99 % | alone ms | ratios "
              "| level most of the time | processor ms per frame |")  # fmt: skip
        print("|---|---:|---|---:|---|---:|---:|")
        for name, extra in ROWS.items():
            row = found[name] = measure(video, options.seconds, *extra)
            latency, ratio = row["latency_ms"]["total"], row["latency_in_frames_alone"]
            level = max(row["levels"], key=row["levels"].get)
            print(
                f"| {name} | {row['results_per_second']} | {latency['median']}, {latency['p95']}, {latency['p99']} "
                f"| {row['frame_alone_ms']} | {ratio['median']}, {ratio['p95']}, {ratio['p99']} | {level} "
                f"| {row['processor_ms_per_frame']} |"
            )
        if options.soak:
            row = found["soak"] = measure(video, options.soak)
            print(
                f"soak of {options.soak:g} s: latency {row['latency_ms_per_minute']} ms per minute, resident set "
                f"{row['resident_early']:.0f} to {row['resident_late']:.0f} MiB"
            )
    if options.reconnections:
        found["reconnections"] = reconnect(options.reconnections)
        print(found["reconnections"])
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
