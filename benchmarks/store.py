"""Training windows per second: the packed store against the 2021 JPEG folders read with Pillow, in one run.

    python benchmarks/store.py

Makes 500 x 500 pictures as the generators of 2021 write them, packs them, reads random windows of 10 frames of 5 maps
and 2 targets at 120 x 120 from both, makes batches of clips to learn from, and opens a store of 100 videos.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from gasp.config.experiments import Experiment
from gasp.datasets.grouped import TARGETS, GroupedFrames
from gasp.datasets.store import PackedStore, PackSettings, pack, write_index
from gasp.training.clips import Clips, collate
from gasp.training.sources import open_source

MAPS = ("captured", *(f"det_transformed_{cue}" for cue in ("dave", "esr9", "vidgaze", "gaze360")))
FRAMES, LENGTH, SIZE = 40, 10, (120, 120)
VIDEO = ("diem", "talk")


def make_frames(folder: Path) -> None:
    random = np.random.default_rng(0)
    for frame in range(1, FRAMES + 1):
        place = folder / "diem" / "talk" / str(frame)
        place.mkdir(parents=True)
        for name in (*MAPS, *TARGETS):
            rough = random.integers(0, 256, (25, 25), np.uint8)
            grey = cv2.resize(rough, (500, 500), interpolation=cv2.INTER_CUBIC)
            picture = cv2.applyColorMap(grey, cv2.COLORMAP_JET) if name in MAPS else grey
            cv2.imwrite(str(place / f"{name}_1.jpg"), picture)


def per_second(read: Callable[[int], object], count: int) -> float:
    starts = np.random.default_rng(1).integers(0, FRAMES - LENGTH + 1, count)
    read(0)
    begin = time.perf_counter()
    for start in starts:
        read(int(start))
    return count / (time.perf_counter() - begin)


def per_batch(folder: Path, count: int, **augment: float) -> float:
    """Milliseconds of processor time for a batch of 4 clips to learn from, targets of every frame included."""
    experiment = Experiment.read(
        {
            "network": "SequenceGASPDAMEncALSTMGMUConv",
            "options": {"sequence_len": LENGTH},
            "clips": {"inputs": MAPS, "target_size": SIZE, "peeks": 4, "augment": augment},
        }
    )
    source = open_source(folder, SIZE, SIZE)
    clips = Clips(source, source.videos, experiment)
    collate([clips[0, index] for index in range(4)])
    begin = time.process_time()
    for epoch in range(count):
        collate([clips[epoch, index] for index in range(4)])
    return (time.process_time() - begin) / count * 1000


def time_to_open(store: Path, videos: int) -> float:
    """Seconds to open a store of so many videos and read a window of one."""
    opened = PackedStore(store)
    (known,) = opened.videos.values()
    index = {}
    for number in range(videos):
        name = f"video_{number}"
        shutil.copytree(store / "diem" / "talk", store / "diem" / name, copy_function=_link)
        index["diem", name] = replace(known, video=name)
    write_index(store, opened.options, index)
    begin = time.perf_counter()
    PackedStore(store).window("diem", f"video_{videos - 1}", 0, LENGTH)
    return time.perf_counter() - begin


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder, store = Path(temporary) / "Grouped_frames", Path(temporary) / "store"
        make_frames(folder)
        pack(folder, store, PackSettings(maps=MAPS, target_size=SIZE))
        frames, packed = GroupedFrames(folder).video(*VIDEO), PackedStore(store)
        jpeg = per_second(
            lambda start: frames.window(start, LENGTH, MAPS, TARGETS, size=SIZE, target_size=SIZE), 8
        )
        arrays = per_second(lambda start: packed.window(*VIDEO, start, LENGTH), 400)
        print(f"{platform.machine()}, warm cache, one process, windows of {LENGTH} x (5 maps + 2 targets)")
        print(f"JPEG folders: {jpeg:8.1f} samples/s")
        print(f"store:        {arrays:8.1f} samples/s, {arrays / jpeg:.0f} times as many")
        print("a batch of 4 clips to learn from, in ms of processor time")
        print(f"  JPEG folders {per_batch(folder, 3):.0f}, store {per_batch(store, 50):.1f}", end="")
        for name, value in (("flip", 1.0), ("colour", 0.3), ("crop", 0.7)):
            print(f", with {name} {per_batch(store, 20, **{name: value}):.1f}", end="")
        print()
        print(f"opening 100 videos and reading a window: {time_to_open(store, 100) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
