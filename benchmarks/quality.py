"""How good the default pipeline's predictions are, beside baselines, and what each cue contributes.

    python benchmarks/quality.py --data DIR [--sets osie eyecrowd scene findwho] [--ablation] [--json FILE]

``DIR`` holds the sets ``osie``, ``eyecrowd``, ``scene`` (held-back pictures are used) and ``findwho``. Prints one
table per set: mean of pictures (videos for ``findwho``) with 95 % bootstrap intervals. Fixations of pictures are all
of the set's; of videos those at the middle of every half second, on the container's clock.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gasp import metrics
from gasp.config.settings import DEFAULT_CUES, PredictSettings
from gasp.datasets.findwho import BLUR as VIDEO_BLUR
from gasp.datasets.findwho import FindWhoSet
from gasp.datasets.fixations import Fixations, density_map, fixation_map
from gasp.datasets.image_set import ImageSet
from gasp.datasets.split import held_back
from gasp.fusion.gasp import GaspFusion
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source, step_of
from gasp.pipeline.prediction import Prediction
from gasp.training.images import BLUR
from gasp.video import open_source
from gasp.video.cuts import CutDetector

Scores = dict[str, float]
MEASURES = ("NSS", "CC", "SIM", "KLD", "AUC-Judd")


@dataclass
class Truth:
    """Recorded fixations of one picture of height x width, their blur in pixels, and marked faces."""

    fixations: Fixations
    height: int
    width: int
    sigma: float
    faces: list[tuple[float, float, float, float]]


def score(saliency: NDArray, truth: Truth) -> Scores:
    """All measures of one map against one truth, at the size of the picture."""
    counted = fixation_map(truth.fixations, truth.height, truth.width)
    density = density_map(counted, truth.sigma).values
    saliency = cv2.resize(
        saliency.astype(np.float32), (truth.width, truth.height), interpolation=cv2.INTER_LINEAR
    )
    saliency = np.maximum(saliency, 0)
    return {
        "NSS": float(metrics.nss(saliency, counted.counts)),
        "CC": float(metrics.cc(saliency, density)),
        "SIM": float(metrics.similarity(saliency, density)),
        "KLD": float(metrics.kl_divergence(saliency, density)),
        "AUC-Judd": float(metrics.auc_judd(saliency, counted.counts)),
    }


def centre_prior(truth: Truth) -> NDArray:
    y, x = np.mgrid[: truth.height // 4, : truth.width // 4]
    y, x = (y + 0.5) / (truth.height // 4) - 0.5, (x + 0.5) / (truth.width // 4) - 0.5
    return np.exp(-(x * x + y * y) / (2 * 0.25**2))


def faces_prior(truth: Truth) -> NDArray:
    """A Gaussian on every marked face."""
    y, x = np.mgrid[: truth.height // 4, : truth.width // 4] * 4.0 + 2
    drawn = np.full(x.shape, 1e-6)
    for x1, y1, x2, y2 in truth.faces:
        wide, high = 0.5 * (x2 - x1), 0.5 * (y2 - y1)
        drawn += np.exp(-0.5 * (((x - (x1 + x2) / 2) / wide) ** 2 + ((y - (y1 + y2) / 2) / high) ** 2))
    return drawn


def other_observers(truth: Truth) -> Scores:
    """What the other observers predict of each observer, averaged over observers."""
    all_scores = []
    for observer in np.unique(truth.fixations.observer):
        others = truth.fixations.without_observer(int(observer)).inside(truth.height, truth.width)
        own = truth.fixations.of_observer(int(observer)).inside(truth.height, truth.width)
        if len(own) and len(others):
            predicted = density_map(fixation_map(others, truth.height, truth.width), truth.sigma).values
            alone = Truth(own, truth.height, truth.width, truth.sigma, [])
            all_scores.append(score(predicted, alone))
    return {m: float(np.nanmean([s[m] for s in all_scores])) for m in MEASURES} if all_scores else {}


def split_half(truth: Truth) -> float:
    """CC of two halves of the observers, corrected to the full number (Spearman-Brown): a ceiling for CC."""
    observers = np.unique(truth.fixations.observer)
    halves = []
    for chosen in (observers[::2], observers[1::2]):
        half = truth.fixations.select(np.isin(truth.fixations.observer, chosen)).inside(
            truth.height, truth.width
        )
        if not len(half):
            return float("nan")
        halves.append(density_map(fixation_map(half, truth.height, truth.width), truth.sigma).values)
    r = float(metrics.cc(halves[0], halves[1]))
    return 2 * r / (1 + r)


def pictures(folder: Path, name: str, limit: int | None) -> Iterator[tuple[str, NDArray, Truth]]:
    images = ImageSet(folder / name, blur=BLUR[name])
    away = held_back(images.ids)
    chosen = [i for i, identity in enumerate(images.ids) if identity in away and len(images.fixations(i))]
    for i in chosen[:limit]:
        height, width = images.size(i)
        boxes = [tuple(face.box) for face in images.faces(i)]
        yield (
            images.ids[i],
            images.image(i),
            Truth(images.fixations(i), height, width, BLUR[name] * width, boxes),
        )


def evaluate_pictures(
    folder: Path, name: str, networks: Networks, ablated: list[str], limit: int | None
) -> dict[str, dict[str, list[Scores]]]:
    results: dict[str, dict[str, list[Scores]]] = {}

    def add(system: str, picture: str, scores: Scores) -> None:
        if scores:
            results.setdefault(system, {}).setdefault(picture, []).append(scores)

    for identity, image, truth in pictures(folder, name, limit):
        add("centre prior", identity, score(centre_prior(truth), truth))
        if truth.faces:
            add("marked faces", identity, score(faces_prior(truth), truth))
        add("other observers", identity, other_observers(truth) | {"CC": split_half(truth)})
        reading = networks.reader.read([image])[0]
        add("glance alone", identity, score(np.exp(reading.saliency), truth))
        prediction = next(iter(predict_source(open_source(image), Pipeline(PredictSettings(), networks))))
        add("default", identity, score(prediction.saliency, truth))
        for system, saliency in Ablation(networks, ablated).step(prediction).items():
            add(system, identity, score(saliency, truth))
    return results


class Ablation:
    """The fusion run beside the pipeline on the same cue maps, each time with one modality black."""

    def __init__(self, networks: Networks, cues: list[str]) -> None:
        self.modalities = networks.fusion.modalities
        self.fusions = {cue: GaspFusion(networks.fusion, networks.device) for cue in cues}
        self.cuts = CutDetector()

    def step(self, prediction: Prediction) -> dict[str, NDArray]:
        cut = self.cuts.step(prediction.cues["captured"])
        results = {}
        for cue, fusion in self.fusions.items():
            maps = [prediction.cues[m] * (m != cue) for m in self.modalities]
            results[f"without {cue}"] = fusion.step([maps], [cut])[0].saliency
        return results


def evaluate_videos(
    folder: Path, networks: Networks, ablated: list[str], every: float
) -> dict[str, dict[str, list[Scores]]]:
    data = FindWhoSet(folder / "findwho")
    results: dict[str, dict[str, list[Scores]]] = {}

    def add(system: str, video: str, scores: Scores) -> None:
        results.setdefault(system, {}).setdefault(video, []).append(scores)

    for name in data.ids:
        video = data.videos[name]
        truths = {}
        for k in (int(k) for k in np.arange(every / 2, video.frames / video.fps, every) * video.fps):
            fixations = data.fixations_at(name, k).inside(video.height, video.width)
            if len(fixations):
                boxes = [tuple(face.box) for face in data.faces(name, k)]
                truths[k] = Truth(fixations, video.height, video.width, VIDEO_BLUR * video.width, boxes)
        for truth in truths.values():
            add("centre prior", name, score(centre_prior(truth), truth))
            add("marked faces", name, score(faces_prior(truth), truth))
            add("other observers", name, other_observers(truth) | {"CC": split_half(truth)})
        ablation = Ablation(networks, ablated)
        for prediction in run_video(video.path, networks, PredictSettings()):
            others = ablation.step(prediction)
            if prediction.index in truths:
                truth = truths[prediction.index]
                add("default", name, score(prediction.saliency, truth))
                add("glance alone", name, score(prediction.cues["glance"].astype(float) ** 2, truth))
                for system, saliency in others.items():
                    add(system, name, score(saliency, truth))
        if ablated:
            for prediction in run_video(video.path, networks, PredictSettings(sound=False)):
                if prediction.index in truths:
                    add("without sound", name, score(prediction.saliency, truths[prediction.index]))
        means = {m: np.nanmean([s[m] for s in results["default"][name]]) for m in ("NSS", "CC")}
        print(f"  {name}: default NSS {means['NSS']:.2f} CC {means['CC']:.3f}", flush=True)
    return results


def run_video(path: Path, networks: Networks, settings: PredictSettings) -> Iterator[Prediction]:
    with open_source(path) as source:
        yield from predict_source(source, Pipeline(settings, networks, step=step_of(source, settings)))


def interval(values: NDArray, rng: np.random.Generator, draws: int = 2000) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def table(name: str, results: dict[str, dict[str, list[Scores]]]) -> dict[str, dict[str, list[float]]]:
    rng = np.random.default_rng(0)
    print(f"\n{name}\n{'':24s}" + "".join(f"{m:>22s}" for m in MEASURES))
    summary: dict[str, dict[str, list[float]]] = {}
    for system, groups in results.items():
        line = f"{system:24s}"
        for measure in MEASURES:
            per_group = np.array(
                [np.nanmean([s.get(measure, np.nan) for s in scores]) for scores in groups.values()]
            )
            low, high = interval(per_group, rng)
            summary.setdefault(system, {})[measure] = [float(np.nanmean(per_group)), low, high]
            line += f"{np.nanmean(per_group):9.3f} [{low:.2f},{high:.2f}]"
        print(line, flush=True)
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["osie", "eyecrowd", "scene", "findwho"])
    parser.add_argument("--ablation", action="store_true", help="also without each cue")
    parser.add_argument("--limit", type=int, help="at most so many pictures per set")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    networks = Networks.load(PredictSettings())
    ablated = list(DEFAULT_CUES) if options.ablation else []
    run: dict[str, Callable[[], dict]] = {
        name: lambda name=name: evaluate_pictures(options.data, name, networks, ablated, options.limit)
        for name in ("osie", "eyecrowd", "scene")
    }
    run["findwho"] = lambda: evaluate_videos(options.data, networks, ablated, 0.5)
    summary = {name: table(name, run[name]()) for name in options.sets}
    if options.json:
        options.json.write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
