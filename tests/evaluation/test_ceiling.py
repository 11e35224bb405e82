"""What the other observers can predict, and the kernel with which they do."""

from __future__ import annotations

import numpy as np
import pytest

from gasp.datasets.fixations import Fixations
from gasp.evaluation.ceiling import WIDTHS, CeilingKernel, choose_kernel, predicted_by, sampled_truths
from gasp.evaluation.evaluate import evaluate
from gasp.evaluation.items import open_items
from gasp.evaluation.results import Evaluation, System
from gasp.evaluation.score_tables import notes
from gasp.evaluation.scoring import KEYS, METRICS, Context, score_other_observers
from gasp.evaluation.settings import EvaluationSettings
from gasp.evaluation.truth import Truth
from helpers.evaluation_sets import make_pictures

HEIGHT, WIDTH = 90, 160


def scenes(
    spread: float, sigma: float, observers: int = 12, count: int = 15, astray: float = 0.0
) -> list[Truth]:
    """Frames in which everybody looks at one place, give or take ``spread`` pixels; some of them anywhere."""
    rng = np.random.default_rng(4)
    made = []
    for _ in range(count):
        x, y = rng.uniform(30, WIDTH - 30), rng.uniform(30, HEIGHT - 30)
        points = np.array([x, y]) + rng.normal(0, spread, (observers, 2))
        lost = rng.random(observers) < astray
        points[lost] = rng.uniform(0, (WIDTH, HEIGHT), (observers, 2))[lost]
        fixations = Fixations.create(points[:, 0], points[:, 1], np.arange(observers)).inside(HEIGHT, WIDTH)
        made.append(Truth(fixations, HEIGHT, WIDTH, sigma))
    return made


@pytest.mark.parametrize("sigma", [3.0, 6.0, 12.0])
def test_the_width_follows_the_spread_and_not_the_datasets_kernel(sigma: float) -> None:
    kernel = choose_kernel(scenes(6.0, sigma))
    assert 3 < kernel.width * sigma < 9
    assert kernel.bits > 3
    assert kernel.frames == 15


def test_the_choice_is_the_likeliest_for_left_out_observers() -> None:
    frames = scenes(6.0, 12.0)

    def bits(kernel: CeilingKernel) -> float:
        found = []
        for truth in frames:
            of_frame = []
            for one in truth.fixations.observer:
                left = truth.fixations.of_observer(int(one))
                density = predicted_by(truth.fixations.without_observer(int(one)), truth, kernel)
                at = density[left.y.astype(int), left.x.astype(int)]
                of_frame.append(np.log2(at * density.size).mean())
            found.append(np.mean(of_frame))
        return float(np.mean(found))

    chosen = choose_kernel(frames)
    assert bits(chosen) == pytest.approx(chosen.bits, abs=0.1)
    others = [CeilingKernel(width, chosen.uniform, chosen.centre) for width in WIDTHS[::4]]
    assert all(bits(other) <= bits(chosen) + 0.02 for other in others)


def test_the_more_go_astray_the_more_is_mixed_in() -> None:
    together, apart = (choose_kernel(scenes(4.0, 4.0, astray=astray)) for astray in (0.0, 0.4))
    assert apart.uniform + apart.centre > together.uniform + together.centre + 0.1
    assert apart.bits < together.bits


def test_a_prediction_is_a_distribution_without_holes() -> None:
    truth = scenes(4.0, 4.0)[0]
    density = predicted_by(truth.fixations, truth, CeilingKernel(0.25, 0.02, 0.03))
    assert density.sum() == pytest.approx(1, abs=1e-4)
    assert density.min() >= 0.02 / density.size


def test_one_observer_predicts_nobody() -> None:
    assert np.isnan(choose_kernel(scenes(4.0, 4.0, observers=1)).bits)
    assert choose_kernel([]).plain()["bits"] is None


def test_a_wide_kernel_of_a_dataset_does_not_lower_the_ceiling_at_fixations() -> None:
    means = []
    for sigma in (4.0, 25.0):  # the latter as the code of 2021 blurred FindWho
        frames = scenes(4.0, sigma)
        context = Context(ceiling=choose_kernel(frames))
        means.append(np.mean([score_other_observers(truth, context)[KEYS.index("nss")] for truth in frames]))
    assert means[1] > 0.85 * means[0]


def test_frames_are_spread_over_items(tmp_path) -> None:
    items = open_items(make_pictures(tmp_path), split="all").items
    assert len(list(sampled_truths(items, 640))) == len(items)
    assert len(list(sampled_truths(items, 640, most=2))) < len(items)


def test_the_kernel_is_told(tmp_path) -> None:
    items = open_items(make_pictures(tmp_path), split="all")
    found = evaluate(items, settings=EvaluationSettings(draws=100))
    told = found.about["settings"]["ceiling_kernel"]
    assert set(told) == {"width", "uniform", "centre", "bits", "frames"}
    assert told["frames"] == len(items.items)
    assert (
        evaluate(items, settings=EvaluationSettings(draws=100, ceiling=False)).about["settings"][
            "ceiling_kernel"
        ]
        is None
    )


def test_a_system_above_the_ceiling_is_pointed_out(tmp_path) -> None:
    items = open_items(make_pictures(tmp_path), split="all")
    found = evaluate(items, settings=EvaluationSettings(draws=100))
    place = found.names.index("other observers")
    scores = [video.scores for video in found.videos]
    for video in found.videos:
        ours = video.scores[:, [place]].copy()
        ours[..., KEYS.index("nss")] += 1  # better
        ours[..., KEYS.index("kld")] += 1  # worse
        ours[..., KEYS.index("cc")] -= 0.1
        video.scores = np.concatenate([ours, video.scores], 1)
    above = Evaluation(
        found.dataset,
        [System("ours", "system"), *found.systems],
        found.videos,
        found.problems,
        "centre prior",
    )
    assert "ours exceeds the other observers in NSS:" in notes(above)
    for video, before in zip(found.videos, scores, strict=True):
        video.scores = before
    assert "exceeds" not in notes(found)
    assert len(METRICS) == 8
