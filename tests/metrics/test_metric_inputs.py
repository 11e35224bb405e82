"""Undefined values, options, and arguments that cannot be used."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gasp import metrics
from gasp.errors import InputError, UsageError

MAP = np.arange(12.0).reshape(3, 4)
POINT = np.zeros((3, 4), bool)
POINT[2, 3] = True
NONE = np.zeros((3, 4), bool)
CONSTANT = np.full((3, 4), 0.1)
ZERO = np.zeros((3, 4))


@pytest.mark.parametrize(
    "value",
    [
        metrics.auc_judd(MAP, NONE),
        metrics.auc_judd(MAP, ~NONE),
        metrics.auc_judd(MAP, NONE, thresholds="fixations"),
        metrics.auc_judd(MAP, ~NONE, thresholds="fixations"),
        metrics.auc_borji(MAP, NONE),
        metrics.auc_borji(MAP, NONE, splits=3),
        metrics.auc_shuffled(MAP, NONE, POINT),
        metrics.auc_shuffled(MAP, POINT, NONE),
        metrics.auc_shuffled(MAP, POINT, NONE, splits=3),
        metrics.nss(MAP, NONE),
        metrics.nss(CONSTANT, POINT),
        metrics.information_gain(MAP, NONE, CONSTANT),
        metrics.information_gain(CONSTANT, POINT, CONSTANT),
        metrics.information_gain(MAP, POINT, ZERO),
        metrics.similarity(CONSTANT, MAP),
        metrics.similarity(MAP, CONSTANT),
        metrics.similarity(ZERO, MAP, rescale=False),
        metrics.similarity(MAP, ZERO, rescale=False),
        metrics.cc(CONSTANT, MAP),
        metrics.cc(MAP, CONSTANT),
        metrics.kl_divergence(ZERO, MAP),
        metrics.kl_divergence(MAP, ZERO),
    ],
)
def test_undefined_is_nan(value):
    assert math.isnan(value)


def test_a_constant_map_is_at_chance():
    for saliency in (CONSTANT, ZERO):
        assert metrics.auc_judd(saliency, POINT) == 0.5
        assert metrics.auc_borji(saliency, POINT, step=0.1) == 0.5
        assert metrics.auc_shuffled(saliency, POINT, ~POINT) == 0.5


def test_repeated_fixations_count_once():
    counts = POINT * 5 + np.eye(3, 4) * 2
    assert metrics.nss(MAP, counts) == metrics.nss(MAP, counts > 0)
    assert metrics.auc_judd(MAP, counts.astype(np.uint8)) == metrics.auc_judd(MAP, counts > 0)


def test_arguments_stay_as_they_are():
    saliency, fixations, density = MAP + 5, POINT.astype(np.uint8) * 255, MAP**2
    before = saliency.copy(), fixations.copy(), density.copy()
    metrics.nss(saliency, fixations)
    metrics.similarity(saliency, density)
    metrics.information_gain(saliency, fixations, density)
    metrics.auc_judd(saliency, fixations)
    for array, copy in zip((saliency, fixations, density), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_read_only_strided_and_foreign_arrays():
    strided = np.zeros((6, 4))
    strided[::-2] = MAP
    expected = metrics.nss(MAP, POINT)
    frozen = MAP.copy()
    frozen.flags.writeable = False
    assert metrics.nss(frozen, POINT) == expected
    assert metrics.nss(strided[::-2], POINT) == expected
    assert metrics.nss(MAP.astype(">f8"), POINT) == expected
    assert metrics.nss(MAP.astype(np.uint16), POINT) == expected
    assert metrics.nss(MAP.tolist(), POINT.tolist()) == expected


def test_nothing_is_random_unless_splits_are_given():
    saliency = np.random.default_rng(0).random((20, 30))
    fixations = saliency > 0.8
    generator = torch.Generator().manual_seed(1)
    assert metrics.auc_borji(saliency, fixations, generator=generator) == metrics.auc_borji(
        saliency, fixations
    )
    drawn = [
        metrics.auc_borji(saliency, fixations, generator=torch.Generator().manual_seed(seed), splits=100)
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == pytest.approx(metrics.auc_borji(saliency, fixations), abs=0.01)
    from_numpy = metrics.auc_borji(saliency, fixations, generator=np.random.default_rng(3), splits=100)
    assert from_numpy == pytest.approx(drawn[0], abs=0.01)


def test_drawn_shuffled_area_is_near_the_exact_one():
    random = np.random.default_rng(0)
    saliency, fixations = random.random((20, 30)), random.random((20, 30)) < 0.05
    others = random.random((20, 30)) < 0.3
    for step in (None, 0.1):
        exact = metrics.auc_shuffled(saliency, fixations, others, step=step)
        generator = torch.Generator().manual_seed(1)
        drawn = metrics.auc_shuffled(saliency, fixations, others, generator=generator, splits=200, step=step)
        assert drawn == pytest.approx(exact, abs=0.01)
    assert metrics.auc_shuffled(saliency, fixations, fixations, splits=2) == 0.5


def test_the_area_of_2021_counts_every_pixel_of_the_picture_that_is_not_black():
    saliency = np.array([[0.0, 0.31, 0.39, 1.0]])
    fixations = np.array([[0, 0, 1, 0]])
    picture = np.array([[0, 7, 0, 200]])
    # 0.39 and 0.31 are both between the thresholds 0.3 and 0.4: half a win, and one loss.
    assert metrics.auc_shuffled_2021(saliency, fixations, picture) == 0.25
    assert metrics.auc_shuffled(saliency, fixations, picture) == 0.5


def test_similarity_without_rescaling():
    first, second = np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]])
    assert metrics.similarity(first, second, rescale=False) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.nss(MAP, POINT[:2]), "fixations is 2 x 4 .* saliency is 3 x 4.*gasp.metrics.resize"),
        (lambda: metrics.cc(MAP[0], MAP), r"saliency: .*\(4,\)"),
        (lambda: metrics.cc(MAP[:0], MAP[:0]), "saliency: the map is empty"),
        (lambda: metrics.cc(np.stack([MAP] * 2), np.stack([MAP] * 3)), "do not fit together: saliency"),
        (lambda: metrics.cc(np.where(POINT, np.nan, MAP), MAP), "saliency: a map holds NaN"),
        (lambda: metrics.auc_judd(np.where(POINT, -np.inf, MAP), POINT), "saliency: .*large as inf"),
        (lambda: metrics.similarity(MAP, MAP * 1e307), "density: .*large as"),
        (lambda: metrics.nss(MAP, np.where(POINT, np.nan, MAP)), "fixations: a map holds NaN"),
        (lambda: metrics.nss(MAP, POINT * -1), "fixations: a fixation map cannot be negative"),
        (lambda: metrics.kl_divergence(MAP - 1, MAP), "saliency: a density cannot be negative"),
        (lambda: metrics.kl_divergence(MAP, MAP - 1), "density: a density cannot be negative"),
        (lambda: metrics.information_gain(MAP, POINT, MAP - 1), "baseline: a density cannot"),
        (lambda: metrics.similarity(MAP - 1, MAP, rescale=False), "saliency: a density cannot"),
        (lambda: metrics.cc(MAP.astype(complex), MAP), "saliency: .*complex"),
        (lambda: metrics.cc(torch.ones(2, 2, dtype=torch.complex64), MAP[:2, :2]), "saliency: .*complex"),
        (lambda: metrics.cc(np.array([["a", "b"]]), MAP), "saliency: a map holds numbers"),
        (lambda: metrics.resize(MAP[0], 3, 4), r"\(4,\)"),
        (lambda: metrics.resize(MAP, 0, 4), "0 x 4"),
    ],
)
def test_unusable_maps_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.auc_judd(MAP, POINT, thresholds="some"),
        lambda: metrics.auc_borji(MAP, POINT, splits=0),
        lambda: metrics.auc_borji(MAP, POINT, step=0),
        lambda: metrics.auc_shuffled(MAP, POINT, POINT, step=2),
    ],
)
def test_unusable_options_are_named(call):
    with pytest.raises(UsageError):
        call()


def test_resize_keeps_type_range_and_centre():
    maps = np.zeros((2, 3, 8, 8), np.float32)
    maps[..., 2:6, 2:6] = 1
    for height, width in ((16, 24), (4, 4), (8, 8)):
        resized = metrics.resize(maps, height, width)
        assert (resized.shape, resized.dtype) == ((2, 3, height, width), np.float32)
        assert resized.min() >= 0
        assert resized.max() <= 1 + 1e-6
        assert resized.mean() == pytest.approx(0.25, abs=0.01)
        np.testing.assert_allclose(resized, resized[..., ::-1, ::-1], atol=1e-6)
    assert isinstance(metrics.resize(torch.ones(4, 4, dtype=torch.uint8), 2, 2), torch.Tensor)
    np.testing.assert_allclose(metrics.resize(np.array([[0.0, 1.0]]), 1, 4), [[0, 0.25, 0.75, 1]])


# --- what is no fixation map -------------------------------------------------------------------------------

SMALL = (60, 80)
AT_POINTS = {
    "auc_judd": lambda s, f: metrics.auc_judd(s, f),
    "auc_borji": lambda s, f: metrics.auc_borji(s, f),
    "auc_shuffled": lambda s, f: metrics.auc_shuffled(s, f, np.ones(SMALL, bool)),
    "auc_shuffled_2021": lambda s, f: metrics.auc_shuffled_2021(s, f, np.ones(SMALL)),
    "nss": lambda s, f: metrics.nss(s, f),
    "information_gain": lambda s, f: metrics.information_gain(s, f, np.ones(SMALL)),
}
CLASSES = {
    "AUCJudd": lambda s, f: metrics.AUCJudd().update(s, f),
    "AUCBorji": lambda s, f: metrics.AUCBorji().update(s, f),
    "AUCShuffled": lambda s, f: metrics.AUCShuffled().update(s, f, torch.ones(SMALL, dtype=torch.bool)),
    "NSS": lambda s, f: metrics.NSS().update(s, f),
    "InformationGain": lambda s, f: metrics.InformationGain().update(s, f, torch.ones(SMALL)),
}


def recorded(observers=39, each=12, shape=SMALL, seed=0):
    """Counts of fixations that crowd around the middle."""
    middle, spread = np.array(shape) / 2, np.array(shape) / 6
    places = np.random.default_rng(seed).normal(middle, spread, (observers * each, 2)).astype(int)
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, tuple(places.clip(0, np.array(shape) - 1).T), 1)
    return counts


def blurred(counts, sigma=2.0):
    from gasp.datasets import FixationMap, density_map

    return density_map(FixationMap(counts), sigma).values


def saliency_map():
    return np.random.default_rng(1).random(SMALL)


@pytest.mark.parametrize("metric", [*AT_POINTS.values(), *CLASSES.values()], ids=[*AT_POINTS, *CLASSES])
@pytest.mark.parametrize(
    "convert",
    [
        lambda density: density,
        lambda density: density.astype(np.float32) / density.max(),
        lambda density: (255 * density / density.max()).astype(np.uint8),
        lambda density: np.floor(255 * density / density.max()),
        lambda density: np.stack([recorded() > 0, density]),
    ],
    ids=["density", "highest 1", "8 bits", "whole floats", "one of several"],
)
def test_a_density_is_not_taken_for_fixations(metric, convert):
    with pytest.raises(InputError, match=r"fixations: .*(density|grey)"):
        metric(torch.from_numpy(saliency_map()), torch.from_numpy(convert(blurred(recorded()))))


def test_a_small_blurred_point_and_a_broad_mask_are_no_fixations():
    one = np.zeros(SMALL, np.int64)
    one[20, 30] = 1
    spot = blurred(one, 1.5)
    for mistaken in (spot, (255 * spot / spot.max()).astype(np.uint8)):
        with pytest.raises(InputError, match=r"fraction|grey"):
            metrics.nss(saliency_map(), mistaken)
    with pytest.raises(InputError, match="of 4800 pixels are above 0"):
        metrics.auc_judd(saliency_map(), blurred(recorded()) > 1e-9)
    assert metrics.nss(saliency_map(), 2.0 * one) == metrics.nss(saliency_map(), one)


@pytest.mark.parametrize("metric", AT_POINTS.values(), ids=AT_POINTS)
@pytest.mark.parametrize("each", [1, 12, 25])
def test_recordings_are_never_refused(metric, each):
    counts = recorded(each=each)
    forms = (
        counts, counts > 0, counts.astype(np.float32), counts.astype(np.uint8), 255 * counts,
        (counts > 0).astype(np.float64), np.minimum(255 * counts, 255).astype(np.uint8),
    )  # fmt: skip
    scores = [metric(saliency_map(), form) for form in forms]
    assert len(set(scores)) == 1
    assert math.isfinite(scores[0])


def test_fixations_of_other_pictures_may_cover_much():
    everywhere = np.ones(SMALL, bool)
    assert 0 < metrics.auc_shuffled(saliency_map(), recorded(), everywhere) < 1
    with pytest.raises(InputError, match="other_fixations"):
        metrics.auc_shuffled(saliency_map(), recorded(), blurred(recorded()))


def test_the_haze_of_jpeg_is_named_and_a_threshold_mends_it():
    import cv2

    points = np.zeros((120, 120), np.uint8)
    for row, column in np.argwhere(recorded(each=1)):
        points[row : row + 2, column : column + 2] = 255
    stored = cv2.imdecode(cv2.imencode(".jpg", points)[1], cv2.IMREAD_GRAYSCALE)
    saliency = np.random.default_rng(1).random(points.shape)
    with pytest.raises(InputError, match="above 127"):
        metrics.nss(saliency, stored)
    assert metrics.nss(saliency, stored > 127) == pytest.approx(metrics.nss(saliency, points), abs=0.1)
