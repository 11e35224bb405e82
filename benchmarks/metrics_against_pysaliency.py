"""Compare gasp.metrics with pysaliency: differences of the values and ratio of the times, in one run.

pysaliency lives in an environment of its own (``pip install "setuptools<81" pysaliency``), whose interpreter
is given::

    python benchmarks/metrics_against_pysaliency.py --pysaliency PATH/bin/python [--maps 500] [--keep FILE]

Both get the same made-up float32 maps of 640 x 480 pixels with 100 to 200 fixations as maps, and one thread.
pysaliency wants coordinates; the time to find them is counted, and shown beside it. Times are of the
processor, so that other programs disturb less. ``--keep`` writes pysaliency's values for small maps made from
a seed: the fixture that the tests compare with.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

METRICS = ("auc_judd", "auc_borji", "auc_shuffled", "nss", "similarity", "cc", "kl_divergence")


def make_maps(count: int, height: int, width: int, seed: int) -> dict[str, np.ndarray]:
    """Blobs as predictions and densities, and drawn fixations; every fifth prediction has 8 bits."""
    random = np.random.Generator(np.random.PCG64(seed))
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    predictions, densities, fixations, others = [], [], [], []
    for index in range(count):
        density = np.zeros((height, width))
        for _ in range(5):
            centre_y, centre_x = random.uniform(0, height), random.uniform(0, width)
            spread = random.uniform(0.03, 0.15) * width
            # Separable, so that five hundred pictures are made in seconds.
            density += np.exp(-0.5 * ((y - centre_y) / spread) ** 2) * np.exp(
                -0.5 * ((x - centre_x) / spread) ** 2
            )
        noise = random.random((height // 8, width // 8)).repeat(8, 0).repeat(8, 1)
        prediction = density + noise * random.uniform(0, 1)
        prediction /= prediction.max()
        if index % 5 == 4:
            prediction = np.floor(prediction * 255) / 255
        drawn = random.choice(
            density.size, int(random.integers(100, 201)), False, density.ravel() / density.sum()
        )
        fixations.append(np.isin(np.arange(density.size), drawn).reshape(density.shape))
        others.append(random.random(density.shape) < 2000 / (640 * 480))
        predictions.append(prediction.astype(np.float32))
        densities.append(density.astype(np.float32))
    return {
        "saliency": np.stack(predictions),
        "density": np.stack(densities),
        "fixations": np.stack(fixations),
        "others": np.stack(others),
    }


def points_of(fixations: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    return [np.nonzero(each) for each in fixations]


def best_time(function: Callable[[], Any], repeats: int = 3) -> tuple[Any, float]:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return result, min(times)


def with_pysaliency(maps: dict[str, np.ndarray]) -> dict[str, tuple[list[float], float, float]]:
    """Values per map, seconds for all maps, and to find the coordinates. Runs in pysaliency's environment."""
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid
    # Importing the package as a whole needs torch for its deep models; the metrics do not.
    package = types.ModuleType("pysaliency")
    package.__path__ = list(importlib.util.find_spec("pysaliency").submodule_search_locations)
    sys.modules["pysaliency"] = package
    from pysaliency import metrics
    from pysaliency.roc import general_roc

    saliency, density = maps["saliency"], maps["density"]
    points, finding = best_time(lambda: points_of(maps["fixations"]))
    others, finding_others = best_time(lambda: points_of(maps["others"]))
    unfixated = [~each for each in maps["fixations"]]

    def roc(positives: np.ndarray, negatives: np.ndarray) -> float:
        return float(general_roc(positives.astype(float), negatives.astype(float))[0])

    def minmax(values: np.ndarray) -> np.ndarray:
        values = values.astype(float)
        return (values - values.min()) / (values.max() - values.min())

    def double(values: np.ndarray) -> np.ndarray:
        return values.astype(float)

    one: dict[str, Callable[[int], float]] = {
        "auc_judd": lambda i: roc(saliency[i][points[i]], saliency[i][unfixated[i]]),
        "auc_borji": lambda i: roc(saliency[i][points[i]], saliency[i].ravel()),
        "auc_shuffled": lambda i: roc(saliency[i][points[i]], saliency[i][others[i]]),
        "nss": lambda i: float(metrics.NSS(saliency[i], points[i][1], points[i][0]).mean()),
        "similarity": lambda i: float(metrics.SIM(minmax(saliency[i]), minmax(density[i]))),
        "cc": lambda i: float(metrics.CC(double(saliency[i]), double(density[i]))),
        "kl_divergence": lambda i: float(metrics.MIT_KLDiv(double(saliency[i]), double(density[i]))),
    }
    one["auc_judd"](0)  # compiles
    finding_for = dict.fromkeys(("auc_judd", "auc_borji", "nss"), finding)
    finding_for["auc_shuffled"] = finding + finding_others
    answers = {}
    for name in METRICS:
        values, seconds = best_time(lambda name=name: [one[name](i) for i in range(len(saliency))])
        answers[name] = values, seconds, finding_for.get(name, 0.0)
    return answers


def with_gasp(maps: dict[str, np.ndarray]) -> dict[str, tuple[list[float], float]]:
    """Values per map and seconds for all maps."""
    import torch

    import gasp.metrics

    torch.set_num_threads(1)
    second = dict.fromkeys(("auc_judd", "auc_borji", "auc_shuffled", "nss"), ("fixations",))
    second["auc_shuffled"] = ("fixations", "others")
    answers = {}
    for name in METRICS:
        function = getattr(gasp.metrics, name)
        arguments = [maps[key] for key in ("saliency", *second.get(name, ("density",)))]
        function(*(each[:1] for each in arguments))
        answers[name] = best_time(lambda function=function, arguments=arguments: function(*arguments))
    return answers


def ask_pysaliency(python: str, settings: dict[str, int]) -> dict[str, tuple[list[float], float, float]]:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        subprocess.run(
            [python, __file__, "--worker", json.dumps(settings), "--keep", str(answer)], check=True
        )
        return json.loads(answer.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pysaliency", metavar="PYTHON", help="interpreter of pysaliency's environment")
    parser.add_argument("--maps", type=int, default=500)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write pysaliency's values for small maps")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        arguments.keep.write_text(json.dumps(with_pysaliency(make_maps(**json.loads(arguments.worker)))))
        return
    if not arguments.pysaliency:
        parser.error("--pysaliency is needed")
    if arguments.keep:
        settings = {"count": 10, "height": 48, "width": 64, "seed": 7}
        values = {name: answer[0] for name, answer in ask_pysaliency(arguments.pysaliency, settings).items()}
        arguments.keep.write_text(json.dumps({"maps": settings, "pysaliency": values}, indent=1) + "\n")
        return
    settings = {"count": arguments.maps, "height": 480, "width": 640, "seed": 1}
    theirs, ours = ask_pysaliency(arguments.pysaliency, settings), with_gasp(make_maps(**settings))
    print("milliseconds per map; pysaliency without and with finding the coordinates in the maps")
    print(f"{'metric':14} {'difference':>10} {'gasp':>6} {'without':>8} {'with':>6} {'ratio with':>10}")
    for name in METRICS:
        values, seconds, finding = theirs[name]
        difference = np.abs(np.asarray(ours[name][0]) - np.asarray(values)).max()
        mine, without, whole = (
            1000 * t / arguments.maps for t in (ours[name][1], seconds, seconds + finding)
        )
        print(f"{name:14} {difference:10.1e} {mine:6.2f} {without:8.2f} {whole:6.2f} {whole / mine:10.1f}")


if __name__ == "__main__":
    main()
