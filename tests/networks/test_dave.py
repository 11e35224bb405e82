"""DAVE: published values, names, what may be kept between windows."""

from __future__ import annotations

import pytest
import torch

from gasp.errors import InputError, UsageError
from gasp.networks import create_model
from gasp.networks.dave import DAVE
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
def test_dave_on_what_was_kept_equals_dave_on_the_window() -> None:
    torch.manual_seed(0)
    model = create_model("dave")
    assert isinstance(model, DAVE)
    frames = torch.randn(1, 3, 17, 64, 32)
    audio = torch.randn(1, 3, 16, 64, 64)
    before, now = frames[:, :, :16], frames[:, :, 1:]
    whole = model(now, audio)

    stem = model.slide_stem(model.stem(before), now)
    kept = model(now, audio_embedding=model.embed_audio(audio), stem=stem)

    torch.testing.assert_close(stem, model.stem(now), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(kept, whole, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_dave_stem_slides_over_windows_whose_first_frame_differs() -> None:
    torch.manual_seed(0)
    model = create_model("dave")
    assert isinstance(model, DAVE)
    frames = torch.randn(1, 3, 17, 32, 32)
    doubled = [torch.cat([frames[:, :, i : i + 1], frames[:, :, i : i + 15]], 2) for i in (1, 2)]

    stem = model.slide_stem(model.stem(doubled[0]), doubled[1], fresh=1)

    torch.testing.assert_close(stem, model.stem(doubled[1]), atol=1e-5, rtol=1e-5)


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
