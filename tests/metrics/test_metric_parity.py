"""The metrics against values of other implementations."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from gasp import metrics
from helpers import synthetic

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
CASES = sorted(path.stem for path in (DATA / "parity" / "gasp").glob("metrics_*.json"))


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def minmax(values):
    return (values - values.min()) / (values.max() - values.min())


def test_there_are_cases():
    assert CASES == ["metrics_blobs", "metrics_coarse", "metrics_noise"]


@pytest.mark.parametrize("name", CASES)
def test_published_values(name):
    case = json.loads((DATA / "parity" / "gasp" / f"{name}.json").read_text())
    expected = np.load(DATA / "parity" / "gasp" / f"{name}.npz")
    options = case["options"]
    height, width, seed = options["height"], options["width"], options["seed"]

    def grey(what):
        return synthetic.image(what, height, width, seed).mean(-1) / 255

    density = minmax(grey("density")) ** 2
    prediction = 0.5 * grey("prediction") + 0.5 * grey("density")
    if options["prediction"] == "coarse":
        prediction = np.floor(8 * minmax(prediction)) / 8
    elif options["prediction"] == "noise":
        prediction = synthetic.array("prediction", (height, width), "unit", seed).astype(np.float64)
    rate = options["fixation_rate"]
    fixations = synthetic.array("fixations", (height, width), "unit", seed) < rate * density
    others = synthetic.array("other", (height, width), "unit", seed) < rate * grey("baseline")
    actual = {
        "auc_judd": metrics.auc_judd(prediction, fixations),
        "auc_judd_fixation_thresholds": metrics.auc_judd(prediction, fixations, thresholds="fixations"),
        "auc_borji": metrics.auc_borji(prediction, fixations),
        "auc_shuffled": metrics.auc_shuffled(prediction, fixations, others),
        "nss": metrics.nss(prediction, fixations),
        "cc": metrics.cc(prediction, density),
        "sim": metrics.similarity(prediction, density),
        "kld": metrics.kl_divergence(prediction, density),
        "ig": metrics.information_gain(prediction, fixations, grey("baseline") + 0.05),
        "fixations": fixations.sum(),
        "other_fixations": others.sum(),
    }
    assert actual.keys() == set(expected.files)
    for key, value in actual.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-9, atol=1e-9, err_msg=key)


def test_values_of_pysaliency():
    kept = json.loads((DATA / "metrics" / "pysaliency.json").read_text())
    maps = load(ROOT / "benchmarks" / "metrics.py").make_maps(**kept["maps"])
    saliency, density, fixations = maps["saliency"], maps["density"], maps["fixations"]
    actual = {
        "auc_judd": metrics.auc_judd(saliency, fixations),
        "auc_borji": metrics.auc_borji(saliency, fixations),
        "auc_shuffled": metrics.auc_shuffled(saliency, fixations, maps["others"]),
        "nss": metrics.nss(saliency, fixations),
        "similarity": metrics.similarity(saliency, density),
        "cc": metrics.cc(saliency, density),
        "kl_divergence": metrics.kl_divergence(saliency, density),
    }
    assert actual.keys() == kept["pysaliency"].keys()
    for key, values in actual.items():
        np.testing.assert_allclose(values, kept["pysaliency"][key], atol=1e-6, err_msg=key)


@pytest.mark.parametrize("levels", [4, 256, None])
def test_areas_are_the_statistic_of_mann_and_whitney(levels):
    random = np.random.default_rng(5)
    saliency = random.random((60, 80)) ** 4
    if levels:
        saliency = np.floor(saliency * levels)
    fixations, others = random.random((60, 80)) < 0.02, random.random((60, 80)) < 0.05

    def area(negatives):
        return mannwhitneyu(saliency[fixations], negatives).statistic / fixations.sum() / len(negatives)

    assert metrics.auc_judd(saliency, fixations) == pytest.approx(area(saliency[~fixations]), abs=1e-12)
    assert metrics.auc_borji(saliency, fixations) == pytest.approx(area(saliency.ravel()), abs=1e-12)
    shuffled = metrics.auc_shuffled(saliency, fixations, others)
    assert shuffled == pytest.approx(area(saliency[others]), abs=1e-12)
