"""Facts and times of every network at its published input size, one window a call.

    python benchmarks/networks.py                       # all networks, on the CPU with one and two threads
    python benchmarks/networks.py unisal dave --dtype bfloat16 --device cuda
    python benchmarks/networks.py --markdown            # rows of the table in docs/networks.md
    python benchmarks/networks.py --plain               # and the ratio to the plainest implementation

Times are the least of several calls after one to warm up. With one thread it is the time of the processor
(user and system), which other programs disturb little; with more, and on a GPU, the time by the clock. Beside
the plainest implementation (``plain_networks.py``), with which ours takes turns and must agree, it is always the
time of the processor, of all threads together.
"""

from __future__ import annotations

import argparse
import inspect
import platform
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.utils._pytree

import gasp
from gasp.errors import GaspError
from gasp.networks.variants import VARIANTS
from gasp.weights.catalogue import ENTRIES
from gasp.weights.export import example_inputs
from gasp.weights.shipped import packaged, packaged_names, read_metadata

PUBLISHED = {"modalities": 5, "sequence_len": 10}  # of the GASP weights of 2021
HEADS = ("network", "parameters, million", "input", "window", "licence of the weights")


class Facts(NamedTuple):
    """One row of the table, without times."""

    network: str
    parameters: str
    inputs: str
    window: str
    licence: str


def options_of(name: str) -> dict[str, Any]:
    """Options of the published weights."""
    if name not in VARIANTS:
        return {}
    return PUBLISHED if VARIANTS[name].sequence else {"modalities": PUBLISHED["modalities"]}


def facts(name: str) -> Facts:
    """What the package says of a network."""
    options = options_of(name)
    with torch.device("meta"):
        model = gasp.create_model(name, **options)
    shapes = [tuple(each.shape[1:]) for each in example_inputs(name, options)]
    names = inspect.signature(model.forward).parameters
    inputs = "; ".join(
        f"{key} {' × '.join(map(str, shape))}" for key, shape in zip(names, shapes, strict=False)
    )
    entries = [entry for entry in ENTRIES if entry.network == name]
    window = entries[0].preprocessing.window if entries else options.get("sequence_len", 1)
    licences = {entry.licence.name for entry in entries}
    if any(read_metadata(packaged(each)).get("network") == name for each in packaged_names()):
        licences.add("MIT (in the package)")
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return Facts(
        name, f"{parameters:.2f}", inputs, str(window), ", ".join(sorted(licences)) or "no weights published"
    )


def run(model: torch.nn.Module, inputs: list[torch.Tensor], plain: bool) -> Any:
    """Call the network, or its plainest implementation."""
    if not plain:
        return model(*inputs)
    from plain_networks import plainly

    with plainly():
        return model(*inputs)


def milliseconds(
    calls: list[Callable[[], object]], repeats: int, device: torch.device, by_clock: bool
) -> list[float]:
    """Least time of each of the calls, which take turns, after one turn to warm up."""
    clock = time.perf_counter if by_clock else time.process_time
    turns = []
    for _ in range(repeats + 1):
        times = []
        for call in calls:
            start = clock()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(1000 * (clock() - start))
        turns.append(times)
    return [min(times) for times in zip(*turns[1:], strict=True)]


@torch.inference_mode()
def measure(
    name: str, threads: list[int], repeats: int, device: torch.device, dtype: torch.dtype, plain: bool
) -> list[float]:
    """Times of one network for each number of threads; each followed, if wanted, by that of the plain one.

    The plain one must give the same. (Where TASED-Net's windows overlap it may not: 99 of 100 values must.)
    """
    options = options_of(name)
    model = gasp.create_model(name, **options).to(device, dtype)
    inputs = [each.to(device, dtype) for each in example_inputs(name, options)]
    calls: list[Callable[[], object]] = [
        partial(run, model, inputs, plain=which) for which in ((False, True) if plain else (False,))
    ]
    if plain:
        same = [torch.isclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(*map(tensors, calls), strict=True)]
        assert all(each.double().mean() >= (0.99 if name == "tased" else 1) for each in same), name
    times = []
    for count in threads:
        torch.set_num_threads(count)
        by_clock = device.type != "cpu" or (count > 1 and not plain)
        times += milliseconds(calls, repeats, device, by_clock)
    return times


def tensors(call: Callable[[], Any]) -> list[torch.Tensor]:
    """The outputs of a network, without names and nesting."""
    leaves = torch.utils._pytree.tree_leaves(call())
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help="names of networks (default: all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--markdown", action="store_true", help="with the facts: rows for docs/networks.md")
    parser.add_argument("--plain", action="store_true", help="also time the plainest implementation")
    args = parser.parse_args()
    threads = args.threads if args.device.type == "cpu" else [torch.get_num_threads()]

    where = torch.cuda.get_device_name(args.device) if args.device.type == "cuda" else platform.processor()
    print(
        f"torch {torch.__version__}, {where or platform.machine()}, {args.dtype}, least of {args.repeats}\n"
    )
    heads = [f"ms, {count} thread{'s' * (count > 1)}" for count in threads]
    if args.plain:
        heads = [head for each in heads for head in (each, f"{each}, plain")]
    facts_shown = HEADS if args.markdown else HEADS[:2]
    print(f"| {' | '.join([*facts_shown, *heads])} |")
    print(f"|{'---|' * len(facts_shown)}{'---:|' * len(heads)}")
    for name in args.networks or gasp.list_models():
        try:
            times = measure(name, threads, args.repeats, args.device, getattr(torch, args.dtype), args.plain)
        except GaspError as error:
            parser.exit(error.exit_status, f"{error}\n")
        cells = [*facts(name)[: len(facts_shown)], *(f"{each:.3g}" for each in times)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
