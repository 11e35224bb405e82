"""The GASP stage at the published size: every frame computed once, against a whole window per output frame.

    python benchmarks/fusion.py [--frames 16] [--plain 1] [--threads 1] [--device cpu] [--json FILE]

Same weights (random) and pictures for both. The plain driver keeps the window of pictures and gives all of it to the
network for every output frame, as the published code does; :class:`gasp.fusion.gasp.GaspFusion` encodes each frame
once. Every window of the run is full (what comes before the first one measured is computed but not timed), and the
maps of both are compared. On a CPU times are processor time, of all threads together.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import deque
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gasp.fusion.gasp import FusionNetwork, GaspFusion, scale_maps
from gasp.fusion.inputs import normalise_maps, stack_maps
from gasp.networks import create_model
from gasp.networks.gasp import GASP
from gasp.weights.preprocessing import GASP_2021

MODALITIES = ("captured", "dave", "esr9", "videogaze", "gaze360")
CONTEXT = 10
WANTED = {
    "SequenceGASPDAMEncGMUALSTMConv": 6.0,
    "SequenceGASPDAMEncRGMUConv": 4.0,
    "SequenceGASPDAMEncALSTMGMUConv": 2.5,
}
"""Network -> how many times faster it must be."""

Maps = list[list[NDArray[np.uint8]]]


class PlainDriver:
    """The whole window through the whole network for every output frame."""

    def __init__(self, fusion: FusionNetwork, device: torch.device) -> None:
        self.fusion = fusion
        self.device = device
        self.window: deque[torch.Tensor] = deque(maxlen=CONTEXT)

    @torch.inference_mode()
    def step(self, maps: list[NDArray[np.uint8]]) -> NDArray[np.float32] | None:
        """The map of the newest frame; None while the window is not full."""
        self.skip([maps])
        if len(self.window) < CONTEXT:
            return None
        output = self.fusion.network(torch.stack(list(self.window))[None])
        return scale_maps(output.logits[:, 0], distribution=False)[0].cpu().numpy()

    def skip(self, frames: Maps) -> None:
        """Frames that only pass through the window."""
        form = self.fusion.preprocessing
        for maps in frames:
            self.window.append(normalise_maps(torch.from_numpy(stack_maps(maps, form)).to(self.device), form))


def make(name: str) -> FusionNetwork:
    """A network of the published size with random weights, whose logits spread as those of trained ones do.

    (Logits that are all but constant would make a map of their rounding.)
    """
    torch.manual_seed(0)
    norm = {"sequence_norm": True} if "ALSTM" in name else {}
    network = create_model(name, modalities=len(MODALITIES), sequence_len=CONTEXT, **norm)
    assert isinstance(network, GASP)
    for key, value in network.state_dict().items():
        if "sequence_norm" in key and value.is_floating_point():
            value.uniform_(0.5, 1.5)
        if key.startswith("enc") and key.endswith("weight"):
            torch.nn.init.xavier_normal_(value)
    with torch.no_grad():
        network.saliency_out.weight.mul_(1000)
        assert network.saliency_out.bias is not None
        network.saliency_out.bias.zero_()
    return FusionNetwork(network, MODALITIES, GASP_2021, distribution=False)


def pictures(count: int) -> Maps:
    """Smooth moving pictures, so that maps differ from frame to frame."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (len(MODALITIES), 160, 160 + count, 3), dtype=np.uint8)
    return [[base[m, :, k : k + 160] for m in range(len(MODALITIES))] for k in range(count)]


def clock(device: torch.device) -> float:
    """Seconds: of the processor, so that others on the machine do not count, or with a GPU by the clock."""
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(
    name: str, frames: int, plain: int, batch: int, device: torch.device
) -> tuple[float, float, float]:
    """Milliseconds per frame of the plain driver and ours, and the largest difference of maps."""
    fusion = make(name)
    fusion.network.to(device)
    maps = pictures(CONTEXT + frames)
    ours = GaspFusion(fusion, device)
    ours.step(maps[:CONTEXT], [False] * CONTEXT)
    driver = PlainDriver(fusion, device)
    for frame in maps[:CONTEXT]:
        driver.step(frame)
    quick, slow, differences = 0.0, 0.0, []
    # In turns, so that whatever else the machine does slows both.
    for first in range(CONTEXT, len(maps), batch):
        group = maps[first : first + batch]
        synchronise(device)
        started = clock(device)
        fused = ours.step(group, [False] * len(group))
        synchronise(device)
        quick += clock(device) - started
        for k, frame in enumerate(group[:plain]):
            started = clock(device)
            whole = driver.step(frame)
            synchronise(device)
            slow += clock(device) - started
            assert whole is not None
            differences.append(float(np.abs(whole - fused[k].saliency).max()))
        # Pictures that the plain driver was not asked about still pass through its window.
        driver.skip(group[plain:])
    return 1000 * slow / len(differences), 1000 * quick / frames, max(differences)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=list(WANTED), help="their names (default: all three)")
    parser.add_argument("--frames", type=int, default=16, help="frames of the driver that caches")
    parser.add_argument("--plain", type=int, default=1, help="frames of the plain driver per batch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    where = (
        torch.cuda.get_device_name(options.device) if options.device.type == "cuda" else platform.processor()
    )
    print(
        f"torch {torch.__version__}, {where or platform.machine()}, {torch.get_num_threads()} threads, "
        f"5 modalities at 120 x 120, context {CONTEXT}\n"
    )
    print("| network | whole window, ms | cached, ms | times faster | wanted | largest difference |")
    print("|---|---:|---:|---:|---:|---:|")
    rows = {}
    for name in options.networks:
        wanted = WANTED.get(name, 1.0)
        slow, quick, difference = compare(name, options.frames, options.plain, options.batch, options.device)
        rows[name] = {"plain_ms": slow, "cached_ms": quick, "ratio": slow / quick, "difference": difference}
        print(
            f"| {name} | {slow:.0f} | {quick:.0f} | {slow / quick:.1f} | {wanted:g} | {difference:.1e} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
