"""Commands on thousands of inputs that are damaged at random: nothing may crash, hang, or be lost.

    python benchmarks/hostile.py --minutes 10

Videos, weights, pipelines, stores, tables of gaze, and what an interrupted run left are damaged in their bytes (cut
short, changed, a stretch missing or doubled) or in one of their values. Every command must end with an exit status of
the contract, without a traceback, in time and memory, and name the file; a good input beside the bad one must be done;
files of others must stay. Prints how many cases of each kind were tried, and which failed, with the seed to try again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import gasp
from gasp.datasets.store import PackSettings, pack
from helpers.command import make_clip
from helpers.evaluation_sets import make_videos
from helpers.fork_server import ForkServer, forking
from helpers.grouped_frames import make_grouped
from helpers.hostile import QUICK, changed, check, damaged

LIMITS = {"timeout": 60, "memory": 3 << 30}
PIPELINE = {
    "name": "mine", "cues": ["captured", {"name": "motion", "options": {}}],
    "faces": {"detector": "none", "tracking": True},
    "fusion": {"weights": "packaged"}, "alignment": "corrected",
}  # fmt: skip


class Material:
    """Good files of every kind in a folder, and a place for bad ones."""

    def __init__(self, folder: Path, server: ForkServer) -> None:
        self.server, self.bad = server, folder / "bad"
        self.clip = make_clip(folder / "good.mp4", 12)
        self.data = make_videos(folder / "data", count=1, frames=4)
        frames = make_grouped(folder / "Grouped_frames", frames=3, size=16)
        self.store = folder / "store"
        pack(frames, self.store, PackSettings(size=(16, 16), target_size=(16, 16)))
        self.weights = Path(gasp.__file__).parent / "weights" / "packaged" / "fusion.safetensors"
        self.unfinished = folder / "unfinished"
        words = ("predict", self.clip, "-o", self.unfinished, "--piece", 4, "--batch", 4, *QUICK)
        server.run(*words, kill_after=0.0, watch=self.unfinished / "good" / ".partial" / "pieces" / "000001")


def try_video(material: Material, seed: int) -> None:
    """A damaged video beside a good one."""
    path, out = material.bad / "bad.mp4", material.bad / "out"
    path.write_bytes(damaged(material.clip.read_bytes(), seed))
    done = material.server.run("predict", path, material.clip, "-o", out, *QUICK, **LIMITS)
    check(done, "video", allowed=(0, 1), named="bad.mp4")
    assert len((out / "good" / "frames.csv").read_text().splitlines()) == 13
    if (out / "bad" / "run.json").exists():
        run = json.loads((out / "bad" / "run.json").read_text())
        table = "frames.csv" if run["status"] == "complete" else "frames.partial.csv"
        assert len((out / "bad" / table).read_text().splitlines()) == run["frames"]["done"] + 1


def try_weights(material: Material, seed: int) -> None:
    """Weights of a fusion with damaged bytes, most of them in the header."""
    content = material.weights.read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    bad = damaged(content[:head], seed) + content[head:] if seed % 3 else damaged(content, seed)
    path, pipeline = material.bad / "bad.safetensors", material.bad / "pipeline.yaml"
    path.write_bytes(bad)
    pipeline.write_text(yaml.safe_dump({"cues": ["captured", "motion"], "fusion": {"weights": str(path)}}))
    words = ("predict", material.clip, "-o", material.bad / "out", "--pipeline", pipeline)
    done = material.server.run(*words, "--no-overlay", "--no-report", "--threads", 1, **LIMITS)
    check(done, "weights", allowed=(0, 1, 2), named="bad.safetensors")


def try_pipeline(material: Material, seed: int) -> None:
    """A pipeline with a wrong value, or damaged bytes."""
    path = material.bad / "bad.yaml"
    plain = yaml.safe_dump(PIPELINE).encode()
    wrong = yaml.safe_dump(changed(PIPELINE, random.Random(seed))).encode()
    path.write_bytes(wrong if seed % 2 else damaged(plain, seed // 2))
    words = ("predict", material.clip, "-o", material.bad / "out", "--pipeline", path)
    done = material.server.run(*words, "--no-overlay", "--no-report", "--threads", 1, **LIMITS)
    check(done, "pipeline", allowed=(0, 1, 2))


def try_store(material: Material, seed: int) -> None:
    """A store whose index, or an array, is damaged."""
    store, index = material.bad / "bad", material.bad / "bad" / "index.json"
    shutil.copytree(material.store, store)
    if seed % 3 == 0:
        arrays = sorted(store.rglob("*.npy"))
        array = arrays[seed // 3 % len(arrays)]
        array.write_bytes(damaged(array.read_bytes(), seed))
    elif seed % 3 == 1:
        index.write_text(json.dumps(changed(json.loads(index.read_text()), random.Random(seed))))
    else:
        index.write_bytes(damaged(index.read_bytes(), seed))
    for words in (("--verify", store), ("--unpack", store, "-o", material.bad / "out")):
        check(material.server.run("pack", *words, **LIMITS), "store", allowed=(0, 1, 2), named="bad")


def try_table(material: Material, seed: int) -> None:
    """A table of gaze with damaged bytes, or a wrong value in one place."""
    data = material.bad / "bad"
    shutil.copytree(material.data, data)
    table = data / "fixations.csv"
    if seed % 2:
        rng = random.Random(seed)
        rows = [line.split(",") for line in table.read_text().splitlines()]
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = rng.choice(
            ["", "x", "-1", "nan", "1e400", "9" * 400, '"', "\x00", "\x1b[1m", "../x", "Ω"]
        )
        table.write_text("\n".join(",".join(row) for row in rows))
    else:
        table.write_bytes(damaged(table.read_bytes(), seed // 2))
    words = (
        "evaluate",
        data,
        "-o",
        material.bad / "out",
        "--no-ceiling",
        "--cues",
        "captured",
        "--faces",
        "none",
    )
    done = material.server.run(*words, "--threads", 1, "--draws", 100, **LIMITS)
    check(done, "table", allowed=(0, 1, 2), named="bad")


def try_unfinished(material: Material, seed: int) -> None:
    """What an interrupted run left, one file of which is damaged: the run ends with whole results."""
    out = material.bad / "out"
    shutil.copytree(material.unfinished, out)
    rng = random.Random(seed)
    path = rng.choice(sorted(path for path in out.rglob("*") if path.is_file()))
    content = path.read_bytes()
    if path.suffix == ".json" and seed % 2:
        path.write_text(json.dumps(changed(json.loads(content), rng)))
    elif content:
        path.write_bytes(damaged(content, seed))
    words = ("predict", material.clip, "-o", out, "--piece", 4, "--batch", 4, *QUICK)
    check(material.server.run(*words, **LIMITS), f"unfinished, {path.name}", allowed=(0,))
    assert len((out / "good" / "frames.csv").read_text().splitlines()) == 13


KINDS: tuple[Callable[[Material, int], None], ...] = (
    try_video, try_weights, try_pipeline, try_store, try_table, try_unfinished,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first case (%(default)s)")
    options = parser.parse_args()
    tried: Counter[str] = Counter()
    failed = []
    with tempfile.TemporaryDirectory() as name, forking() as server:
        mine = Path(name) / "vict" / "mine.txt"
        mine.parent.mkdir()
        mine.write_text("mine")
        material = Material(Path(name), server)
        outside = sorted(Path(name).iterdir())
        end, seed = time.monotonic() + 60 * options.minutes, options.seed
        while time.monotonic() < end:
            for one in KINDS:
                kind = one.__name__.removeprefix("try_")
                material.bad.mkdir()
                try:
                    one(material, seed)
                    assert mine.read_text() == "mine", "a file of others changed"
                    assert sorted(Path(name).iterdir()) == sorted([*outside, material.bad]), (
                        "something left its folder"
                    )
                except Exception as problem:
                    failed.append(f"{kind} {seed}: {problem}")
                    print(failed[-1][:3000], flush=True)
                shutil.rmtree(material.bad, ignore_errors=True)
                tried[kind] += 1
            seed += 1
    print("| kind | cases | failed |\n|---|---:|---:|")
    for kind, count in tried.items():
        print(f"| {kind} | {count} | {sum(line.startswith(kind + ' ') for line in failed)} |")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
