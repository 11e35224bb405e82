"""How well a network that was trained predicts videos of its source, at the size of its targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gasp import metrics
from gasp.config.experiments import Experiment
from gasp.datasets.grouped import Window
from gasp.errors import InputError
from gasp.fusion.gasp import scale_maps
from gasp.fusion.inputs import normalise_maps
from gasp.networks.gasp import GASP
from gasp.training.sources import ClipSource, Video
from gasp.weights.preprocessing import preprocessing_2021

_BATCH = 4

Scores = dict[str, float]
"""Means by metric, and the number of ``frames``."""

Metric = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

METRICS: dict[str, Metric] = {
    "aucj": lambda saliency, points, density, others: metrics.auc_judd(saliency, points),
    "aucs": lambda saliency, points, density, others: metrics.auc_shuffled(saliency, points, others),
    "cc": lambda saliency, points, density, others: metrics.cc(saliency, density),
    "nss": lambda saliency, points, density, others: metrics.nss(saliency, points),
    "sim": lambda saliency, points, density, others: metrics.similarity(saliency, density),
}
"""Names as in 2021's tables -> metric of (prediction, fixated pixels, density, pixels fixated in other videos)."""


def score(
    network: GASP,
    source: ClipSource,
    videos: Sequence[Video],
    experiment: Experiment,
    *,
    others: Sequence[Video] = (),
    every: int = 1,
    device: str | torch.device = "cpu",
) -> dict[Video, Scores]:
    """Means over frames of :data:`METRICS`, and how many ``frames`` they are of, by video.

    ``every``: one of so many frames is predicted, as ``gasp_infer`` does it: from the frames up to it, the newest
    repeated where there are too few, missing maps black. Frames without fixations or density do not count, and a
    metric that is not defined (the shuffled AUC of a single video) is NaN. ``others``: further videos whose fixations
    are negatives of the shuffled AUC, beside those of ``videos``. Raises :class:`~gasp.errors.InputError` when no
    frame of any video can be scored.
    """
    network = network.eval().to(device)
    targets = experiment.clips.targets
    truths = {video: source.truth(video, targets) for video in videos}
    fixated = {video: truth.targets[:, 1].any(0) for video, truth in truths.items()}
    fixated |= {video: source.truth(video, targets).targets[:, 1].any(0) for video in others}
    scores = {}
    for video, truth in truths.items():
        negatives = np.zeros_like(fixated[video])
        for other in fixated.keys() - {video}:
            negatives |= fixated[other]
        frames = _known(truth)[::every]
        parts = [
            _score(saliency, truth, chosen, negatives)
            for chosen, saliency in _predict(network, source, video, frames, experiment)
        ]
        means = _means(np.concatenate(parts)) if parts else [float("nan")] * len(METRICS)
        scores[video] = {"frames": float(len(frames)), **dict(zip(METRICS, means, strict=True))}
    if not any(row["frames"] for row in scores.values()):
        raise InputError(f"no frame of {len(videos)} videos in {source.folder} has fixations to compare with")
    return scores


def mean_scores(rows: Sequence[Scores]) -> Scores:
    """Means over the videos that have a score; the sum of their frames."""
    values = np.array([[row[name] for name in METRICS] for row in rows]).reshape(-1, len(METRICS))
    frames = sum(row["frames"] for row in rows)
    return {"frames": frames, **dict(zip(METRICS, _means(values), strict=True))}


def _known(truth: Window) -> NDArray[np.intp]:
    """Frames with fixations and density, by their indices."""
    filled = truth.targets.reshape(*truth.targets.shape[:2], -1).max(2) > 0
    return np.flatnonzero((truth.has_target & filled).all(1))


def _predict(
    network: GASP, source: ClipSource, video: Video, frames: NDArray[np.intp], experiment: Experiment
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Saliency (n, h, w) of so many frames at a time."""
    form = preprocessing_2021(*experiment.clips.size)
    device = next(network.parameters()).device
    for first in range(0, len(frames), _BATCH):
        chosen = frames[first : first + _BATCH]
        maps = np.stack([_window(source, video, int(frame), experiment) for frame in chosen])
        with torch.inference_mode():
            inputs = normalise_maps(torch.from_numpy(maps).to(device), form)
            logits = network(inputs if experiment.sequence else inputs[:, -1]).logits[:, 0]
        yield chosen, scale_maps(logits.float(), distribution=False).cpu()


def _window(source: ClipSource, video: Video, frame: int, experiment: Experiment) -> NDArray[np.uint8]:
    """The maps (T, K, H, W) from which a frame is predicted."""
    context = experiment.context
    inputs = experiment.clips.test_inputs or experiment.clips.inputs
    start = max(0, frame - context + 1)
    maps = source.window(video, start, frame - start + 1, inputs, ()).maps
    return np.concatenate([maps, maps[-1:].repeat(context - len(maps), 0)])


def _score(
    saliency: Tensor, truth: Window, frames: NDArray[np.intp], negatives: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scores (n, metrics)."""
    density, points = (torch.from_numpy(truth.targets[frames, index]) for index in range(2))
    predicted = metrics.resize(saliency, *density.shape[-2:])
    elsewhere = torch.from_numpy(negatives)
    # Points that were resized are grey; each pixel that one reaches counts as fixated.
    found = [
        metric(torch.as_tensor(predicted), points > 0, density, elsewhere) for metric in METRICS.values()
    ]
    return torch.stack(found, 1).numpy()


def _means(values: NDArray[np.float64]) -> list[float]:
    """Means of columns that leave out NaN; NaN where nothing is left."""
    known = np.isfinite(values)
    sums, counts = np.where(known, values, 0).sum(0), known.sum(0)
    return [float(total / n) if n else float("nan") for total, n in zip(sums, counts, strict=True)]
