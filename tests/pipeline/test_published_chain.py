"""Published cues and networks in the pipeline, with random weights in files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gasp.config.settings import PredictSettings
from gasp.demo import clip_path
from gasp.networks import create_model
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.predict import predict_source
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.predictor import Predictor
from gasp.pipeline.timing import step_of
from gasp.results.output_settings import OutputSettings
from gasp.runs.inputs import predict_input
from gasp.video import VideoWriter, open_source
from gasp.video.frames import Frame
from gasp.work.progress import Progress

MODALITIES = ["captured", "gaze360", "faces"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights of two networks in the published layout."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    torch.save({"state_dict": create_model("gaze360").state_dict()}, folder / "gaze360.pth.tar")
    fusion = create_model("SequenceGASPDAMEncALSTMGMUConv", modalities=3, sequence_len=3, sequence_norm=True)
    torch.save(fusion.state_dict(), folder / "last_model.pt")
    return folder


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Frames with a face in them."""
    with open_source(clip_path()) as source:
        return [frame for frame, _ in zip(source, range(11), strict=False)]


def describe(weights: Path, mode: str) -> dict[str, Any]:
    return {
        "cues": [
            {"name": "captured", "options": {"full": True}},
            {"name": "gaze360", "mode": mode, "weights": str(weights / "gaze360.pth.tar")},
            "faces",
        ],
        "fusion": {
            "weights": str(weights / "last_model.pt"),
            "network": "SequenceGASPDAMEncALSTMGMUConv",
            "options": {"sequence_len": 3, "sequence_norm": True},
            "modalities": MODALITIES,
            "pictures": "published" if mode == "published" else "direct",
        },
        "alignment": mode,
    }


def run(frames: list[Frame], **settings: Any) -> list[Prediction]:
    checked = PredictSettings.read({"device": "cpu", **settings})
    source = open_source(frames)
    return list(predict_source(source, Pipeline(checked, step=step_of(source, checked))))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["corrected", "published"])
def test_every_frame_is_predicted_whatever_the_batch(mode: str, weights: Path, frames: list[Frame]) -> None:
    pipeline = describe(weights, mode)
    one, five = (run(frames, pipeline=pipeline, batch=batch) for batch in (1, 5))
    assert [p.index for p in one] == list(range(11))
    assert any(p.faces for p in one)
    for alone, together in zip(one, five, strict=True):
        assert list(alone.cues) == MODALITIES
        assert alone.saliency.shape == (60, 60)
        assert list(alone.gates or {}) == MODALITIES
        np.testing.assert_allclose(together.saliency, alone.saliency, atol=2e-3)
        for name in MODALITIES:
            # One level of grey is up to four of a colour in the colour map.
            assert np.abs(alone.cues[name].astype(int) - together.cues[name]).max() <= 4
        for face, other in zip(alone.faces, together.faces, strict=True):
            assert face.found.keys() == other.found.keys()
    if mode == "corrected":
        assert all(
            {"gaze_yaw", "gaze_pitch"} <= face.found.keys() for p in one for face in p.faces if face.observed
        )


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def clip(frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    height, width = frames[0].image.shape[:2]
    with VideoWriter(path, width, height, 25.0) as writer:
        for k in range(8):
            writer.write(frames[k % 11].image, k / 25)
    return path


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    with (folder / "talk" / name).open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["corrected", "published"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    mode: str, weights: Path, clip: Path, tmp_path: Path
) -> None:
    settings = PredictSettings.read(
        {"device": "cpu", "pipeline": describe(weights, mode), "batch": 4, "piece": 4}
    )
    predictor = Predictor.load(settings)

    def go(out: Path, stop: int | None = None) -> None:
        def report(progress: Progress) -> None:
            if progress.done == stop:
                raise StopError

        outputs = OutputSettings(overlay=False, report=False, maps="npy")
        predict_input(clip, out / "talk", predictor, outputs, report=report)

    go(tmp_path / "whole")
    with pytest.raises(StopError):
        go(tmp_path / "parts", stop=5)
    partial = json.loads((tmp_path / "parts" / "talk" / "run.json").read_text())
    assert (partial["status"], partial["frames"]["done"]) == ("partial", 5)
    go(tmp_path / "parts")
    assert json.loads((tmp_path / "parts" / "talk" / "run.json").read_text())["timing"]["resumed"]
    for name, least in (("frames.csv", 8), ("people.csv", 1)):
        assert len(list(rows(tmp_path / "parts", name))) >= least
    files = {
        f.relative_to(tmp_path / "whole"): f
        for f in (tmp_path / "whole").rglob("*")
        if f.suffix in (".csv", ".npy")
    }
    assert len(files) == 10
    for name, file in files.items():
        assert (tmp_path / "parts" / name).read_bytes() == file.read_bytes(), name
