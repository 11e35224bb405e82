"""Compare gasp.metrics with plain Python loops and with pysaliency: values and times, in one run.

    python benchmarks/metrics.py [METRIC...] [--maps 500] [--pysaliency-python PATH/bin/python] [--dtype float64]

All sides get the same made-up maps of 640 x 480 pixels, with 100 to 200 fixations and about 2000 fixations of
others, as arrays of maps. They take turns, metric by metric and a few maps at a time, and for each few maps the
quickest of several turns counts. All use one thread, and times are of the processor (user and system), so that
other programs disturb less.

* ``gasp``: one call for all of those maps.
* ``loop``: the definitions written with plain Python loops over the pixels (areas: for every fixation over the
  pixels it is compared with), for the first maps only (``--loops``), since they take long.
* ``pysaliency``: the functions of ``pysaliency.metrics`` and ``pysaliency.roc``, map by map, which its models
  call too. It wants coordinates of fixations; the time to find them is counted, and the ratio without it shown
  in brackets. It has no area against all pixels, no scaling to 0..1 in its similarity, and no information gain
  between maps: the areas are made with its ``general_roc``, the maps scaled for it, the last one left out.

pysaliency (``pip install "setuptools<81" pysaliency``) lives in an environment of its own, because it wants
other versions. ``--keep FILE`` writes its values for small maps made from a seed: the fixture of the tests.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Maps: TypeAlias = dict[str, np.ndarray]
#: Arguments of each metric, by the names of :func:`make_maps`.
METRICS = {
    "auc_judd": ("saliency", "fixations"),
    "auc_borji": ("saliency", "fixations"),
    "auc_shuffled": ("saliency", "fixations", "others"),
    "nss": ("saliency", "fixations"),
    "information_gain": ("saliency", "fixations", "baseline"),
    "similarity": ("saliency", "density"),
    "cc": ("saliency", "density"),
    "kl_divergence": ("saliency", "density"),
}
PYSALIENCY = tuple(name for name in METRICS if name != "information_gain")
EPS = 2.2204e-16


def make_maps(count: int, height: int, width: int, seed: int) -> Maps:
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
        "baseline": np.mean(densities, 0, keepdims=True),
    }


def part(maps: Maps, name: str, start: int, stop: int) -> list[np.ndarray]:
    """Arguments of a metric for some of the maps."""
    return [maps[key] if len(maps[key]) == 1 else maps[key][start:stop] for key in METRICS[name]]


def area_by_loop(positives: list[float], negatives: list[float]) -> float:
    """How often a positive is above a negative, ties counting half."""
    wins = 0.0
    for positive in positives:
        for negative in negatives:
            if positive > negative:
                wins += 1
            elif positive == negative:
                wins += 0.5
    return wins / len(positives) / len(negatives)


def by_loop(name: str, saliency: np.ndarray, second: np.ndarray, *third: np.ndarray) -> float:
    """The metric of one map, pixel by pixel."""
    s = [float(v) for row in saliency for v in row]
    if name in ("similarity", "cc", "kl_divergence"):
        g = [float(v) for row in second for v in row]
        return {"similarity": similarity_by_loop, "cc": cc_by_loop, "kl_divergence": kld_by_loop}[name](s, g)
    fixated = [bool(v) for row in second for v in row]
    at = [v for v, f in zip(s, fixated, strict=True) if f]
    if name == "auc_judd":
        return area_by_loop(at, [v for v, f in zip(s, fixated, strict=True) if not f])
    if name == "auc_borji":
        return area_by_loop(at, s)
    if name == "auc_shuffled":
        others = [bool(v) for row in third[0] for v in row]
        return area_by_loop(at, [v for v, o in zip(s, others, strict=True) if o])
    if name == "nss":
        mean = math.fsum(s) / len(s)
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in s) / len(s))
        return sum((v - mean) / deviation for v in at) / len(at)
    baseline = [float(v) for row in third[0] for v in row]
    low, base = min(s), sum(baseline)
    mass = sum(v - low for v in s)
    gains = [
        math.log2(EPS + (v - low) / mass) - math.log2(EPS + b / base)
        for v, b, f in zip(s, baseline, fixated, strict=True)
        if f
    ]
    return sum(gains) / len(gains)


def similarity_by_loop(s: list[float], g: list[float]) -> float:
    low_s, low_g = min(s), min(g)
    sum_s, sum_g = sum(v - low_s for v in s), sum(v - low_g for v in g)
    return sum(min((a - low_s) / sum_s, (b - low_g) / sum_g) for a, b in zip(s, g, strict=True))


def cc_by_loop(s: list[float], g: list[float]) -> float:
    mean_s, mean_g = sum(s) / len(s), sum(g) / len(g)
    covariance = sum((a - mean_s) * (b - mean_g) for a, b in zip(s, g, strict=True))
    variances = sum((a - mean_s) ** 2 for a in s) * sum((b - mean_g) ** 2 for b in g)
    return covariance / math.sqrt(variances)


def kld_by_loop(s: list[float], g: list[float]) -> float:
    sum_s, sum_g = sum(s), sum(g)
    return sum(b / sum_g * math.log(EPS + b / sum_g / (a / sum_s + EPS)) for a, b in zip(s, g, strict=True))


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def with_pysaliency() -> Callable[[str, list[np.ndarray]], tuple[list[float], float, float]]:
    """A function for the values of some maps, the seconds, and those to find coordinates before."""
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid
    # Importing the package as a whole needs torch for its deep models; the metrics do not.
    package = types.ModuleType("pysaliency")
    package.__path__ = list(importlib.util.find_spec("pysaliency").submodule_search_locations)
    sys.modules["pysaliency"] = package
    from pysaliency import metrics
    from pysaliency.roc import general_roc

    def roc(positives: np.ndarray, negatives: np.ndarray) -> float:
        return float(general_roc(positives.astype(float), negatives.astype(float))[0])

    def minmax(values: np.ndarray) -> np.ndarray:
        values = values.astype(float)
        return (values - values.min()) / (values.max() - values.min())

    def unfixated(points: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> np.ndarray:
        mask = np.ones(shape, bool)
        mask[points] = False
        return mask

    one: dict[str, Callable[..., float]] = {
        "auc_judd": lambda s, f: roc(s[f], s[unfixated(f, s.shape)]),
        "auc_borji": lambda s, f: roc(s[f], s.ravel()),
        "auc_shuffled": lambda s, f, o: roc(s[f], s[o]),
        "nss": lambda s, f: float(metrics.NSS(s, f[1], f[0]).mean()),
        "similarity": lambda s, g: float(metrics.SIM(minmax(s), minmax(g))),
        "cc": lambda s, g: float(metrics.CC(s.astype(float), g.astype(float))),
        "kl_divergence": lambda s, g: float(metrics.MIT_KLDiv(s.astype(float), g.astype(float))),
    }
    roc(np.ones(3), np.ones(3))  # compiles

    def compute(name: str, arguments: list[np.ndarray]) -> tuple[list[float], float, float]:
        finding = 0.0
        ready: list[Any] = []
        for each in arguments:
            points, seconds = timed(lambda each=each: [np.nonzero(mask) for mask in each])
            is_mask = each.dtype == bool
            ready.append(points if is_mask else each)
            finding += seconds if is_mask else 0
        with np.errstate(divide="ignore"):
            values, seconds = timed(lambda: [one[name](*each) for each in zip(*ready, strict=True)])
        return values, seconds, finding

    return compute


def serve(folder: Path) -> None:
    """Answer, line by line, with pysaliency's values and times: the other process of :func:`pysaliency`."""
    maps = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    compute = with_pysaliency()
    for line in sys.stdin:
        name, start, stop = json.loads(line)
        print(json.dumps(compute(name, part(maps, name, start, stop))), flush=True)


@contextmanager
def pysaliency(python: str, maps: Maps) -> Iterator[Callable[[str, int, int], Any]]:
    """A function that asks the interpreter ``python``, which has pysaliency."""
    with tempfile.TemporaryDirectory() as folder:
        for key, value in maps.items():
            np.save(Path(folder) / f"{key}.npy", value)
        command = [python, __file__, "--serve", folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:

            def ask(name: str, start: int, stop: int) -> Any:
                print(json.dumps([name, start, stop]), file=worker.stdin, flush=True)
                return json.loads(worker.stdout.readline())

            yield ask


def compare(
    names: list[str], maps: Maps, ask: Callable[[str, int, int], Any] | None, loops: int, rounds: int
) -> None:
    """Print the table."""
    import torch

    import gasp.metrics

    torch.set_num_threads(1)
    count, chunk = len(maps["saliency"]), 25
    print("ms per map, and ratios to gasp; pysaliency in brackets: coordinates of fixations are known")
    print(f"{'metric':16} {'gasp':>7} {'loop':>8} {'ratio':>7} ", end="")
    print(f"{'pysaliency':>10} {'ratio':>12} {'difference':>10}" if ask else "")
    for name in names:
        function = getattr(gasp.metrics, name)
        totals = np.zeros(3)  # ours; theirs, and to find coordinates
        difference = 0.0
        for start in range(0, count, chunk):
            stop = min(count, start + chunk)
            arguments = part(maps, name, start, stop)
            turns = []
            for _ in range(rounds):
                values, mine = timed(lambda f=function, a=arguments: f(*a))
                theirs, *seconds = ask(name, start, stop) if ask and name in PYSALIENCY else (values, 0, 0)
                turns.append((mine, *seconds))
                difference = max(difference, np.abs(values - np.asarray(theirs)).max())
            totals += np.min(turns, 0)
        mine, without, finding = 1000 * totals / count
        slow, seconds = timed(
            lambda n=name: [by_loop(n, *m) for m in zip(*first(maps, n, loops), strict=True)]
        )
        np.testing.assert_allclose(slow, function(*part(maps, name, 0, loops)), atol=1e-6, err_msg=name)
        loop = 1000 * seconds / loops
        print(f"{name:16} {mine:7.3f} {loop:8.0f} {loop / mine:7.0f} ", end="")
        if ask and name in PYSALIENCY:
            ratio = f"{(without + finding) / mine:.1f} ({without / mine:.1f})"
            print(f"{without + finding:10.2f} {ratio:>12} {difference:10.0e}", end="")
        print(flush=True)


def first(maps: Maps, name: str, count: int) -> list[np.ndarray]:
    """Arguments of a metric for the first maps, all of one length."""
    arguments = part(maps, name, 0, count)
    return [np.broadcast_to(each, (count, *each.shape[1:])) for each in arguments]


def keep(python: str, file: Path) -> None:
    """Write pysaliency's values for small maps."""
    settings = {"count": 10, "height": 48, "width": 64, "seed": 7}
    with pysaliency(python, make_maps(**settings)) as ask:
        values = {name: ask(name, 0, settings["count"])[0] for name in PYSALIENCY}
    file.write_text(json.dumps({"maps": settings, "pysaliency": values}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("metrics", nargs="*", help=f"some of {', '.join(METRICS)} (default: all)")
    parser.add_argument("--maps", type=int, default=500)
    parser.add_argument("--loops", type=int, default=1, help="maps for the plain loops (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="turns, of which the quickest counts")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--pysaliency-python", metavar="PYTHON", help="interpreter that has pysaliency")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write pysaliency's values for small maps")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
    elif arguments.keep:
        keep(arguments.pysaliency_python or sys.executable, arguments.keep)
    else:
        maps = make_maps(arguments.maps, 480, 640, 1)
        for name in ("saliency", "density", "baseline"):
            maps[name] = maps[name].astype(arguments.dtype)
        python = arguments.pysaliency_python
        with pysaliency(python, maps) if python else nullcontext() as ask:
            compare(arguments.metrics or list(METRICS), maps, ask, arguments.loops, arguments.rounds)


if __name__ == "__main__":
    main()
