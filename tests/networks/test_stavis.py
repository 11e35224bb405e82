"""STAViS: published values, names, with and without sound."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gasp import load_checkpoint
from gasp.errors import InputError, UsageError
from gasp.networks import create_model
from gasp.networks.stavis import STAViS
from helpers.parity import Case, case_names


@pytest.mark.parametrize("name", case_names("stavis"))
@torch.inference_mode()
def test_stavis_gives_published_values(name: str) -> None:
    case = Case("stavis", name)
    model = case.load_into(create_model("stavis", **case.options))
    state = {key: value.clone() for key, value in model.state_dict().items()}

    logits = model(*case.inputs()).logits

    every = 1 if logits.shape == case.expected["logits"].shape else 2
    case.check(logits=logits[..., ::every, ::every])
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.slow
@torch.inference_mode()
def test_visual_stavis_loads_a_file_with_sound_entries(tmp_path: Path) -> None:
    case = Case("stavis", "visual_full")
    path = tmp_path / "visual_split1_save_60.pth"
    torch.save({"epoch": 60, "arch": "resnet-50", "state_dict": case.state_dict()}, path)

    model = load_checkpoint(create_model("stavis", **case.options), path)

    case.check(logits=model(*case.inputs()).logits[..., ::2, ::2])


@torch.inference_mode()
def test_stavis_without_sound_hears_silence() -> None:
    model = create_model("stavis", sample_size=32)
    video = torch.randn(1, 3, 16, 32, 32)
    torch.testing.assert_close(model(video), model(video, torch.zeros(1, 1, 1, 35280)))


@torch.inference_mode()
def test_visual_stavis_takes_sizes_that_are_no_multiples() -> None:
    model = create_model("stavis", audiovisual=False)
    assert model(torch.randn(1, 3, 16, 45, 50)).logits.shape == (1, 1, 45, 50)


@torch.inference_mode()
def test_attention_stands_large_scores() -> None:
    model = create_model("stavis", audiovisual=False)
    assert isinstance(model, STAViS)
    model.score_dsn[0].score_dsn.weight.fill_(1e4)
    assert model(torch.randn(1, 3, 16, 32, 32)).logits.isfinite().all()


@pytest.mark.parametrize("options", [{"sample_duration": 12}, {"sample_size": 0}])
def test_stavis_refuses_impossible_windows(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="multiple of 8"):
        create_model("stavis", **options)


def test_stavis_refuses_other_shapes() -> None:
    model = create_model("stavis", sample_size=32)
    video = torch.zeros(1, 3, 16, 32, 32)
    with pytest.raises(InputError, match="48000"):
        model(video, torch.zeros(1, 1, 1, 4000))
    with pytest.raises(InputError, match="32 x 32"):
        model(torch.zeros(1, 3, 16, 64, 32))
    with pytest.raises(InputError):
        model(video[:, :, :8])
    with pytest.raises(UsageError, match="audiovisual=True"):
        create_model("stavis", audiovisual=False).embed_audio(torch.zeros(1, 1, 1, 48000))
