"""Looks at contributions that are spread over frames."""

from __future__ import annotations

import numpy as np
import pytest

from gasp.config.settings import PredictSettings
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.video.frames import Frame
from helpers.streams import picture


@pytest.fixture(scope="module")
def networks():
    return Networks.load(PredictSettings.read({"device": "cpu", "threads": 1}))


def predictions(networks, count, spread, cut=None):
    settings = PredictSettings.read({"device": "cpu", "why": 4.0, "threads": 1})
    pipeline = Pipeline(settings, networks, spread=spread)
    got = []
    for k in range(count):
        # Always the same picture, so that a look tells the same whenever it is taken.
        image = picture(0 if cut is None or k < cut else 25)
        if cut is not None and k >= cut:
            image = 255 - image
        frame = Frame(k, 0.04 * k, image)
        got += pipeline.step([frame], [None])
    return got


def test_a_spread_look_finds_what_a_whole_one_finds(networks):
    whole, spread = predictions(networks, 20, 0)[-1], predictions(networks, 20, 2)[-1]
    assert spread.contributions.names == whole.contributions.names
    np.testing.assert_allclose(spread.contributions.maps, whole.contributions.maps, atol=1e-6)
    np.testing.assert_allclose(spread.saliency, whole.saliency, atol=1e-6)


def test_a_cut_forgets_what_was_found_before_it(networks):
    got = predictions(networks, 30, 1, cut=15)
    assert got[15].cut
    assert got[14].why is not None
    assert got[15].why is None
    assert got[-1].why is not None
