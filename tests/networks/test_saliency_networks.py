"""What holds for every saliency network: inputs stay unchanged, bfloat16 works, and so does the export."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gasp.networks import create_model

# Name, options, shapes of the inputs.
SMALL: dict[str, tuple[dict[str, Any], list[tuple[int, ...]]]] = {
    "dave": ({"frames_len": 8}, [(1, 3, 8, 32, 32), (1, 3, 8, 64, 64)]),
    "stavis": ({"sample_size": 32, "sample_duration": 8}, [(1, 3, 8, 32, 32), (1, 1, 1, 35280)]),
    "tased": ({}, [(1, 3, 32, 32, 32)]),
    "unisal": ({}, [(1, 2, 3, 32, 32)]),
    "vinet": ({}, [(1, 3, 32, 32, 32)]),
}


def inputs(name: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in SMALL[name][1]]


@pytest.mark.parametrize("name", SMALL)
@torch.inference_mode()
def test_inputs_stay_unchanged_and_results_are_reproducible(name: str) -> None:
    model = create_model(name, **SMALL[name][0])
    given = inputs(name)
    first = model(*given)
    for value, original in zip(given, inputs(name), strict=True):
        assert torch.equal(value, original)
    for value, again in zip(first, model(*given), strict=True):
        assert torch.equal(value, again)


@pytest.mark.parametrize("name", SMALL)
@torch.inference_mode()
def test_networks_run_in_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, **SMALL[name][0])
    precise = model(*inputs(name))[0]
    rough = model.bfloat16()(*(x.bfloat16() for x in inputs(name)))[0]
    assert rough.dtype == torch.bfloat16
    assert rough.isfinite().all()
    torch.testing.assert_close(rough.float(), precise, atol=0.1, rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
@torch.inference_mode()
def test_networks_can_be_exported(name: str) -> None:
    model = create_model(name, **SMALL[name][0])
    given = inputs(name)
    exported = torch.export.export(model, tuple(given)).module()
    torch.testing.assert_close(exported(*given)[0], model(*given)[0], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
@torch.inference_mode()
def test_networks_compile_to_one_graph(name: str) -> None:
    model = create_model(name, **SMALL[name][0])
    given = inputs(name)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*given)[0], model(*given)[0], atol=1e-5, rtol=1e-4)
