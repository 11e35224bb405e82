"""ViNet and AViNet: published values and names."""

from __future__ import annotations

import pytest
import torch

from gasp.errors import InputError
from gasp.networks import create_model
from gasp.networks.vinet import AViNet
from helpers.parity import Case, case_names


@pytest.mark.parametrize("name", case_names("vinet", "vinet_*"))
@torch.inference_mode()
def test_vinet_gives_published_values(name: str) -> None:
    case = Case("vinet", name)
    model = case.load_into(create_model("vinet"))
    actual = model(*case.inputs()).map
    every = 1 if actual.shape == case.expected["map"].shape else 2
    case.check(map=actual[:, ::every, ::every])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avinet_full", "avinet_original_audio_length"])
@torch.inference_mode()
def test_avinet_gives_published_values(name: str) -> None:
    case = Case("vinet", name)
    model = case.load_into(create_model("avinet"))
    assert isinstance(model, AViNet)
    video, audio = case.inputs()
    case.check(map=model(video, audio).map[:, ::2, ::2], audio_features=model.embed_audio(audio))


@pytest.mark.parametrize("name", ["avinet_full", "avinet_original_audio_length"])
@torch.inference_mode()
def test_avinet_hears_published_values(name: str) -> None:
    case = Case("vinet", name)
    model = case.load_into(create_model("avinet"))
    assert isinstance(model, AViNet)
    case.check(audio_features=model.embed_audio(case.inputs()[1]))


def test_vinet_refuses_other_shapes() -> None:
    with pytest.raises(InputError):
        create_model("vinet")(torch.zeros(1, 3, 16, 32, 32))


def test_avinet_refuses_other_shapes() -> None:
    with torch.device("meta"):
        model = create_model("avinet")
        video = torch.zeros(1, 3, 32, 224, 384)
        with pytest.raises(InputError, match="zeros"):
            model(video)
        with pytest.raises(InputError, match="48000"):
            model(video, torch.zeros(1, 1, 16000, 1))
        with pytest.raises(InputError):
            model(video[..., :320], torch.zeros(1, 1, 48000, 1))
