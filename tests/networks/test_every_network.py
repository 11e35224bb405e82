"""What holds for every network: inputs stay unchanged, bfloat16 works, and so do the compiler and the export."""

from __future__ import annotations

import pytest
import torch
import torch.utils._pytree

import gasp
from gasp.networks.table import find_row
from gasp.networks.variants import VARIANTS
from helpers.every_network import (
    check_bfloat16,
    check_export,
    check_reproducible,
    close,
    inputs,
    made,
)

LARGE = {name for name in gasp.list_models() if find_row(name).one_size}
EACH = pytest.mark.parametrize("name", [name for name in gasp.list_models() if name not in LARGE])
COMPILED = [
    *sorted(set(gasp.list_models()) - VARIANTS.keys() - LARGE),
    # Every block of the family in both forms.
    *("GASPDAMEncALSTMGMUConv", "GASPEncAddConv", "GASPSEEncConv"),
    *("SequenceGASPDAMEncGMUALSTMConv", "SequenceGASPEncRGMUConv"),
]


@EACH
def test_inputs_stay_unchanged_and_results_are_reproducible(name: str) -> None:
    check_reproducible(name)


@EACH
def test_networks_run_in_bfloat16(name: str) -> None:
    check_bfloat16(name)


@pytest.mark.slow
@EACH
def test_networks_can_be_exported(name: str) -> None:
    check_export(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
@torch.inference_mode()
def test_networks_compile_to_one_graph(name: str) -> None:
    torch.compiler.reset()  # what other networks of the class left behind
    model, given = made(name), inputs(name)
    # Of an LSTM or GRU of PyTorch itself the compiler makes no graph.
    compiled = torch.compile(model, backend="aot_eager", fullgraph=name not in ("gaze360", "light_asd"))
    close(compiled(*given), model(*given), 1e-4)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_a_large_network_can_be_exported(name: str) -> None:
    with torch.device("meta"):  # nothing is computed
        model, given = made(name), [torch.rand(shape) for shape in find_row(name).small_inputs]
    graph = torch.export.export(model, tuple(given)).graph
    assert [node.op for node in graph.nodes].count("output") == 1
