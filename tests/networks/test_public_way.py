"""Published values by the way a user goes: make a network, load its file in the published layout, call it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import gasp
from helpers.parity import FOLDER, Case, fill

# Names of the cases that are about whole networks; those of the GASP family are ours.
NETWORKS = {
    "DAVE": "dave",
    "STAViS": "stavis",
    "TASED_v2": "tased",
    "UNISAL": "unisal",
    "ViNet": "vinet",
    "AViNet": "avinet",
    "GazeLSTM": "gaze360",
    "VideoGaze": "videogaze",
    "ESR-9": "esr9",
}
FIELDS = {
    "logits", "dam_logits", "saliency", "video_embedding", "audio_embedding", "map", "log_maps", "hidden",
    "angles", "sigma", "heatmap", "in_frame", "emotions", "affect", "gradcam",
}  # fmt: skip


def network_cases() -> list[object]:
    """Every case that has weights and is about a whole network."""
    found = []
    for path in sorted(FOLDER.glob("*/*.json")):
        about = json.loads(path.read_text())
        if about["network"] in NETWORKS or about["network"] in gasp.list_models():
            whole = "checkpoint" in about or "checkpoint_files" in about
            marks = [pytest.mark.slow] if path.parent.name != "gasp" or "full" in path.stem else []
            if whole:
                found.append(pytest.param(path.parent.name, path.stem, marks=marks))
    return found


def write_checkpoint(case: Case, folder: Path) -> Path:
    """The published file, or the folder of ESR-9's ten."""
    if "checkpoint_files" in case.about:
        for file in case.about["checkpoint_files"]:
            state = fill(case.about[file["entries"]], file["seed"], case.about["weights"]["gain"])
            torch.save(state, folder / file["file"])
        return folder
    layout = case.about.get("layout", {})
    state = case.state_dict()
    # Names of the case carry the prefix already where the published file has it.
    path = folder / Path(layout.get("file") or "model.pth.tar").name
    key = layout.get("nesting", "state_dict")
    torch.save({"epoch": 60, key: state} if key else state, path)
    return path


def arguments(case: Case) -> tuple[dict[str, object], list[Tensor]]:
    options, inputs = dict(case.options), case.inputs()
    cut = options.pop("cut", None)  # of the case that calls the network twice
    return options, [inputs[0][:, :cut]] if cut else inputs


def stored_part(actual: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """The rows and columns of a large output that the case keeps; None where it keeps something else."""
    if actual.shape != shape and actual.ndim > 2:
        step = -(-actual.shape[-1] // shape[-1])
        actual = actual[..., ::step, ::step]
    return actual if actual.shape == shape else None


def check(case: Case, key: str, actual: Tensor) -> None:
    """Compare; where the published code itself is not reproducible, some elements may differ."""
    if "outlier_fraction" not in case.about:
        case.check(**{key: actual})
        return
    difference = np.abs(actual.numpy() - case.expected[key])
    assert np.mean(difference > case.about["tolerance"]["atol"]) <= case.about["outlier_fraction"]
    assert difference.max() <= case.about["outlier_atol"]


@pytest.mark.parametrize(("family", "name"), network_cases())
@torch.inference_mode()
def test_published_file_gives_published_values(family: str, name: str, tmp_path: Path) -> None:
    case = Case(family, name)
    options, inputs = arguments(case)
    model = gasp.create_model(NETWORKS.get(case.network, case.network), **options)

    output = gasp.load_checkpoint(model, write_checkpoint(case, tmp_path))(*inputs)

    compared = 0
    for key, expected in case.expected.items():
        field = key.removeprefix("first_")
        actual = getattr(output, field) if field in FIELDS and hasattr(output, field) else None
        part = None if actual is None else stored_part(actual, expected.shape)
        if part is not None:
            check(case, key, part)
            compared += 1
    assert compared
