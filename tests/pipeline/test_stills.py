"""A picture by itself is looked at longer, and its map stays where it is; a video's is placed."""

from __future__ import annotations

import numpy as np

from gasp.config.settings import PredictSettings
from gasp.pipeline.networks import Networks
from gasp.pipeline.predictor import Predictor
from gasp.video import open_source


def test_pictures_and_videos_are_told_apart(networks: Networks) -> None:
    image = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    predictor = Predictor(PredictSettings(why=0, cues=("glance",), faces="none"), networks)
    assert networks.stills is not None
    with open_source(image) as source, open_source([image, image]) as video:
        assert (source.still, video.still) == (True, False)
        still, moving = predictor.begin(source), predictor.begin(video)
        [seen] = still.look(list(source.frames()))
        [glimpse] = networks.stills().read([image])
        assert seen is not None
        np.testing.assert_allclose(seen.saliency, glimpse.saliency, atol=1e-4)
        [seen, _] = moving.look(list(video.frames()))
        [glimpse] = networks.reader.read([image])
        assert seen is not None
        np.testing.assert_allclose(seen.saliency, glimpse.saliency, atol=1e-4)
    assert still.warm_up < moving.warm_up
