"""Maps that were stored before as a cue."""

from __future__ import annotations

import numpy as np

from gasp.config.settings import PredictSettings
from gasp.cues.stored import StoredCue
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.predict import predict_source
from gasp.video.grouped import GroupedSource, image_path, read_colours
from helpers.grouped_frames import make_grouped


def test_every_frame_gets_its_stored_map(tmp_path, monkeypatch):
    folder = make_grouped(tmp_path, frames=11) / "diem" / "talk_96x64"
    image_path(folder, 3, "det_transformed_dave").unlink()
    image_path(folder, 4, "det_transformed_dave").write_bytes(b"damaged")
    source = GroupedSource(folder)
    settings = PredictSettings.read(
        {"pipeline": {"cues": ["captured"], "faces": "none", "placement": "none"}, "why": 0, "device": "cpu"}
    )
    pipeline = Pipeline(settings, cues=[StoredCue("dave", folder, source.numbers, "det_transformed_dave")])
    monkeypatch.setattr(pipeline.networks.reader, "read", None)  # nobody needs what it sees
    maps = {source.numbers[one.index]: one.cues["dave"] for one in predict_source(source, pipeline)}
    assert list(maps) == source.numbers
    assert not pipeline.events
    for number, drawn in maps.items():
        stored = read_colours(image_path(folder, number, "det_transformed_dave"))
        np.testing.assert_array_equal(drawn, np.zeros((10, 10, 3)) if number in (3, 4) else stored)
    assert pipeline.warm_up == pipeline.networks.fusion.network.sequence_len - 1
