"""The published chain as a whole: the four cues, then the fusion, beside a plain driver.

    python benchmarks/chain.py [--frames 4] [--threads 1]

Cues are dave (with sound), gaze360, videogaze and esr9, the fusion is DAM + LARGMU, as in ``--pipeline gasp``. The
plain driver computes the whole window of every network anew for every frame, one face after the other, and draws every
picture from its definition, at the size of the frame. Both sides have the same made-up weights and video in the same
run, and a full window behind them. Times are processor time of this process, so that others on the machine do not
count. It ends with an error where numbers differ by more than 1e-4, or more than one in a hundred values of a picture
by more than one grey level.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch

import fusion as fusions
from cues import (
    Picture,
    Setting,
    lively,
    make_video,
    plain_conic,
    plain_esr9,
    plain_gaze360,
    plain_videogaze,
    search_at_once,
    timed,
)
from gasp.cues.audio_features import LogMelStream
from gasp.cues.dave import Dave, draw_dave
from gasp.cues.esr9 import ESR9Cue, aggregate, draw_patches
from gasp.cues.gaze360 import Gaze360Cue
from gasp.cues.observation import Observation
from gasp.cues.saliency import colour_jet, prepare_pictures
from gasp.cues.videogaze import VideoGazeCue, draw_heatmaps
from gasp.fusion.gasp import Fused, GaspFusion
from gasp.networks.gaze360 import gaze_direction

CUES = ("dave", "gaze360", "videogaze", "esr9")
RATE, FPS = 16000, 25
AHEAD = 3
"""Frames that the cues of faces look ahead."""
WINDOW = 16
CONTEXT = fusions.CONTEXT
NOTHING = Fused(np.zeros((1, 1), np.float32), None)


def hear(video: list[Observation]) -> list[Observation]:
    """The frames with noise for sound."""
    rng = np.random.default_rng(5)
    sounds = (0.1 * rng.standard_normal((len(video), RATE // FPS))).astype(np.float32)
    return [
        replace(seen, sound=sound, sound_rate=RATE, step=1 / FPS)
        for seen, sound in zip(video, sounds, strict=True)
    ]


class Chain:
    """The cues as the pipeline runs them, and the same networks for the plain driver."""

    def __init__(self, video: list[Observation]) -> None:
        self.video = video
        self.networks: dict[str, Any] = {name: lively(name, seed) for seed, name in enumerate(CUES, 1)}
        path = self.networks["videogaze"].transformation_path
        torch.nn.init.constant_(path.final_linear.bias, 0.2)  # the gain must not be cut off at 0
        # Windows lie around their frame, so that every frame has its map; pictures are drawn as published.
        self.cues: dict[str, Any] = {
            "dave": Dave(self.networks["dave"], fps=FPS),
            "gaze360": Gaze360Cue(
                self.networks["gaze360"],
                mode="published",
                late_windows=False,
                list_position=False,
                face_box=False,
                height_as_mean=False,
            ),
            "videogaze": VideoGazeCue(
                self.networks["videogaze"], mode="published", filing="source", bgr=False
            ),
            "esr9": ESR9Cue(self.networks["esr9"], mode="published"),
        }
        self.maps: dict[str, list[Picture]] = {name: [] for name in CUES}
        stream = LogMelStream(RATE)
        self.examples = [stream.push(seen.sound).copy() for seen in video if seen.sound is not None]

    def push(self, name: str, frames: Sequence[Observation]) -> None:
        """The next frames through a cue."""
        self.maps[name] += [result.map for result in self.cues[name].push(frames)]

    def skip_dave(self, frames: Sequence[Observation]) -> None:
        """Frames that only have to be there for later windows of DAVE."""
        cue = self.cues["dave"]
        run, cue._run = cue._run, lambda windows, kept: torch.zeros(len(windows), 8, 8)
        self.push("dave", frames)
        cue._run = run

    def maps_of(self, k: int) -> list[Picture]:
        """What the fusion takes of a frame."""
        return [
            self.video[k].frame.image,
            *(self.maps[name][k] for name in ("dave", "esr9", "videogaze", "gaze360")),
        ]

    # The plain driver: one frame's map from its whole window.

    @torch.inference_mode()
    def plain_dave(self, k: int) -> Picture:
        cue, window = self.cues["dave"], range(k - WINDOW + 1, k + 1)
        clip = prepare_pictures([self.video[i] for i in window], cue._how, cue.device, cue.dtype)
        examples = torch.from_numpy(np.stack([self.examples[i] for i in window]))
        audio = examples.expand(1, 3, *examples.shape)
        saliency = self.networks["dave"](clip.transpose(0, 1)[None], audio).saliency[0, 0]
        return colour_jet(draw_dave(saliency.numpy()))

    def plain_gaze360(self, k: int) -> Picture:
        seen = self.video[k]
        angles = plain_gaze360(self.networks["gaze360"], self.video, [k])
        canvas = np.zeros_like(seen.frame.image)
        for face, angle in zip(seen.faces, angles, strict=True):
            direction = gaze_direction(torch.tensor(angle)).numpy()
            apex = (int(face.box.x1), int(face.box.y1))
            grey = plain_conic(*canvas.shape[:2], apex, direction, search_at_once)
            canvas = np.asarray(cv2.addWeighted(colour_jet(grey), 0.5, canvas, 0.5, 0), np.uint8)
        return canvas

    def plain_videogaze(self, k: int) -> Picture:
        followed = plain_videogaze(self.networks["videogaze"], self.video, [k])
        cue = self.cues["videogaze"]
        return draw_heatmaps([heatmap for *_, heatmap in followed], 20, self.video[k].grid, cue.quirks)

    def plain_esr9(self, k: int) -> Picture:
        seen = self.video[k]
        patches = [
            (face.box, aggregate(one.gradcam, one.classes, "sum"))
            for face, one in zip(seen.faces, plain_esr9(self.networks["esr9"], [seen]), strict=True)
        ]
        return draw_patches(seen, patches, self.cues["esr9"].quirks)


class Outcomes:
    """Processor seconds of both sides by name, and how far their results are apart."""

    def __init__(self) -> None:
        self.plain: dict[str, float] = {}
        self.quick: dict[str, float] = {}
        self.apart: dict[str, float] = {}

    def take(self, name: str, quick: Callable[[], Any], plain: Callable[[], Any]) -> tuple[Any, Any]:
        """What both give, their times added to those of ``name``."""
        seconds, one = timed(quick)
        self.quick[name] = self.quick.get(name, 0.0) + seconds
        seconds, other = timed(plain)
        self.plain[name] = self.plain.get(name, 0.0) + seconds
        return one, other

    def note(self, name: str, apart: float) -> None:
        """How far two results are apart."""
        self.apart[name] = max(self.apart.get(name, 0.0), apart)


def share_apart(one: Picture, other: Picture) -> float:
    """Share of the values that differ by more than one grey level, which is up to four of a colour."""
    assert np.ptp(other) > 0
    return float((np.abs(one.astype(int) - other) > 4).mean())


def measure(setting: Setting, frames: int) -> Outcomes:
    """Both sides in turns, ``frames`` times."""
    first = WINDOW + 1
    video = hear(make_video(setting))
    chain, outcomes = Chain(video), Outcomes()
    for name in CUES[1:]:
        chain.push(name, video[:first])
    chain.skip_dave(video[: first - 1])
    chain.push("dave", video[first - 1 : first])

    network, device = fusions.make("SequenceGASPDAMEncALSTMGMUConv"), torch.device("cpu")
    quick_fusion, plain_fusion = GaspFusion(network, device), fusions.PlainDriver(network, device)
    context = [chain.maps_of(j) for j in range(first - AHEAD - CONTEXT, first - AHEAD)]
    fuse, quick_fusion._fuse = quick_fusion._fuse, lambda windows, maps: [NOTHING] * len(windows)
    quick_fusion.step(context, [False] * CONTEXT)
    quick_fusion._fuse = fuse
    plain_fusion.skip(context)

    for k in range(first, first + frames):
        for name in CUES:
            # With frame k a cue gives the map of the frame as far behind as it looks ahead.
            j = k - chain.cues[name].future
            push = partial(chain.push, name, video[k : k + 1])
            _, plain = outcomes.take(name, push, partial(getattr(chain, f"plain_{name}"), j))
            outcomes.note(name, share_apart(chain.maps[name][j], plain))
        maps = chain.maps_of(k - AHEAD)
        (fused,), whole = outcomes.take(
            "fusion", partial(quick_fusion.step, [maps], [False]), partial(plain_fusion.step, maps)
        )
        outcomes.note("fusion", float(np.abs(fused.saliency - whole).max()))
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)

    setting = Setting(WINDOW + 1 + args.frames, args.faces, *args.size)
    machine = platform.processor() or platform.machine()
    print(f"torch {torch.__version__}, {machine}, {args.threads} thread(s), {setting}\n")
    outcomes = measure(setting, args.frames)
    print("| part | plain, s per frame | here, s per frame | times faster | goal | apart |")
    print("|---|---:|---:|---:|---:|---:|")
    rows = [*((name, [name], "") for name in (*CUES, "fusion"))]
    rows += [("four cues", [*CUES], "4"), ("four cues and fusion", [*CUES, "fusion"], "3")]
    for title, names, goal in rows:
        plain, quick = (
            sum(side[name] for name in names) / args.frames for side in (outcomes.plain, outcomes.quick)
        )
        apart = f"{outcomes.apart[title]:.1e}" if title in outcomes.apart else ""
        print(f"| {title} | {plain:.2f} | {quick:.2f} | {plain / quick:.1f} | {goal} | {apart} |")
    wrong = {
        name: apart for name, apart in outcomes.apart.items() if apart > (1e-4 if name == "fusion" else 0.01)
    }
    if wrong:
        parser.exit(1, f"results differ: {wrong}\n")


if __name__ == "__main__":
    main()
