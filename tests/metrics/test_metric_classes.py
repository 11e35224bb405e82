"""The torchmetrics classes, and the examples in the documentation."""

from __future__ import annotations

import doctest
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed, multiprocessing

from gasp import metrics
from gasp.metrics import auc, classes, distribution, maps, pointwise

CLASSES = {
    "AUCJudd": metrics.auc_judd,
    "AUCBorji": metrics.auc_borji,
    "AUCShuffled": metrics.auc_shuffled,
    "NSS": metrics.nss,
    "InformationGain": metrics.information_gain,
    "Similarity": metrics.similarity,
    "CC": metrics.cc,
    "KLDivergence": metrics.kl_divergence,
}


def arguments(name, count=9, seed=0):
    random = np.random.default_rng(seed)
    saliency, density = torch.from_numpy(random.random((2, count, 6, 8)))
    fixations, others = torch.from_numpy(random.random((2, count, 6, 8)) < 0.2)
    fixations[1] = False  # undefined for some
    saliency[2] = 1  # undefined for others
    if name in ("Similarity", "CC", "KLDivergence"):
        return saliency, density
    third = {"AUCShuffled": (others,), "InformationGain": (density,)}
    return saliency, fixations, *third.get(name, ())


@pytest.mark.parametrize("name", CLASSES)
def test_parts_and_the_whole_agree_with_the_function(name):
    given = arguments(name)
    scores = CLASSES[name](*given)
    whole, parts = getattr(metrics, name)(), getattr(metrics, name)()
    whole.update(*given)
    for piece in (slice(0, 1), slice(1, 2), slice(2, 9)):
        parts.update(*(each[piece] for each in given))
    expected = float(scores.nanmean())
    assert float(whole.compute()) == pytest.approx(expected, abs=1e-12)
    assert float(parts.compute()) == pytest.approx(expected, abs=1e-12)
    assert int(whole.undefined) == int(parts.undefined) == int(scores.isnan().sum())
    assert int(whole.count + whole.undefined) == 9


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(CLASSES)), st.lists(st.integers(0, 9), max_size=4), st.integers(0, 3))
def test_however_maps_are_split_and_merged_the_mean_is_the_same(name, cuts, seed):
    given_maps = arguments(name, seed=seed)
    whole, merged = getattr(metrics, name)(), getattr(metrics, name)()
    whole.update(*given_maps)
    bounds = [0, *sorted(cuts), 9]
    for start, stop in itertools.pairwise(bounds):
        part = getattr(metrics, name)()
        part.update(*(each[start:stop] for each in given_maps))
        merged.merge_state(part)
    assert float(merged.compute()) == pytest.approx(float(whole.compute()), abs=1e-12)
    assert (int(merged.count), int(merged.undefined)) == (int(whole.count), int(whole.undefined))


@pytest.mark.parametrize("name", CLASSES)
def test_merging_pickling_and_resetting(name):
    given = arguments(name)
    first, second, whole = (getattr(metrics, name)() for _ in range(3))
    first.update(*(each[:4] for each in given))
    second.update(*(each[4:] for each in given))
    whole.update(*given)
    second.merge_state(pickle.loads(pickle.dumps(first)))
    assert float(second.compute()) == pytest.approx(float(whole.compute()), abs=1e-12)
    assert int(second.undefined) == int(whole.undefined)
    whole.reset()
    assert int(whole.count) == int(whole.undefined) == 0


def test_one_map_arrays_and_forward():
    metric = metrics.NSS()
    saliency, fixations = (each[0].numpy() for each in arguments("NSS"))
    assert float(metric(saliency, fixations)) == pytest.approx(metrics.nss(saliency, fixations))
    assert int(metric.count) == 1


def test_options_reach_the_function():
    saliency, fixations = arguments("NSS")
    judd = metrics.AUCJudd(thresholds="fixations")
    judd.update(saliency, fixations)
    expected = metrics.auc_judd(saliency, fixations, thresholds="fixations").nanmean()
    assert float(judd.compute()) == pytest.approx(float(expected))
    borji = metrics.AUCBorji(step=0.1)
    borji.update(saliency, fixations)
    assert float(borji.compute()) == pytest.approx(
        float(metrics.auc_borji(saliency, fixations, step=0.1).nanmean())
    )


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_no_map_is_nan():
    assert math.isnan(metrics.CC().compute())


@pytest.mark.parametrize("name", CLASSES)
def test_plot(name):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    metric = getattr(metrics, name)()
    metric.update(*arguments(name))
    figure, axes = metric.plot()
    assert figure is not None
    assert axes is not None
    matplotlib.pyplot.close(figure)


def _one_of_two(rank, file, results):
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    metric = metrics.NSS()
    piece = slice(0, 2) if rank == 0 else slice(2, 9)  # unequal, and one process has only one defined map
    metric.update(*(each[piece] for each in arguments("NSS")))
    results[rank] = float(metric.compute())
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_mean_over_all_maps(tmp_path):
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(_one_of_two, (str(tmp_path / "meeting"), results), nprocs=2)
        expected = float(metrics.nss(*arguments("NSS")).nanmean())
        assert dict(results) == {0: pytest.approx(expected), 1: pytest.approx(expected)}


@pytest.mark.parametrize("module", [auc, classes, distribution, maps, pointwise], ids=lambda m: m.__name__)
def test_examples_in_the_documentation(module):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    outcome = doctest.testmod(module, extraglobs={"torch": torch}, optionflags=options)
    assert outcome.failed == 0
    assert outcome.attempted or module is maps
