"""What faces look at: gaze following over windows of seven frames, drawn as heat maps.

The published cue is that of GASP (Abawi et al., IJCAI 2021); the network is that of Recasens et al., "Following Gaze
in Video", ICCV 2017.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp.cues.crops import as_batch, crop_face, whole_pixels
from gasp.cues.cue import Cue, CueResult
from gasp.cues.face_windows import buffered_window
from gasp.cues.observation import Observation
from gasp.cues.quirks import choose_quirks
from gasp.cues.saliency import Mode, check_choice, colour_jet, resize
from gasp.cues.windows import Plan, Windows, window_around
from gasp.faces.face import Face
from gasp.networks.videogaze import SIZE, FrameFeatures, VideoGaze

log = logging.getLogger(__name__)

WINDOW = 7
MIDDLE = 3
BATCH = 32
"""Pictures that a stack of convolutions sees at once, which bounds memory."""

Filing = Literal["gathered", "source", "published"]


@dataclass(frozen=True, slots=True)
class VideoGazeQuirks:
    """What the published pipeline does (True) and what was meant (False); its weights for GASP know the former.

    ``bgr``: pictures go into the network with red and blue exchanged.
    ``wraps``: 255 times the sum of the heatmaps is taken modulo 256, so that the brightest places turn dark; otherwise
    a sum that exceeds 1 is divided by its maximum.
    ``softmax``: a heatmap is the network's softmax, which is seldom peaked; otherwise its scores (the logarithm),
    scaled to 0..1, so that all faces have the same contrast.
    ``coloured_first``: maps are 20 x 20 cells in colour, whose colours mix when the map is enlarged; otherwise the
    values are enlarged to the grid of maps, and coloured then.
    """

    bgr: bool
    wraps: bool
    softmax: bool
    coloured_first: bool


class Followed(NamedTuple):
    """Where a face looks.

    ``face``: the face, in the window's source frame. ``target``: the window's frame (its number) that most probably
    holds what is looked at, the earliest of equals. ``in_frame``: that probability. ``heatmap``: where in that frame,
    (20, 20), sums to one.
    """

    face: Face
    target: int
    in_frame: float
    heatmap: NDArray[np.float32]


class VideoGazeCue(Cue):
    """Modality ``videogaze``: draws what faces look at.

    For every face of the middle frame of a window, the window's frame that most probably holds what is looked at gets
    the face's heatmap. Says of faces ``gaze_in_frame`` (0..1: the probability that the target is in that frame),
    and its place ``gaze_target_x`` and ``gaze_target_y`` in source pixels.

    ``network``: a :class:`~gasp.networks.videogaze.VideoGaze` with weights. ``filing``: which heatmaps a frame's map
    holds: "gathered": those of all windows that chose this frame, the video's ends being repeated (default in mode
    "corrected"); "source": those of the frame's own faces, whatever frame they chose; "published": those of the window
    in which the published pipeline saw the frame first, in which it is the last, so that only faces three frames
    earlier count. There the first frames see windows that are filled up behind them, and the last nine frames have
    no map. ``quirks``: fields of :class:`VideoGazeQuirks` that are to differ from the ``mode``. A face for which the
    network gives values that are not numbers is left out and counted in ``failures``.

    A frame goes through the stacks of convolutions once, so does a face; how two frames lie to each other is asked once
    for all faces.
    """

    name = "videogaze"
    needs_saliency = False

    def __init__(
        self,
        network: VideoGaze,
        *,
        device: str | torch.device = "cpu",
        mode: Mode = "corrected",
        filing: Filing | None = None,
        **quirks: bool,
    ) -> None:
        self.quirks = choose_quirks(VideoGazeQuirks, mode, quirks)
        self.filing: Filing = filing or ("published" if mode == "published" else "gathered")
        check_choice("filing", self.filing, get_args(Filing))
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self._plan = _published_plan() if self.filing == "published" else window_around(WINDOW, MIDDLE)
        # A map waits until its frame is the first of a window.
        self._lag = 0 if self.filing == "source" else MIDDLE
        self.past = self._plan.past + self._lag
        if self.filing == "published":
            # The first seven frames have windows of their own, also where the work begins in the middle of a video.
            self.past = WINDOW
        self.future = self._plan.future + self._lag
        self._windows: Windows[Observation] = Windows(self._plan)
        self._features: dict[int, FrameFeatures] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._count = 0

    @torch.inference_mode()
    def push(self, observations: Sequence[Observation]) -> list[CueResult]:
        """The maps that are complete with these next frames, RGB uint8 (h, w, 3), and what faces look at."""
        for observation in observations:
            self._windows.add(observation)
            self._waiting[self._count] = _Waiting(observation.grid)
            self._count += 1
        return self._draw_complete(ended=False)

    @torch.inference_mode()
    def finish(self) -> list[CueResult]:
        """The maps of the frames that still wait."""
        return self._draw_complete(ended=True)

    def _draw_complete(self, *, ended: bool) -> list[CueResult]:
        complete = list(self._windows.complete(ended=ended))
        seen = [
            (number, window)
            for number, window in complete
            if self.filing != "published" or self._plan.needs(number) < self._count
        ]
        self._encode_frames([frame for _, window in seen for frame in window])
        for (number, window), followed in zip(seen, self._follow([w for _, w in seen]), strict=True):
            self._file(number, window[MIDDLE], followed)
        self._windows.forget()
        self._features = {k: f for k, f in self._features.items() if k in self._windows.items}
        ready = [k for k in self._waiting if ended or (complete and k <= complete[-1][0] - self._lag)]
        return [self._draw(self._waiting.pop(k)) for k in ready]

    def _file(self, number: int, source: int, followed: list[Followed]) -> None:
        """Give the heatmaps of the window that belongs to frame ``number`` to the frames that are to show them, and
        what was found to the ``source`` frame, to which the faces belong.
        """
        self._waiting[number].seen = True
        for one in followed:
            self._waiting[source].found[one.face.track_id] = self._describe(one)
            shown_in = number if self.filing == "source" else one.target
            if self.filing != "published" or one.target == number:
                self._waiting[shown_in].heatmaps.append(one.heatmap)

    def _draw(self, waiting: _Waiting) -> CueResult:
        if not waiting.seen:
            return CueResult(np.zeros((*waiting.grid, 3), np.uint8), waiting.found)
        drawn = draw_heatmaps(waiting.heatmaps, self.network.side, waiting.grid, self.quirks)
        return CueResult(drawn, waiting.found)

    def _encode_frames(self, numbers: list[int]) -> None:
        new = [k for k in dict.fromkeys(numbers) if k not in self._features]
        for start in range(0, len(new), BATCH):
            some = new[start : start + BATCH]
            pictures = [resize(self._windows.items[k].frame.image, SIZE, SIZE) for k in some]
            features = self.network.encode_frame(self._inputs(pictures))
            for i, k in enumerate(some):
                self._features[k] = FrameFeatures(*(f[i : i + 1] for f in features))

    def _follow(self, windows: list[list[int]]) -> list[list[Followed]]:
        """Where the faces of the middle frame of every window look."""
        faces, crops = [], []
        for i, window in enumerate(windows):
            source = self._windows.items[window[MIDDLE]]
            for face in source.faces:
                box = whole_pixels(face.box)
                crop = None if box is None else crop_face(source.frame.image, box, SIZE)
                if crop is not None:
                    faces.append((i, face))
                    crops.append(crop)
        heads = [
            self.network.encode_head(self._inputs(crops[start : start + BATCH]))
            for start in range(0, len(crops), BATCH)
        ]
        followed: list[list[Followed]] = [[] for _ in windows]
        if not faces:
            return followed
        head = torch.cat(heads)
        for i in dict.fromkeys(i for i, _ in faces):
            rows = [row for row, (j, _) in enumerate(faces) if j == i]
            followed[i] = self._follow_window(windows[i], [faces[row][1] for row in rows], head[rows])
        return followed

    def _follow_window(self, window: list[int], faces: list[Face], heads: Tensor) -> list[Followed]:
        candidates = list(dict.fromkeys(window))
        source = self._windows.items[window[MIDDLE]].frame
        eyes = torch.tensor(
            [_middle(face, source.height, source.width) for face in faces],
            device=self.device,
            dtype=heads.dtype,
        )
        features = [self._features[k] for k in candidates]
        targets = FrameFeatures(*(torch.cat(parts) for parts in zip(*features, strict=True)))
        scene = self._features[window[MIDDLE]].scene.expand(len(candidates), -1, -1, -1)
        transformation = self.network.relate(scene, targets.scene)
        # One row per face and candidate, the candidates of a face together.
        by_face = torch.arange(len(candidates), device=self.device).repeat(len(faces))
        by_candidate = torch.arange(len(faces), device=self.device).repeat_interleave(len(candidates))
        output = self.network.look(
            type(transformation)(*(part[by_face] for part in transformation)),
            targets.saliency[by_face],
            heads[by_candidate],
            eyes[by_candidate],
        )
        in_frame = output.in_frame.float().cpu().numpy().reshape(len(faces), -1)
        heatmaps = (
            output.heatmap.float()
            .cpu()
            .numpy()
            .reshape(len(faces), len(candidates), *output.heatmap.shape[1:])
        )
        return [
            Followed(face, candidates[best], float(probabilities[best]), maps[best])
            for face, probabilities, maps in zip(faces, in_frame, heatmaps, strict=True)
            if self._finite(probabilities, maps)
            for best in [int(probabilities.argmax())]
        ]

    def _finite(self, *values: NDArray[np.float32]) -> bool:
        if all(np.isfinite(v).all() for v in values):
            return True
        if not self.failures:
            log.warning("videogaze gave values that are not numbers: that face is left out")
        self.failures += 1
        return False

    def _describe(self, one: Followed) -> dict[str, float | str]:
        frame = self._windows.items[one.target].frame
        rows, columns = one.heatmap.shape
        row, column = np.unravel_index(int(one.heatmap.argmax()), one.heatmap.shape)
        return {
            "gaze_in_frame": one.in_frame,
            "gaze_target_x": float((column + 0.5) * frame.width / columns),
            "gaze_target_y": float((row + 0.5) * frame.height / rows),
        }

    def _inputs(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        batch = as_batch(pictures, self.device, next(self.network.parameters()).dtype)
        return batch.flip(1) if self.quirks.bgr else batch


class _Waiting:
    """What is known of a frame: its ``grid``, whether its window was ``seen``, the ``heatmaps`` so far, and what was
    ``found`` of its faces.
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid
        self.seen = False
        self.heatmaps: list[NDArray[np.float32]] = []
        self.found: dict[int, dict[str, float | str]] = {}


def draw_heatmaps(
    heatmaps: Sequence[NDArray[np.float32]], side: int, grid: tuple[int, int], quirks: VideoGazeQuirks
) -> NDArray[np.uint8]:
    """The map of a frame, RGB uint8, from the heatmaps (``side``, ``side``) that are filed under it.

    Its shape is (``side``, ``side``, 3) with ``coloured_first``, else ``grid``; blue where nobody looks.
    """
    total = np.zeros((side, side), np.float32)
    for heatmap in heatmaps:
        total += heatmap if quirks.softmax else _scores(heatmap)
    if not quirks.wraps:
        total /= max(1.0, float(total.max()))
    if not quirks.coloured_first:
        total = resize(total, *grid)
    return colour_jet((255 * total).astype(np.int64).astype(np.uint8))


def _scores(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    """A softmax's scores scaled to 0..1; zeros where all are equal."""
    scores = np.log(np.maximum(heatmap, np.finfo(np.float32).tiny))
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def _middle(face: Face, height: int, width: int) -> tuple[float, float]:
    """The middle of a face's box, in whole pixels, as fractions of the frame's width and height."""
    x, y = (whole_pixels(face.box) or face.box).centre
    return x / width, y / height


def _published_plan() -> Plan:
    """The window in which the published pipeline saw a frame first."""

    def step(k: int) -> int:
        return k if k < WINDOW else k + 9

    return Plan(lambda k: buffered_window(step(k), WINDOW), step, past=WINDOW - 1, future=9)
