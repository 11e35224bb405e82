"""Milliseconds per window of every network at its published input size.

python benchmarks/networks.py                       # all networks, on the CPU with one and two threads
python benchmarks/networks.py unisal dave --dtype bfloat16 --device cuda
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

import gasp
from gasp.errors import GaspError
from gasp.networks.variants import VARIANTS

MODALITIES, FRAMES = 5, 10  # of the published GASP weights

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "dave": [(1, 3, 16, 256, 320), (1, 3, 16, 64, 64)],
    "stavis": [(1, 3, 16, 112, 112), (1, 1, 1, 35280)],
    "tased": [(1, 3, 32, 224, 384)],
    "unisal": [(1, 12, 3, 288, 384)],
    "vinet": [(1, 3, 32, 224, 384)],
    "avinet": [(1, 3, 32, 224, 384), (1, 1, 70560, 1)],
    "gaze360": [(1, 7, 3, 224, 224)],
    "videogaze": [(1, 3, 227, 227), (1, 3, 227, 227), (1, 3, 227, 227), (1, 2)],
    "esr9": [(1, 3, 96, 96)],
}
"""Inputs of one window, in the order of the call."""


def published(name: str) -> tuple[dict[str, object], list[tuple[int, ...]]]:
    """Options and shapes of the inputs of a network."""
    if name not in VARIANTS:
        return {}, SHAPES[name]
    picture = (3 * MODALITIES, 120, 120)
    if not VARIANTS[name].sequence:
        return {"modalities": MODALITIES}, [(1, *picture)]
    return {"modalities": MODALITIES, "sequence_len": FRAMES}, [(1, FRAMES, *picture)]


def milliseconds(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median time of a call after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


@torch.inference_mode()
def measure(
    name: str, threads: list[int], repeats: int, device: torch.device, dtype: torch.dtype
) -> list[float]:
    """Times of one network for each number of threads."""
    options, shapes = published(name)
    model = gasp.create_model(name, **options).to(device, dtype)
    inputs: list[Tensor] = [torch.rand(shape, device=device, dtype=dtype) for shape in shapes]
    times = []
    for count in threads:
        torch.set_num_threads(count)
        times.append(milliseconds(lambda: model(*inputs), repeats, device))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help="names of networks (default: all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    threads = args.threads if args.device.type == "cpu" else [torch.get_num_threads()]

    where = torch.cuda.get_device_name(args.device) if args.device.type == "cuda" else platform.processor()
    print(
        f"torch {torch.__version__}, {where or platform.machine()}, {args.dtype}, median of {args.repeats}\n"
    )
    heads = [f"ms, {count} thread{'s' * (count > 1)}" for count in threads]
    print(f"| network | {' | '.join(heads)} | million parameters |")
    print(f"|---|{'---:|' * (len(heads) + 1)}")
    for name in args.networks or gasp.list_models():
        try:
            times = measure(name, threads, args.repeats, args.device, getattr(torch, args.dtype))
        except GaspError as error:
            parser.exit(error.exit_status, f"{error}\n")
        with torch.device("meta"):
            parameters = sum(p.numel() for p in gasp.create_model(name, **published(name)[0]).parameters())
        cells = " | ".join(f"{t:.1f}" for t in times)
        print(f"| {name} | {cells} | {parameters / 1e6:.2f} |", flush=True)


if __name__ == "__main__":
    main()
