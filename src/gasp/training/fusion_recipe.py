"""Recipe ``default-fusion``: trains a compact GASP network on moving clips made from still pictures.

No eye-tracking set of videos may be used for weights that are passed on, so clips are made: a camera pans
and zooms over a picture with recorded fixations, which move along. What a still picture cannot show is
simulated by a stated prior (:class:`VideoPrior`): a speaker draws more looks than other people (Foulsham et al.,
Cognition 2010; Coutrot and Guyader, Journal of Vision 2014), and so does what moves (Mital et al., Cognitive
Computation 2011). The cue maps are drawn by the same functions as at prediction. The network corrects the map of
the saliency network (:mod:`gasp.fusion.correction`); modalities are left out at random, so that it can do without
any of them. Where that map is there, the truth is the map times the prior's rise; where it is left out, the recorded
density times the rise.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.config.recipes import FusionRecipe, VideoPrior
from gasp.cues.drawing import draw_on_faces
from gasp.cues.faces import draw_faces
from gasp.cues.image_saliency import draw_saliency
from gasp.cues.speaking import Speaking
from gasp.datasets.images import Picture
from gasp.faces.face import Box, Face
from gasp.faces.glance_reader import GlanceReader, working_size
from gasp.fusion.correction import log_of_map
from gasp.fusion.inputs import normalise_maps, stack_maps
from gasp.networks import create_model
from gasp.networks.gasp import GASP
from gasp.training import losses
from gasp.training.augment import View, random_colour, random_view, whole_view
from gasp.training.glance_recipe import count_points
from gasp.training.steps import StepData, fit_steps
from gasp.weights.preprocessing import preprocessing_2021
from gasp.work.progress import Report

log = logging.getLogger(__name__)

MODALITIES = ("captured", "glance", "faces", "speaking", "motion")
CORRECTS = "glance"
"""The modality whose map the network corrects, see :mod:`gasp.fusion.correction`."""
NETWORK = "SequenceGASPEncGMUALSTMConv"
"""Without directed attention, which scales each modality by all others: what a cue contributes could not be told apart
cheaply (:mod:`gasp.fusion.contributions`)."""
OPTIONS: dict[str, Any] = {
    "modalities": len(MODALITIES),
    "sequence_len": 4,
    "encoder_widths": [8, 12, 12, 12, 8],
    "latent_channels": 8,
    "activation": "relu",
}
PREPROCESSING = preprocessing_2021(height=96, width=128)


@dataclass(frozen=True, slots=True)
class Scene:
    """A view of a picture with what stage 1 found in it, from which clips are made.

    ``image`` RGB uint8 at working size; ``log_saliency`` on its grid; ``density`` of the same size as the grid;
    ``x``, ``y`` fixations in pixels of ``image``; ``faces`` boxes in the same.
    """

    image: NDArray[np.uint8]
    log_saliency: NDArray[np.float32]
    density: NDArray[np.float32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    faces: list[Face]


def make_scenes(pictures: Sequence[Picture], reader: GlanceReader, recipe: FusionRecipe) -> list[Scene]:
    """``recipe.views`` scenes per picture: the whole picture and random crops of it."""
    rng = np.random.default_rng(recipe.seed)
    scenes = []
    for picture in pictures:
        height, width = picture.image.shape[:2]
        views = [whole_view(height, width, *working_size(height, width))]
        for _ in range(recipe.views - 1):
            size = working_size(9, 16) if rng.random() < 0.6 else working_size(3, 4)
            views.append(random_view(rng, height, width, *size, zoom=(1.0, 3.0), whole=0.0))
        images = [random_colour(rng, view.warp(picture.image, fill=114)) for view in views]
        for view, image, glimpse in zip(views, images, reader.read(images, least_score=0.4), strict=True):
            density = cv2.resize(
                view.warp(picture.density), glimpse.saliency.shape[::-1], interpolation=cv2.INTER_AREA
            )
            if density.sum() < 0.2 * picture.density.sum() * np.prod(density.shape) / np.prod(
                image.shape[:2]
            ):
                continue
            faces = [Face(k + 1, found.box, found.score) for k, found in enumerate(glimpse.faces)]
            x, y = view.points(picture.x, picture.y)
            scenes.append(Scene(image, glimpse.saliency, np.asarray(density, np.float32), x, y, faces))
    return scenes


class ClipBatches:
    """The batch of clips of every step, drawn at random from ``scenes`` with the recipe's seed."""

    def __init__(self, scenes: Sequence[Scene], recipe: FusionRecipe) -> None:
        self.scenes = scenes
        self.recipe = recipe

    def make(self, step: int) -> dict[str, Tensor]:
        """The batch of a step, one entry per key of :func:`make_clip`."""
        rng = np.random.default_rng([self.recipe.seed, step])
        chosen = rng.integers(len(self.scenes), size=self.recipe.batch)
        clips = [make_clip(self.scenes[i], rng, self.recipe, OPTIONS["sequence_len"]) for i in chosen]
        return {key: torch.from_numpy(np.stack([clip[key] for clip in clips])) for key in clips[0]}


def make_clip(
    scene: Scene, rng: np.random.Generator, recipe: FusionRecipe, length: int
) -> dict[str, NDArray]:
    """A clip of T = ``length`` frames.

    ``inputs`` uint8 (T, K, H, W); ``density`` and ``fixations`` (1, H / 2, W / 2) of the last frame;
    ``weight`` of the clip in the loss.
    """
    still = rng.random() < recipe.still
    views = [_still_view(scene)] * length if still else _camera(scene, rng, length)
    action = None if still else _Action.draw(scene, rng, length)
    frames = [_draw_frame(scene, view, action, t) for t, view in enumerate(views[:1] if still else views)]
    frames = frames * length if still else frames
    absent = rng.random(len(MODALITIES)) < recipe.absent
    for channel in np.flatnonzero(np.repeat(absent, 3)):
        for frame in frames:
            frame[channel] = 0
    height, width = PREPROCESSING.height // 2, PREPROCESSING.width // 2
    fine = View(views[-1].matrix * 0.5, height, width)
    density: NDArray[np.floating]
    fixations: NDArray[np.floating]
    alone = bool(absent[MODALITIES.index(CORRECTS)])
    if alone:
        density = np.clip(View(_from_grid(fine, scene), height, width).warp(scene.density), 0, None)
        fixations = count_points(*fine.points(scene.x, scene.y), height, width)
    else:
        # On pictures that it learnt from, the saliency network is surer than it may be elsewhere: taught by their
        # fixations, the fusion would learn to exaggerate. So it learns to leave that map as it is, but for the rise.
        density = fixations = _corrected(torch.from_numpy(frames[-1][None, None])).exp()[0, 0].numpy()
    if action is not None:
        rise = _rise(scene, fine, action, recipe.prior)
        density, fixations = density * rise, fixations * rise
    return {
        "inputs": np.stack(frames),
        "density": (density / max(density.sum(), 1e-12))[None].astype(np.float32),
        "fixations": fixations[None].astype(np.float32),
        "weight": np.float32(recipe.alone_weight if alone else 1.0),
    }


def _still_view(scene: Scene) -> View:
    return whole_view(scene.image.shape[0], scene.image.shape[1], PREPROCESSING.height, PREPROCESSING.width)


def _camera(scene: Scene, rng: np.random.Generator, length: int) -> list[View]:
    """Views of a slow pan and zoom inside the scene; half of the time the camera stands still."""
    base = _still_view(scene)
    moving = rng.random() < 0.5
    zoom = rng.uniform(1.0, 1.25) * np.exp(np.linspace(0, rng.normal(0, 0.04) if moving else 0, length))
    zoom = np.maximum(zoom, 1.0)
    slack = (zoom - 1) / 2
    start, drift = rng.uniform(-1, 1, 2), rng.normal(0, 0.3, 2) if moving else np.zeros(2)
    flip = rng.random() < 0.5
    views = []
    for t in range(length):
        place = np.clip(start + drift * t / length, -1, 1) * slack[t]
        matrix = base.matrix * zoom[t]
        matrix[0, 2] += base.width * (0.5 - zoom[t] / 2 + place[0])
        matrix[1, 2] += base.height * (0.5 - zoom[t] / 2 + place[1])
        if flip:
            matrix = np.array([[-1, 0, base.width], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
        views.append(View(matrix, base.height, base.width))
    return views


@dataclass(frozen=True, slots=True)
class _Action:
    """What happens in a clip: speaking scores (T, F), detection noise, and one moving spot."""

    speaking: NDArray[np.float64]
    shown: NDArray[np.bool_]
    spot: tuple[float, float, float]
    strength: NDArray[np.float64]
    clutter: NDArray[np.float32]

    @staticmethod
    def draw(scene: Scene, rng: np.random.Generator, length: int) -> _Action:
        count = len(scene.faces)
        liveliness = np.abs(rng.normal(0, 0.02, count))
        if count and rng.random() < 0.8:
            liveliness[rng.integers(count)] = rng.uniform(0.03, 0.15)
        voice = 0.5 if rng.random() < 0.3 else rng.beta(2, 2)
        wobble = np.exp(rng.normal(0, 0.15, (length, count)).cumsum(0))
        square = (liveliness * wobble) ** 2
        speaking = voice * square / (square.sum(1, keepdims=True) + Speaking.quiet**2)
        height, width = scene.image.shape[:2]
        if len(scene.x) and rng.random() < 0.5:
            chosen = rng.integers(len(scene.x))
            x, y = scene.x[chosen], scene.y[chosen]
        else:
            x, y = rng.uniform(0, width), rng.uniform(0, height)
        size = rng.uniform(0.05, 0.25) * width
        strength = rng.uniform(0, 1) * np.clip(wobble.mean(1) if count else np.ones(length), 0.3, 1)
        clutter = cv2.GaussianBlur(rng.random((24, 32), dtype=np.float32), (0, 0), 1.5) * rng.uniform(0, 0.5)
        return _Action(speaking, rng.random(count) > 0.05, (x, y, size), strength, clutter.astype(np.float32))


def _draw_frame(scene: Scene, view: View, action: _Action | None, t: int) -> NDArray[np.uint8]:
    """The stacked modalities of one frame, uint8 (K, H, W), drawn as the cues draw them."""
    size = (view.height, view.width)
    faces = [_seen(face, view) for face in scene.faces]
    if action is None:
        speaking = motion = np.zeros(size, np.uint8)
    else:
        faces = [face for face, shown in zip(faces, action.shown, strict=True) if shown]
        scores = [float(s) for s, shown in zip(action.speaking[t], action.shown, strict=True) if shown]
        speaking = draw_on_faces([face.box for face in faces], scores, size, size)
        motion = _draw_motion(view, action, t)
    saliency = View(_from_grid(view, scene), *size).warp(draw_saliency(scene.log_saliency))
    pictures = [view.warp(scene.image, fill=114), saliency, draw_faces(faces, size, size), speaking, motion]
    return stack_maps(pictures, PREPROCESSING)


def _draw_motion(view: View, action: _Action, t: int) -> NDArray[np.uint8]:
    spot = _spot_box(view, action)
    drawn = draw_on_faces(
        [spot], [float(action.strength[t])], (view.height, view.width), (view.height, view.width)
    )
    clutter = cv2.resize(action.clutter, (view.width, view.height)) * 255 * 0.5
    return np.asarray(np.maximum(drawn, clutter), np.uint8)


def _spot_box(view: View, action: _Action) -> Box:
    x, y, size = action.spot
    corner = Face(0, Box(x - size / 2, y - size / 2, x + size / 2, y + size / 2), 1.0)
    return _seen(corner, view).box


def _seen(face: Face, view: View) -> Face:
    """A face of the scene in pixels of a view."""
    xs, ys = view.points(np.array([face.box.x1, face.box.x2]), np.array([face.box.y1, face.box.y2]))
    box = Box(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
    return Face(face.track_id, box, face.score)


def _from_grid(view: View, scene: Scene) -> NDArray[np.float64]:
    """The view's map for pictures on the scene's grid instead of its pixels."""
    matrix = view.matrix.copy()
    matrix[:, 0] *= scene.image.shape[1] / scene.density.shape[1]
    matrix[:, 1] *= scene.image.shape[0] / scene.density.shape[0]
    return matrix


def _rise(scene: Scene, view: View, action: _Action, prior: VideoPrior) -> NDArray[np.float64]:
    """By what factor the prior expects more looks at each place of a moving scene, (height, width)."""
    rise = 1 + prior.motion * _draw_motion(view, action, -1) / 255
    for face, score in zip(scene.faces, action.speaking[-1], strict=True):
        rise += prior.speaker * float(score) * _around(_seen(face, view).box, view, prior.spread)
    return rise


def _around(box: Box, view: View, spread: float) -> NDArray[np.float64]:
    """A Gaussian around the middle of a box, 1 at its peak, (height, width)."""
    x, y = np.arange(view.width) + 0.5, np.arange(view.height) + 0.5
    centre_x, centre_y = box.centre
    # Recorded points scatter by about a degree of sight, 2 % of the picture's width.
    wide = max(spread * box.width, 0.02 * view.width)
    high = max(spread * box.height, 0.02 * view.width)
    return np.outer(np.exp(-0.5 * ((y - centre_y) / high) ** 2), np.exp(-0.5 * ((x - centre_x) / wide) ** 2))


class FusionModule(pl.LightningModule):
    """The network learning by its recipe, on clips as :class:`ClipBatches` makes them.

    ``half`` computes in bfloat16 where that is exact enough.
    """

    def __init__(self, recipe: FusionRecipe, *, half: bool = True) -> None:
        super().__init__()
        self.recipe, self.in_half = recipe, half
        network = create_model(NETWORK, **OPTIONS).train()
        assert isinstance(network, GASP)
        self.network = network
        _initialise(self.network)
        self._held_back: dict[str, list[float]] = {}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of the corrected map."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_half):
            logits = self.network(normalise_maps(batch["inputs"], PREPROCESSING)).logits
        logits = logits.float() + _corrected(batch["inputs"])
        loss = losses.map_loss(logits, batch["density"], batch["fixations"], weights=batch["weight"])
        self.log("train_loss", loss.detach(), batch_size=len(batch["inputs"]))
        return loss

    def validation_step(self, held_back: tuple[str, dict[str, Tensor]], batch_idx: int) -> None:
        """The loss on held-back clips of one kind."""
        kind, batch = held_back
        logits = self.network(normalise_maps(batch["inputs"], PREPROCESSING)).logits + _corrected(
            batch["inputs"]
        )
        loss = losses.map_loss(logits, batch["density"], batch["fixations"]).item()
        self._held_back.setdefault(kind, []).append(loss)

    def on_validation_epoch_end(self) -> None:
        """Says the means per kind."""
        for kind, values in self._held_back.items():
            mean = float(np.mean(values))
            log.info("step %d of %d, held-back %s: %.3f", self.global_step, self.recipe.steps, kind, mean)
            self.log(f"val_loss_{kind}", mean)
        self._held_back.clear()

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle of the learning rate."""
        recipe = self.recipe
        optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.learning_rate, recipe.steps, pct_start=0.05
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train_fusion(
    scenes: Sequence[Scene],
    recipe: FusionRecipe,
    *,
    held_back: Sequence[Scene] = (),
    folder: Path | None = None,
    every: int = 250,
    half: bool = True,
    report: Report | None = None,
) -> GASP:
    """Trains a new network and returns the moving average of its weights, in eval mode.

    ``half``: see :class:`FusionModule`. With ``folder`` the state is kept there every ``every`` steps, and training
    goes on from it when it exists.
    """
    torch.manual_seed(recipe.seed)
    module = FusionModule(recipe, half=half)
    clips = _held_back_clips(held_back, recipe)
    data = StepData(ClipBatches(scenes, recipe).make, recipe.steps, every, clips)
    fit_steps(module, data, average=recipe.average_decay, clip=1.0, folder=folder, report=report)
    return module.network.eval()


def _initialise(network: GASP) -> None:
    """Weights by fan-in. The published ones (gates within 0.01 of 0) let nearly nothing through for many passes."""
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4:
            gain = 2**0.5 if name.startswith("enc") else 1.0
            nn.init.normal_(parameter, std=gain / float(np.prod(parameter.shape[1:])) ** 0.5)
        elif parameter.ndim == 1:
            nn.init.zeros_(parameter)


def _corrected(inputs: Tensor) -> Tensor:
    """Log-probabilities of the corrected modality in the last frame, (N, 1, H / 2, W / 2), of clips (N, T, K, H, W)."""
    first = 3 * MODALITIES.index(CORRECTS)
    return log_of_map(F.avg_pool2d(inputs[:, -1, first : first + 1].float(), 2))


def _held_back_clips(
    scenes: Sequence[Scene], recipe: FusionRecipe, batch: int = 16
) -> list[tuple[str, dict[str, Tensor]]]:
    """Batches of held-back stills and clips, always the same ones, each with its kind."""
    batches = []
    for kind, still in (("stills", 1.0), ("clips", 0.0)):
        rng = np.random.default_rng(1)
        fixed = replace(recipe, still=still, absent=0.0)
        clips = [make_clip(scene, rng, fixed, OPTIONS["sequence_len"]) for scene in scenes]
        for i in range(0, len(clips), batch):
            stacked = {k: torch.from_numpy(np.stack([c[k] for c in clips[i : i + batch]])) for k in clips[0]}
            batches.append((kind, stacked))
    return batches
