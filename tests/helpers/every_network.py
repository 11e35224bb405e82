"""What every network of the table must do, tried on the small one of its row."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils._pytree
from torch import Tensor

import gasp
from gasp.networks.table import find_row


def made(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return gasp.create_model(name, **find_row(name).small)


def inputs(name: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(shape, generator=generator) for shape in find_row(name).small_inputs]


def tensors(output: Any) -> list[Tensor]:
    """All that a network gives, without names and nesting."""
    return [leaf for leaf in torch.utils._pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def close(actual: Any, expected: Any, tolerance: float) -> None:
    for one, other in zip(tensors(actual), tensors(expected), strict=True):
        torch.testing.assert_close(one.float(), other, atol=tolerance, rtol=tolerance)


@torch.inference_mode()
def check_reproducible(name: str) -> None:
    """Inputs stay unchanged, and the same inputs give the same."""
    model, given = made(name), inputs(name)
    first = tensors(model(*given))
    for value, original in zip(given, inputs(name), strict=True):
        assert torch.equal(value, original)
    for value, again in zip(first, tensors(model(*given)), strict=True):
        assert torch.equal(value, again)


@torch.inference_mode()
def check_bfloat16(name: str) -> None:
    """The network runs in bfloat16 and gives about the same."""
    model = made(name)
    precise = model(*inputs(name))
    rough = model.bfloat16()(*(x.bfloat16() for x in inputs(name)))
    assert all(value.dtype == torch.bfloat16 and value.isfinite().all() for value in tensors(rough))
    close(tensors(rough)[0], tensors(precise)[0], 0.1)


@torch.inference_mode()
def check_export(name: str) -> None:
    """The exported program gives the same."""
    model, given = made(name), inputs(name)
    exported = torch.export.export(model, tuple(given)).module()
    close(exported(*given), model(*given), 1e-4)
