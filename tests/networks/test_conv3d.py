"""The quick way of a convolution gives what torch's own gives, and learns."""

from __future__ import annotations

import pytest
import torch

from gasp.networks.blocks.convolution import Conv3d


@pytest.mark.parametrize("shape", [(1, 6, 4, 9, 8), (2, 6, 4, 9, 8), (1, 6, 1, 1, 1), (1, 6, 16, 32, 40)])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "bias": False}])
def test_clips_are_convolved_as_in_torch(shape: tuple[int, ...], options: dict[str, int]) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Conv3d(6, 5, 3, padding=1, **options)  # type: ignore[arg-type]
    quick = Conv3d(6, 5, 3, padding=1, **options)  # type: ignore[arg-type]
    quick.load_state_dict(plain.state_dict())
    clip = torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(quick(clip), plain(clip), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        result = quick.double()(clip.double())
    torch.testing.assert_close(result, plain.double()(clip.double()))


def test_gradients_are_there_where_they_are_wanted() -> None:
    convolution, clip = Conv3d(3, 2, 3), torch.randn(1, 3, 4, 5, 6, requires_grad=True)
    convolution(clip).sum().backward()
    assert clip.grad is not None
    assert convolution.weight.grad is not None


def test_small_clips_go_through_onednn_and_exported_programs_stay_plain() -> None:
    convolution, clip = Conv3d(3, 2, 3), torch.randn(1, 3, 4, 5, 6)
    with torch.no_grad(), torch.profiler.profile() as profile:
        convolution(clip)
    assert any("mkldnn_convolution" in event.key for event in profile.key_averages())
    with torch.no_grad():
        program = torch.export.export(convolution, (clip,), strict=False)
        torch.testing.assert_close(program.module()(clip), convolution(clip), atol=1e-5, rtol=1e-5)
    assert not any("mkldnn" in str(node.target) for node in program.graph.nodes)
