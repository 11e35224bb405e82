"""Time per frame of the published saliency cues: streamed, beside the plain driver.

    python benchmarks/saliency_cues.py                      # all, one thread
    python benchmarks/saliency_cues.py dave --mode published --frames 8

The plain driver prepares and runs the whole window for every frame. Both run in turn, with the same weights and
frames, and must give the same values. With one thread the time is that of the processor (user and system), which
other programs disturb little; with more, and on a GPU, the time by the clock. Least of the frames after a full
window. In mode "published" the video is silent.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

import gasp
from gasp.cues.cue import PUBLISHED_CUES
from gasp.cues.observation import Observation
from gasp.cues.saliency import SaliencyCue, prepare_pictures
from gasp.video.frames import Frame

FPS, RATE, HEIGHT, WIDTH = 25, 16000, 360, 640
NAMES = ("dave", "stavis", "tased", "unisal", "vinet", "avinet")


def make_video(count: int, *, sound: bool) -> list[Observation]:
    """A blurred texture that drifts, with noise for sound if that is wanted."""
    generator = np.random.default_rng(0)
    texture = cv2.GaussianBlur(generator.random((HEIGHT, WIDTH + count, 3), np.float32), (0, 0), 8)
    texture = (255 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)
    seen = []
    for k in range(count):
        image = np.ascontiguousarray(texture[:, k : k + WIDTH])
        noise = 0.1 * generator.standard_normal(RATE // FPS).astype(np.float32) if sound else None
        frame = Frame(k, k / FPS, image)
        seen.append(Observation(frame, image, (90, 160), sound=noise, sound_rate=RATE, step=1 / FPS))
    return seen


class Plain:
    """Runs a cue's windows one by one: pictures prepared and the network run anew for each."""

    def __init__(self, cue: SaliencyCue[Any], network: nn.Module, seen: list[Observation]) -> None:
        self._cue, self._network, self._seen = cue, network, seen

    def run(self, k: int, window: list[int], sound: Any) -> np.ndarray:
        cue: Any = self._cue
        pictures = prepare_pictures([self._seen[i] for i in window], cue._how, cue.device, cue.dtype)
        if cue.name == "unisal":
            maps = self._network(pictures[None], source=cue._domain, target_size=cue._target).log_maps
            return np.asarray(maps[0, -1, 0].float().cpu())
        inputs = [pictures.transpose(0, 1)[None], *([] if sound is None else [sound])]
        return np.asarray(self._network(*inputs)[0].float().cpu().reshape(-1)).copy()


class Recorder:
    """Notes of a streamed cue which windows it ran, what it heard with them, and what came out."""

    def __init__(self, cue: SaliencyCue[Any]) -> None:
        self.outputs: list[np.ndarray] = []
        self.windows: list[tuple[int, list[int]]] = []
        self.heard: list[Any] = []
        self._cue: Any = cue
        self._wrap("_run", self._note_windows)
        self._wrap("_grey", lambda result, output, size: self.outputs.append(output))
        network = self._cue._network
        if hasattr(network, "embed_audio"):
            embed = network.embed_audio

            def hear(audio: Any) -> Any:
                self.heard.append(audio)
                return embed(audio)

            network.embed_audio = hear

    def _note_windows(
        self, result: object, windows: list[tuple[int, list[int]]], kept: dict[int, Any]
    ) -> None:
        self.windows.extend(windows)
        if self._cue.name == "dave" and self._cue.mode == "corrected":
            examples = np.stack([kept[i].example for i in windows[-1][1]])
            self.heard.append(torch.from_numpy(examples).expand(1, 3, *examples.shape))

    def _wrap(self, name: str, note: Callable[..., object]) -> None:
        method = getattr(self._cue, name)

        def noting(*arguments: Any) -> Any:
            result = method(*arguments)
            note(result, *arguments)
            return result

        setattr(self._cue, name, noting)


def measure(
    name: str, mode: str, frames: int, size: list[int] | None, device: str, clock: Callable[[], float]
) -> tuple[float, float, float]:
    """Milliseconds per frame of the plain driver and of the stream, and the largest difference of their values."""
    torch.manual_seed(0)
    network = gasp.create_model(name)
    options: dict[str, Any] = {"fps": FPS} if name in ("dave", "stavis", "avinet") else {}
    if size is not None and name in ("dave", "tased", "unisal", "vinet"):
        options["input_size"] = tuple(size)
    cue: Any = PUBLISHED_CUES[name].load()(network, device=device, mode=mode, batch=1, **options)
    length = {"dave": 16, "stavis": 16, "unisal": 12}.get(name, 32)
    # Published sound comes in blocks of a second, which would give the maps of a second at once.
    sound = mode == "corrected"
    first = length + (cue.future if sound else 0)
    seen = make_video(first + frames, sound=sound)
    # Until a window before the first that counts, the frames only have to be there.
    run, cue._run = cue._run, lambda windows, kept: torch.zeros(len(windows), 8, 8)
    cue.push(seen[: first - 2])
    cue._run = run
    recorder = Recorder(cue)
    cue.push(seen[first - 2 : first])
    plain = Plain(cue, cue._network, seen)
    streamed, whole, apart = [], [], 0.0
    with torch.inference_mode():
        for k in range(first, len(seen)):
            done = len(recorder.outputs)
            start = clock()
            cue.push([seen[k]])
            streamed.append(clock() - start)
            assert len(recorder.outputs) == done + 1
            heard = recorder.heard[-1] if recorder.heard else None
            start = clock()
            output = plain.run(*recorder.windows[-1], heard)
            whole.append(clock() - start)
            apart = max(apart, float(np.abs(output.ravel() - recorder.outputs[-1].ravel()).max()))
    return 1000 * min(whole), 1000 * min(streamed), apart


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cues", nargs="*", choices=[*NAMES, []], help="names of cues (default: all)")
    parser.add_argument("--mode", choices=["corrected", "published"], default="corrected")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument(
        "--input-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="where it may vary"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    by_clock = args.threads > 1 or args.device != "cpu"

    def now() -> float:
        if args.device != "cpu":
            torch.cuda.synchronize(args.device)
        return time.perf_counter() if by_clock else time.process_time()

    where = torch.cuda.get_device_name(args.device) if args.device != "cpu" else platform.processor()
    print(
        f"torch {torch.__version__}, {where or platform.machine()}, {args.threads} thread(s), {args.mode}\n"
    )
    print("| cue | plain, ms per frame | streamed, ms per frame | ratio | largest difference |")
    print("|---|---:|---:|---:|---:|")
    for name in args.cues or NAMES:
        plain, streamed, apart = measure(name, args.mode, args.frames, args.input_size, args.device, now)
        print(f"| {name} | {plain:.0f} | {streamed:.0f} | {plain / streamed:.2f} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
