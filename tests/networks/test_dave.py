"""DAVE: published values, names, with and without sound."""

from __future__ import annotations

import pytest
import torch

from gasp.errors import InputError, UsageError
from gasp.networks import create_model
from helpers.parity import Case, case_names


@pytest.mark.parametrize("name", case_names("dave"))
@torch.inference_mode()
def test_dave_gives_published_values(name: str) -> None:
    case = Case("dave", name)
    model = case.load_into(create_model("dave", **case.options))

    output = model(*case.inputs())

    case.check(saliency=output.saliency, video_embedding=output.video_embedding[:, ::16])
    if output.audio_embedding is None:
        assert "audio_embedding" not in case.expected
    else:
        case.check(audio_embedding=output.audio_embedding)


@torch.inference_mode()
def test_dave_without_sound_differs_from_dave_with_sound() -> None:
    torch.manual_seed(0)
    model = create_model("dave", frames_len=8)
    video = torch.randn(1, 3, 8, 32, 32)
    silent = model(video)
    heard = model(video, torch.ones(1, 3, 8, 64, 64))
    assert silent.audio_embedding is None
    assert silent.saliency.shape == (1, 1, 4, 4)
    assert not torch.equal(silent.saliency, heard.saliency)


@pytest.mark.parametrize("frames_len", [0, 17])
def test_dave_refuses_impossible_windows(frames_len: int) -> None:
    with pytest.raises(UsageError, match="1 to 16"):
        create_model("dave", frames_len=frames_len)


@pytest.mark.parametrize(
    ("video", "audio"),
    [
        (torch.zeros(1, 3, 15, 32, 32), None),
        (torch.zeros(1, 3, 16, 40, 32), None),
        (torch.zeros(1, 3, 16, 32, 32, dtype=torch.uint8), None),
        (torch.zeros(1, 3, 16, 32, 32), torch.zeros(1, 1, 16, 64, 64)),
        (torch.zeros(1, 3, 16, 32, 32), torch.zeros(2, 3, 16, 64, 64)),
    ],
)
def test_dave_refuses_other_shapes(video: torch.Tensor, audio: torch.Tensor | None) -> None:
    with pytest.raises(InputError):
        create_model("dave")(video, audio)
