"""What must hold for every map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gasp import metrics
from helpers.metric_cases import SHAPE, area_by_pairs, fixation_maps, saliency_maps

FEW = settings(max_examples=40, deadline=None)

# name: the argument beside the saliency map (and, for two metrics, a third one)
FIXATION_METRICS = ("auc_judd", "auc_borji", "nss")
DENSITY_METRICS = ("similarity", "cc", "kl_divergence")


def every_metric(saliency, fixations, others, density):
    """All metrics by name; arguments broadcast."""
    return {
        "auc_judd": metrics.auc_judd(saliency, fixations),
        "auc_judd_fixations": metrics.auc_judd(saliency, fixations, thresholds="fixations"),
        "auc_borji": metrics.auc_borji(saliency, fixations),
        "auc_shuffled": metrics.auc_shuffled(saliency, fixations, others),
        "auc_shuffled_2021": metrics.auc_shuffled_2021(saliency, fixations, others),
        "nss": metrics.nss(saliency, fixations),
        "information_gain": metrics.information_gain(saliency, fixations, density),
        "similarity": metrics.similarity(saliency, density),
        "similarity_plain": metrics.similarity(saliency, density, rescale=False),
        "cc": metrics.cc(saliency, density),
        "kl_divergence": metrics.kl_divergence(saliency, density),
    }


@FEW
@given(saliency_maps(), fixation_maps(), fixation_maps())
def test_areas_count_pairs(saliency, fixations, others):
    positives = saliency[fixations]
    assert metrics.auc_judd(saliency, fixations) == pytest.approx(
        area_by_pairs(positives, saliency[~fixations])
    )
    assert metrics.auc_borji(saliency, fixations) == pytest.approx(area_by_pairs(positives, saliency.ravel()))
    shuffled = metrics.auc_shuffled(saliency, fixations, others)
    assert shuffled == pytest.approx(area_by_pairs(positives, saliency[others]))


@FEW
@given(arrays(np.float32, SHAPE, elements=st.floats(-(2.0**100), 2.0**100, width=32)), fixation_maps())
def test_areas_are_exact_for_any_values(saliency, fixations):
    expected = area_by_pairs(saliency[fixations], saliency[~fixations])
    assert metrics.auc_judd(saliency, fixations) == pytest.approx(expected, abs=1e-12)


@FEW
@given(saliency_maps(), fixation_maps(), fixation_maps())
def test_areas_depend_on_order_alone(saliency, fixations, others):
    changed = np.unique(saliency, return_inverse=True)[1].reshape(SHAPE) ** 3 - 7.0
    for thresholds in ("all", "fixations"):
        before, after = (metrics.auc_judd(m, fixations, thresholds=thresholds) for m in (saliency, changed))
        assert before == pytest.approx(after, abs=1e-12)
    assert metrics.auc_borji(saliency, fixations) == metrics.auc_borji(changed, fixations)
    assert metrics.auc_shuffled(saliency, fixations, others) == metrics.auc_shuffled(
        changed, fixations, others
    )
    assert metrics.auc_judd(saliency, fixations) + metrics.auc_judd(-saliency, fixations) == pytest.approx(1)


@FEW
@given(saliency_maps(), fixation_maps(), st.sampled_from([0.25, 3.0]), st.integers(-50, 50))
def test_scale_and_offset_do_not_matter(saliency, fixations, scale, offset):
    changed = saliency * scale + offset
    assert metrics.nss(changed, fixations) == pytest.approx(metrics.nss(saliency, fixations), abs=1e-9)
    density = np.arange(saliency.size).reshape(SHAPE)
    assert metrics.cc(changed, density) == pytest.approx(metrics.cc(saliency, density), abs=1e-9)
    assert metrics.cc(-changed, density) == pytest.approx(-metrics.cc(saliency, density), abs=1e-9)
    expected = metrics.similarity(saliency, density)
    assert metrics.similarity(changed, density) == pytest.approx(expected, abs=1e-9)


@FEW
@given(saliency_maps(), fixation_maps(), fixation_maps(), saliency_maps())
def test_ranges(saliency, fixations, others, density):
    found = every_metric(saliency, fixations, others, density)
    for name in ("similarity", "similarity_plain", *(name for name in found if name.startswith("auc"))):
        assert 0 <= found[name] <= 1, name
    assert -1 <= found["cc"] <= 1
    assert 0 <= found["kl_divergence"] < 37
    assert np.isfinite(found["nss"])
    assert abs(found["information_gain"]) <= 53


@FEW
@given(saliency_maps(), saliency_maps())
def test_symmetric_where_symmetric(first, second):
    assert metrics.cc(first, second) == pytest.approx(metrics.cc(second, first), abs=1e-12)
    assert metrics.similarity(first, second) == pytest.approx(metrics.similarity(second, first), abs=1e-12)
    assert metrics.cc(first, first) == pytest.approx(1)
    assert metrics.similarity(first, first) == pytest.approx(1)
    assert metrics.kl_divergence(first, first) == pytest.approx(0, abs=1e-12)


def drawn(count, height=9, width=11, seed=0):
    random = np.random.default_rng(seed)
    saliency, density = random.random((2, count, height, width))
    fixations, others = random.random((2, count, height, width)) < 0.1
    saliency[0] = 0.5  # constant
    fixations[1] = False
    others[2] = False
    return saliency, fixations, others, density


def test_a_batch_equals_a_loop(monkeypatch):
    monkeypatch.setattr(
        "gasp.metrics.maps._PIXELS_PER_STEP_CPU", 400
    )  # several maps at a time, several times
    saliency, fixations, others, density = drawn(11)
    whole = every_metric(saliency, fixations, others, density)
    for name, values in whole.items():
        assert values.shape == (11,)
        single = [
            every_metric(*each)[name] for each in zip(saliency, fixations, others, density, strict=True)
        ]
        assert all(isinstance(value, float) for value in single)
        np.testing.assert_allclose(values, single, atol=1e-12, err_msg=name)


def test_leading_axes_and_broadcasting():
    saliency, fixations, others, density = drawn(6)
    flat = every_metric(saliency, fixations, others[3], density)
    shaped = every_metric(
        saliency.reshape(2, 3, 9, 11), fixations.reshape(2, 3, 9, 11), others[3], density.reshape(2, 3, 9, 11)
    )
    for name, values in shaped.items():
        np.testing.assert_allclose(values.reshape(6), flat[name], atol=1e-12, err_msg=name)
    one_for_all = metrics.nss(saliency[3], fixations)
    np.testing.assert_allclose(one_for_all, [metrics.nss(saliency[3], each) for each in fixations])
    assert metrics.nss(saliency[:0], fixations[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.uint8, torch.int64])
def test_types_of_tensors(dtype):
    saliency, fixations, others, density = (torch.from_numpy(each[3:]) for each in drawn(5))
    saliency = (saliency * 255).to(dtype)
    found = every_metric(saliency, fixations.int() * 3, others.float(), density)
    expected = every_metric(saliency.double().numpy(), fixations.numpy(), others.numpy(), density.numpy())
    for name, values in found.items():
        assert isinstance(values, torch.Tensor)
        assert values.dtype == torch.float64
        exact = dtype in (torch.float64, torch.int64)
        np.testing.assert_allclose(values, expected[name], atol=1e-9 if exact else 2e-7, err_msg=name)


def test_large_maps_are_counted_in_bins_exactly():
    random = np.random.default_rng(2)
    smooth = np.exp(-(np.linspace(-4, 4, 300)[:, None] ** 2 + np.linspace(-6, 6, 400) ** 2)).astype(
        np.float32
    )
    fixations = random.random(smooth.shape) < 0.001
    for saliency in (smooth, np.round(smooth * 255), -smooth, np.float32(3e38) * (smooth - 0.5) * 1.9):
        order = np.unique(saliency, return_inverse=True)[1].reshape(smooth.shape)
        cumulative = np.concatenate([[0], np.bincount(order.ravel()).cumsum()])
        halves = (cumulative[order[fixations]] + cumulative[order[fixations] + 1]) / 2
        assert metrics.auc_borji(saliency, fixations) == pytest.approx(halves.mean() / smooth.size, abs=1e-12)
        dense = np.ones_like(fixations)
        assert metrics.auc_shuffled(saliency, fixations, dense) == metrics.auc_borji(saliency, fixations)


def test_gradients():
    saliency, fixations, _, density = (torch.from_numpy(each[3:5]) for each in drawn(5, 3, 4, seed=3))
    fixations[:, 0, 0] = True
    saliency.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: metrics.nss(s, fixations), saliency)
    assert torch.autograd.gradcheck(lambda s: metrics.information_gain(s, fixations, density), saliency)
    assert torch.autograd.gradcheck(lambda s: metrics.cc(s, density), saliency)
    assert torch.autograd.gradcheck(lambda s: metrics.similarity(s, density), saliency)
    assert torch.autograd.gradcheck(lambda s: metrics.kl_divergence(s, density), saliency)
    assert not metrics.auc_judd(saliency, fixations).requires_grad


@pytest.mark.parametrize("scale", [1e-200, 1e150, 2.0**-1060])
def test_extreme_scales_change_nothing(scale):
    saliency, fixations, others, density = (each[3] for each in drawn(4))
    saliency = np.round(saliency * 16)
    expected = every_metric(saliency, fixations, others, density)
    for name, value in every_metric(saliency * scale, fixations, others, density).items():
        assert value == pytest.approx(expected[name], abs=1e-9), name


def test_a_large_offset_costs_no_digits():
    saliency, fixations, _, density = (each[3] for each in drawn(4))
    saliency = np.round(saliency * 16)
    for offset in (1e6, -1e12):
        moved = saliency + offset
        assert metrics.nss(moved, fixations) == pytest.approx(metrics.nss(saliency, fixations), abs=1e-12)
        assert metrics.cc(moved, density) == pytest.approx(metrics.cc(saliency, density), abs=1e-12)


def large(scale=1.0, offset=0.0):
    """Maps (5, 240, 320) of unusual kinds, and what to compare them with; all exact in float32."""
    random = np.random.default_rng(4)
    noise = np.round(random.random((240, 320)) ** 4 * 2**12)
    spike, hole = np.zeros((2, 240, 320))
    spike[100, 200] = hole[10, 20] = 4096
    narrow = 4000 + random.integers(0, 2, noise.shape)
    saliency = np.stack([noise, spike, 4096 - hole, narrow, np.minimum(noise, 3)])
    fixations = random.random(noise.shape) < 0.001
    fixations[100, 200] = fixations[10, 20] = True
    return (
        saliency * scale + offset,
        fixations,
        random.random(noise.shape) < 0.01,
        noise.T.reshape(noise.shape),
    )


@pytest.mark.parametrize(
    ("scale", "offset"), [(1, 0), (1, 2**22), (1, -(2**22)), (2.0**-70, 0), (2.0**80, 0)]
)
def test_float32_is_as_good_as_float64(scale, offset):
    saliency, fixations, others, density = large(scale, offset)
    saliency = np.abs(saliency)
    assert np.array_equal(saliency.astype(np.float32), saliency)
    exact = every_metric(saliency, fixations, others, density)
    for name, values in every_metric(saliency.astype(np.float32), fixations, others, density).items():
        np.testing.assert_allclose(values, exact[name], atol=1e-6, rtol=1e-6, err_msg=name)
