"""What holds for every network: inputs stay unchanged, bfloat16 works, and so do the compiler and the export."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.utils._pytree
from torch import Tensor

import gasp
from gasp.networks.variants import VARIANTS

# Options and shapes of the inputs, as small as the network can be.
SMALL: dict[str, tuple[dict[str, Any], list[tuple[int, ...]]]] = {
    "dave": ({"frames_len": 8}, [(1, 3, 8, 32, 32), (1, 3, 8, 64, 64)]),
    "stavis": ({"sample_size": 32, "sample_duration": 8}, [(1, 3, 8, 32, 32), (1, 1, 1, 35280)]),
    "tased": ({}, [(1, 3, 32, 32, 32)]),
    "unisal": ({}, [(1, 2, 3, 32, 32)]),
    "vinet": ({}, [(1, 3, 32, 32, 32)]),
    "avinet": ({}, [(1, 3, 32, 224, 384), (1, 1, 48000, 1)]),
    "gaze360": ({}, [(1, 7, 3, 224, 224)]),
    "videogaze": ({}, [(1, 3, 227, 227), (1, 3, 227, 227), (1, 3, 227, 227), (1, 2)]),
    "esr9": ({"branches": 2}, [(1, 3, 96, 96)]),
    "s3fd": ({}, [(1, 3, 64, 64)]),
    "glance": ({}, [(1, 3, 64, 96)]),
} | {
    name: (
        {"modalities": 2, "encoder_widths": (4, 4, 4, 4), "latent_channels": 4, "dam_channels": 4}
        | ({"sequence_len": 3} if variant.sequence else {}),
        [(1, 3, 6, 16, 16) if variant.sequence else (1, 6, 16, 16)],
    )
    for name, variant in VARIANTS.items()
}
LARGE = {"avinet"}  # takes pictures of one size only
EACH = pytest.mark.parametrize("name", [name for name in gasp.list_models() if name not in LARGE])
COMPILED = [
    *sorted(SMALL.keys() - VARIANTS.keys() - LARGE),
    # Every block of the family in both forms.
    *("GASPDAMEncALSTMGMUConv", "GASPEncAddConv", "GASPSEEncConv"),
    *("SequenceGASPDAMEncGMUALSTMConv", "SequenceGASPEncRGMUConv"),
]


def made(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return gasp.create_model(name, **SMALL[name][0])


def inputs(name: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(shape, generator=generator) for shape in SMALL[name][1]]


def tensors(output: Any) -> list[Tensor]:
    """All that a network gives, without names and nesting."""
    return [leaf for leaf in torch.utils._pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def close(actual: Any, expected: Any, tolerance: float) -> None:
    for one, other in zip(tensors(actual), tensors(expected), strict=True):
        torch.testing.assert_close(one.float(), other, atol=tolerance, rtol=tolerance)


def test_every_network_is_here() -> None:
    assert set(SMALL) == set(gasp.list_models())


@EACH
@torch.inference_mode()
def test_inputs_stay_unchanged_and_results_are_reproducible(name: str) -> None:
    model, given = made(name), inputs(name)
    first = tensors(model(*given))
    for value, original in zip(given, inputs(name), strict=True):
        assert torch.equal(value, original)
    for value, again in zip(first, tensors(model(*given)), strict=True):
        assert torch.equal(value, again)


@EACH
@torch.inference_mode()
def test_networks_run_in_bfloat16(name: str) -> None:
    model = made(name)
    precise = model(*inputs(name))
    rough = model.bfloat16()(*(x.bfloat16() for x in inputs(name)))
    assert all(value.dtype == torch.bfloat16 and value.isfinite().all() for value in tensors(rough))
    close(tensors(rough)[0], tensors(precise)[0], 0.1)


@pytest.mark.slow
@EACH
@torch.inference_mode()
def test_networks_can_be_exported(name: str) -> None:
    model, given = made(name), inputs(name)
    exported = torch.export.export(model, tuple(given)).module()
    close(exported(*given), model(*given), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
@torch.inference_mode()
def test_networks_compile_to_one_graph(name: str) -> None:
    torch.compiler.reset()  # what other networks of the class left behind
    model, given = made(name), inputs(name)
    # Of an LSTM of PyTorch itself the compiler makes no graph.
    compiled = torch.compile(model, backend="aot_eager", fullgraph=name != "gaze360")
    close(compiled(*given), model(*given), 1e-4)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_a_large_network_can_be_exported(name: str) -> None:
    with torch.device("meta"):  # nothing is computed
        model, given = made(name), [torch.rand(shape) for shape in SMALL[name][1]]
    graph = torch.export.export(model, tuple(given)).graph
    assert [node.op for node in graph.nodes].count("output") == 1
