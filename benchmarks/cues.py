"""How much faster the published cues are than a plain driver that follows their description word by word.

python benchmarks/cues.py                        # every cue, one thread
python benchmarks/cues.py gaze360 conic --frames 12 --faces 2 --size 720 1280

Both sides have the same made-up weights and see the same made-up video in the same run. The plain driver computes the
whole window anew for every frame, one face after the other, and builds every picture from its definition. Times are
processor time of this process, so that others on the machine do not count. A case ends with an error where the results
differ by more than 1e-4 (drawn pictures: by more than one grey level).
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree
from torch import Tensor

import gasp
from gasp.cues.conic import cone_points, published_field, to_grey
from gasp.cues.crops import as_batch, crop_face, crop_head, head_box
from gasp.cues.cue import Cue, CueResult
from gasp.cues.esr9 import ESR9Cue, read_expressions
from gasp.cues.gaze360 import Gaze360Cue, draw_gazes, normalise
from gasp.cues.observation import Observation
from gasp.cues.videogaze import VideoGazeCue
from gasp.faces.face import Box, Face
from gasp.networks.esr9 import ESR9, ESR9Output
from gasp.networks.gaze360 import Gaze360, gaze_direction
from gasp.networks.videogaze import CELLS, VideoGaze, gaze_cone
from gasp.video.frames import Frame

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Setting:
    """What is measured on."""

    frames: int
    faces: int
    height: int
    width: int


@dataclass
class Outcome:
    """Seconds of the plain and of the quick way, and the largest difference of their results."""

    plain: float = 0.0
    quick: float = 0.0
    difference: float = 0.0
    tolerance: float = 1e-4

    def compare(self, plain: Any, quick: Any) -> None:
        """Take one result of both."""
        difference = np.abs(np.asarray(plain, np.float64) - np.asarray(quick, np.float64))
        self.difference = max(self.difference, float(difference.max(initial=0)))


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and what it gave."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def least(call: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Least processor seconds of a call that is made several times, and what it gave."""
    runs = [timed(call) for _ in range(times)]
    return min(seconds for seconds, _ in runs), runs[0][1]


def lively(name: str, seed: int) -> torch.nn.Module:
    """A network with random weights that keep the strength of signals, so that outputs depend on inputs."""
    torch.manual_seed(seed)
    network: torch.nn.Module = gasp.create_model(name)
    for weight in network.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=(1.4 / weight[0].numel()) ** 0.5)
    return network


def make_video(setting: Setting, seed: int = 0) -> list[Observation]:
    """A smooth moving picture with faces that move over it."""
    rng = np.random.default_rng(seed)
    height, width = setting.height, setting.width
    wide = cv2.resize(
        rng.integers(0, 256, (12, 40, 3), np.uint8), (2 * width, height), interpolation=cv2.INTER_CUBIC
    )
    side = height // 4
    video = []
    for k in range(setting.frames):
        image = np.ascontiguousarray(wide[:, 8 * k : 8 * k + width])
        lefts = [
            (60 + 5 * k + i * width // max(2, setting.faces)) % (width - side) for i in range(setting.faces)
        ]
        faces = [
            Face(i + 1, Box(x, 30 + 9 * i, x + side, 30 + 9 * i + side), 0.9) for i, x in enumerate(lefts)
        ]
        small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
        video.append(Observation(Frame(k, k / 25, image), small, (60, 80), faces))
    return video


def around(k: int, frames: int) -> list[int]:
    """The seven frames around frame ``k``, the video's ends being repeated."""
    return [min(max(j, 0), frames - 1) for j in range(k - 3, k + 4)]


def run_cue(cue: Cue, video: Sequence[Observation], batch: int = 4) -> list[CueResult]:
    """All results of a cue, frames pushed in groups as the pipeline does."""
    results = []
    for start in range(0, len(video), batch):
        results += cue.push(video[start : start + batch])
    return [*results, *cue.finish()]


def found(results: Sequence[CueResult], *keys: str) -> list[list[float]]:
    """What a cue found, one row per face."""
    return [[float(said[key]) for key in keys] for result in results for said in result.found.values()]


# --- Gaze360 ---------------------------------------------------------------------------------------------------------


def gaze360(setting: Setting) -> Outcome:
    """Seven crops per face and frame through the whole network; without the drawing, which is the case "conic"."""
    network = lively("gaze360", seed=1)
    assert isinstance(network, Gaze360)
    video, outcome = make_video(setting), Outcome()
    cue = Gaze360Cue(network)
    plain_seconds, plain = timed(lambda: plain_gaze360(network, video))
    cue_seconds, results = timed(lambda: run_cue(cue, video))
    drawing, _ = timed(lambda: draw_again(cue, video, results))
    outcome.plain, outcome.quick = plain_seconds, cue_seconds - drawing
    outcome.compare(plain, np.deg2rad(found(results, "gaze_yaw", "gaze_pitch")))
    return outcome


@torch.inference_mode()
def plain_gaze360(
    network: Gaze360, video: Sequence[Observation], frames: Sequence[int] | None = None
) -> list[list[float]]:
    angles = []
    for k in range(len(video)) if frames is None else frames:
        for i in range(len(video[k].faces)):
            crops = []
            for j in around(k, len(video)):
                box = head_box(video[j].faces[i].box)
                crop = None if box is None else crop_head(video[j].frame.image, box, 224)
                assert crop is not None
                crops.append(as_batch([crop], torch.device("cpu"), torch.float32))
            window = normalise(torch.cat(crops), height_as_mean=False)
            angles.append(network(window[None]).angles[0].tolist())
    return angles


def draw_again(cue: Gaze360Cue, video: Sequence[Observation], results: Sequence[CueResult]) -> None:
    for seen, result in zip(video, results, strict=True):
        angles = [torch.deg2rad(torch.tensor(row)) for row in found([result], "gaze_yaw", "gaze_pitch")]
        directions = [gaze_direction(a).numpy() for a in angles]
        draw_gazes(seen, list(zip(seen.faces, directions, strict=True)), cue.quirks)


# --- the conic field -------------------------------------------------------------------------------------------------


def conic(setting: Setting) -> Outcome:
    """One search in the tree of all points per pixel, pixel after pixel; pictures of a third of the size."""
    return compare_fields(setting.height // 3, setting.width // 3, search_by_pixel)


def conic_tree(setting: Setting) -> Outcome:
    """One call of scipy's tree for all pixels."""
    return compare_fields(setting.height, setting.width, search_at_once, times=3)


def search_at_once(tree: cKDTree, at: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(tree.query(at)[1])


def search_by_pixel(tree: cKDTree, at: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.array([tree.query(pixel)[1] for pixel in at])


def compare_fields(
    height: int,
    width: int,
    search: Callable[[cKDTree, NDArray[np.float64]], NDArray[np.int64]],
    faces: int = 3,
    times: int = 1,
) -> Outcome:
    outcome = Outcome(tolerance=1)
    rng = np.random.default_rng(2)
    for _ in range(faces):
        direction = rng.standard_normal(3).astype(np.float32)
        direction /= np.linalg.norm(direction)
        apex = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        seconds, plain = least(lambda a=apex, d=direction: plain_conic(height, width, a, d, search), times)
        outcome.plain += seconds
        seconds, quick = least(lambda a=apex, d=direction: to_grey(published_field(height, width, a, d)))
        outcome.quick += seconds
        # A pixel exactly between two points may take either.
        far = np.abs(plain.astype(int) - quick) > 1
        if far.mean() > 0.01:
            raise SystemExit(f"conic: {far.mean():.1%} of the pixels differ by more than one grey level")
        outcome.compare(plain[~far], quick[~far])
    return outcome


def plain_conic(
    height: int,
    width: int,
    apex: tuple[int, int],
    direction: NDArray[np.float32],
    search: Callable[[cKDTree, NDArray[np.float64]], NDArray[np.int64]],
) -> Picture:
    points = cone_points(apex, direction)
    x, y = np.meshgrid(np.linspace(0, width, width), np.linspace(0, height, height))
    nearest = search(cKDTree(points[:2].T), np.stack([x.ravel(), y.ravel()], 1))
    depth = points[2][nearest].reshape(height, width).astype(np.float64)
    for axis in (0, 1):
        depth = np.trunc(gaussian_filter1d(depth, 6, axis=axis, mode="reflect"))
    return to_grey(depth.astype(np.float32))


# --- VideoGaze -------------------------------------------------------------------------------------------------------


def videogaze(setting: Setting) -> Outcome:
    """Seven rows of all four stacks per face and frame, and the cone cell by cell."""
    network = lively("videogaze", seed=3)
    assert isinstance(network, VideoGaze)
    torch.nn.init.constant_(
        network.transformation_path.final_linear.bias, 0.2
    )  # the gain must not be cut off at 0
    video, outcome = make_video(setting), Outcome()
    outcome.plain, plain = timed(lambda: plain_videogaze(network, video))
    kept: list[Any] = []
    cue = VideoGazeCue(network, filing="source")
    follow = cue._follow
    cue._follow = lambda windows: [kept.extend(f) or f for f in follow(windows)]  # type: ignore[func-returns-value, method-assign]
    outcome.quick, _ = timed(lambda: run_cue(cue, video))
    for (target, in_frame, heatmap), one in zip(plain, kept, strict=True):
        outcome.compare([target, in_frame], [one.target, one.in_frame])
        outcome.compare(heatmap, one.heatmap)
    return outcome


@torch.inference_mode()
def plain_videogaze(
    network: VideoGaze, video: Sequence[Observation], frames: Sequence[int] | None = None
) -> list[tuple[int, float, NDArray[np.float32]]]:
    results = []
    for k in range(len(video)) if frames is None else frames:
        seen = video[k]
        height, width = seen.frame.image.shape[:2]
        for face in seen.faces:
            window = around(k, len(video))
            crop = crop_face(seen.frame.image, face.box, 227)
            assert crop is not None
            source = as_tensor([cv2.resize(seen.frame.image, (227, 227))] * 7)
            target = as_tensor([cv2.resize(video[j].frame.image, (227, 227)) for j in window])
            x, y = face.box.centre
            eyes = torch.tensor([[x / width, y / height]]).expand(7, 2)
            scene, frame = network.encode_scene(source), network.encode_frame(target)
            head = network.encode_head(as_tensor([crop] * 7))
            transformation = network.relate(scene, frame.scene)
            cone = transformation.gain[:, None] * plain_cone(transformation, head, eyes)
            selection = network.sigmoid1(torch.cat([frame.saliency, cone], 1)).relu()
            in_frame = network.sigmoid2(selection).sigmoid()[:, 0]
            heatmaps = network.heatmap_logits(cone, frame.saliency).softmax(1)
            best = int(in_frame.argmax())
            results.append((window[best], float(in_frame[best]), heatmaps[best].view(20, 20).numpy()))
    return results


def plain_cone(transformation: Any, head: Tensor, eyes: Tensor) -> Tensor:
    direction, aperture = gaze_cone(head)
    cone = torch.empty(len(head), CELLS * CELLS)
    first, second = transformation.rotation[:, :, 0], transformation.rotation[:, :, 1]
    origin = transformation.translation - torch.nn.functional.pad(eyes, (0, 1))
    for i in range(CELLS):
        for j in range(CELLS):
            q = (i - 6) / 6 * first + (j - 6) / 6 * second + origin
            cone[:, CELLS * i + j] = (direction * q).sum(1) ** 2 - aperture * (q * q).sum(1)
    return cone


def as_tensor(pictures: Sequence[Picture]) -> Tensor:
    return as_batch(pictures, torch.device("cpu"), torch.float32)


# --- ESR-9 -----------------------------------------------------------------------------------------------------------


def esr9(setting: Setting) -> Outcome:
    """One pass for the votes, then base and branch again with a backward pass for the Grad-CAM of every branch."""
    network = lively("esr9", seed=4)
    assert isinstance(network, ESR9)
    video, outcome = make_video(setting), Outcome()
    outcome.plain, plain = timed(lambda: plain_esr9(network, video))
    kept: list[Any] = []
    cue = ESR9Cue(network, mode="published", frame_size=False)
    read = cue._read
    cue._read = lambda crops: [kept.append(e) or e for e in read(crops)]  # type: ignore[func-returns-value, method-assign]
    outcome.quick, _ = timed(lambda: run_cue(cue, video))
    for one, other in zip(plain, kept, strict=True):
        outcome.compare(one.classes, other.classes)
        outcome.compare(one.affect, other.affect)
        outcome.compare(one.gradcam, other.gradcam)
    return outcome


def plain_esr9(network: ESR9, video: Sequence[Observation]) -> list[Any]:
    results = []
    for seen in video:
        for face in seen.faces:
            crop = crop_face(seen.frame.image, face.box, 96)
            assert crop is not None
            batch = as_tensor([crop])
            output = network(batch)
            cams = [plain_gradcam(network, batch, b, int(output.emotions[0, b].argmax())) for b in range(9)]
            results += read_expressions(
                ESR9Output(output.emotions.detach(), output.affect.detach(), torch.stack(cams)[None])
            )
    return results


def plain_gradcam(network: ESR9, batch: Tensor, branch: int, winner: int) -> Tensor:
    member = network.branches[branch]
    maps = network.base(batch)
    for i in (1, 2, 3, 4):
        norm = getattr(member, f"bn{i}")
        # The statistics of a batch of this one face, as published.
        maps = torch.nn.functional.batch_norm(
            getattr(member, f"conv{i}")(maps), None, None, norm.weight, norm.bias, training=True, eps=norm.eps
        ).relu()
        if i == 2:
            maps = torch.nn.functional.max_pool2d(maps, 2)
    maps.retain_grad()
    network.zero_grad()
    member.fc(maps.mean((2, 3)))[0, winner].backward()
    assert maps.grad is not None
    cam = (maps.grad.mean((2, 3), keepdim=True) * maps).sum(1)[0].detach()
    return cam - cam.min()


CASES: dict[str, tuple[float, Callable[[Setting], Outcome]]] = {
    "gaze360": (6.0, gaze360),
    "videogaze": (8.0, videogaze),
    "esr9": (9.0, esr9),
    "conic": (10.0, conic),
    "conic-tree": (10.0, conic_tree),
}
"""By name: how many times faster it is to be, and what measures it."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", help=f"which (default: all of {', '.join(CASES)})")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if unknown := set(args.cases) - set(CASES):
        parser.error(f"unknown case {', '.join(unknown)}; there are {', '.join(CASES)}")
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)

    setting = Setting(args.frames, args.faces, *args.size)
    machine = platform.processor() or platform.machine()
    print(f"torch {torch.__version__}, {machine}, {args.threads} thread(s), {setting}\n")
    print("| case | plain, s | here, s | times faster | goal | largest difference |")
    print("|---|---:|---:|---:|---:|---:|")
    failed = []
    for name in args.cases or CASES:
        goal, measure = CASES[name]
        outcome = measure(setting)
        ratio = outcome.plain / outcome.quick
        seconds = f"{outcome.plain:.2f} | {outcome.quick:.2f} | {ratio:.1f}"
        print(f"| {name} | {seconds} | {goal:g} | {outcome.difference:.1e} |", flush=True)
        if not outcome.difference <= outcome.tolerance:
            failed.append(f"{name}: results differ by {outcome.difference:.1e}")
    if failed:
        parser.exit(1, "\n".join(failed) + "\n")


if __name__ == "__main__":
    main()
