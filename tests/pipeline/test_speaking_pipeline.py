"""The pipeline ``default-asd``: the demo from end to end, and what is said where its weights are not here."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import gasp
from gasp.config.presets import PRESETS
from gasp.errors import WeightsError
from helpers.parity import Case

CLIP = Path(gasp.__file__).parent / "demo" / "clip.mp4"


def test_the_demo_from_end_to_end(tmp_path: Path) -> None:
    weights = tmp_path / "light_asd.model"
    torch.save(Case("light_asd", "network_one").state_dict(), weights)
    values = PRESETS["default-asd"]
    cues = [
        {"name": cue, "weights": str(weights)} if cue == "speaking-asd" else cue for cue in values["cues"]
    ]
    predictions = list(islice(gasp.predict(CLIP, pipeline={**values, "cues": cues}), 20))
    assert [prediction.index for prediction in predictions] == list(range(20))
    for prediction in predictions:
        assert list(prediction.cues) == ["captured", "glance", "faces", "speaking-asd", "motion"]
        assert set(prediction.gates or ()) == set(prediction.cues)
        assert prediction.cues["speaking-asd"].shape == prediction.cues["faces"].shape
        assert np.isfinite(prediction.saliency).all()
        assert prediction.faces
        assert all(0 <= float(face.found["speaking"]) <= 1 for face in prediction.faces)
        assert not prediction.failed


def test_missing_weights_name_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GASP_CWD", str(tmp_path))
    with pytest.raises(WeightsError, match="`gasp download light-asd`"):
        next(gasp.predict(CLIP, pipeline="default-asd"))
