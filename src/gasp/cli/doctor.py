"""``gasp doctor``: what is installed, what is missing and how to get it, and whether the pipeline runs."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import platform
import sys
import time
from typing import Any

from gasp._version import __version__

NEEDED = (
    "torch",
    "numpy",
    "scipy",
    "av",
    "opencv-python-headless",
    "safetensors",
    "pydantic",
    "pyyaml",
    "rich",
    "soxr",
)
OPTIONAL = {
    "onnx": "gasp models export --format onnx",
    "onnxruntime": "the check of exported ONNX files",
    "zarr": "gasp predict --maps zarr",
    "lightning": "gasp train",
    "tensorboard": "gasp train with the logger tensorboard",
    "comet_ml": "gasp train with the logger comet",
    "matplotlib": "figures of gasp train",
    "pyzmq": "gasp node and gasp.NodeClient",
    "wrapyfi": "gasp.node.wrapyfi",
    "py7zr": "published files that are 7z archives",
    "pyarrow": "fixations in Parquet files",
    "pylsl": "streams of the Lab Streaming Layer",
}
LOADED = {"pylsl": "pylsl", "pyzmq": "zmq"}
"""Optional packages that stand on a library of the system, by the module to import."""

CODECS = {"h264": "r", "libx264": "w", "aac": "w", "vp9": "r", "hevc": "r", "av1": "r", "gif": "w"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--no-self-test", action="store_true", help="leave out the two-second run of the pipeline"
    )


def run(options: argparse.Namespace) -> int:
    """Prints what was found; exit status 1 when something needed does not work."""
    findings = examine(self_test=not options.no_self_test)
    if options.json:
        print(json.dumps(findings, indent=2))
    else:
        _show(findings)
    return 0 if findings["ok"] else 1


def examine(*, self_test: bool = True) -> dict[str, Any]:
    """Everything that ``gasp doctor`` tells, as plain data; ``problems`` lists what stops the package."""

    versions = {name: _version(name) for name in (*NEEDED, *OPTIONAL)}
    problems = [f"{name} is not installed: pip install {name}" for name in NEEDED if versions[name] is None]
    findings: dict[str, Any] = {
        "gasp": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "missing_extras": {name: use for name, use in OPTIONAL.items() if versions[name] is None},
        "libraries": {name: _loads(module) for name, module in LOADED.items() if versions[name] is not None},
    }
    if not problems:
        findings["devices"] = _devices()
        findings["codecs"] = _codecs()
        findings["weights"] = _weights(problems)
        problems += [
            f"codec {name} is missing from PyAV: reinstall it from its wheel"
            for name in ("h264", "libx264", "aac")
            if not findings["codecs"][name]
        ]
        if self_test:
            findings["self_test"] = _self_test(problems)
    findings["problems"] = problems
    findings["ok"] = not problems
    return findings


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _loads(module: str) -> str:
    """ "ok", or why a module cannot be imported."""
    try:
        importlib.import_module(module)
    except Exception as error:  # a missing library of the system is a RuntimeError or an OSError as well
        return f"{type(error).__name__}: {error}"
    return "ok"


def _devices() -> list[str]:
    import torch

    threads = torch.get_num_threads()
    devices = [f"cpu ({threads} thread{'' if threads == 1 else 's'})"]
    if torch.cuda.is_available():
        devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def _codecs() -> dict[str, bool]:
    import av

    found = {}
    for name, mode in CODECS.items():
        try:
            av.codec.Codec(name, "r" if mode == "r" else "w")
            found[name] = True
        except ValueError:
            found[name] = False
    return found


def _weights(problems: list[str]) -> dict[str, Any]:
    from gasp.weights import Store, find_downloaded, find_entry, list_entries, packaged_names

    own = packaged_names()
    for name in ("glance", "fusion"):
        if name not in own:
            problems.append(f"the packaged weights {name!r} are missing: install gasp-saliency again")
    store = Store.from_environment()
    downloaded = [name for name in list_entries() if find_downloaded(find_entry(name), store) is not None]
    return {"packaged": own, "downloaded": downloaded, "folder": str(store.root)}


def _self_test(problems: list[str]) -> dict[str, Any]:
    """Predicts a second of noise with a moving disc; the pipeline must answer with proper maps."""
    import numpy as np

    from gasp.pipeline.predict import predict

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60, (16, 180, 320, 3), dtype=np.uint8)
    y, x = np.mgrid[:180, :320]
    for t, frame in enumerate(frames):
        frame[(x - 40 - 10 * t) ** 2 + (y - 90) ** 2 < 30**2] = (230, 180, 150)
    started = time.monotonic()
    try:
        predictions = list(predict(frames, device="cpu"))
        good = len(predictions) == len(frames) and all(
            np.isfinite(p.saliency).all() and 0 <= p.saliency.min() <= p.saliency.max() <= 1
            for p in predictions
        )
        message = "ok" if good else "the pipeline gave maps that are not proper"
    except Exception as error:
        # A self-test exists to report whatever goes wrong.
        message = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    if message != "ok":
        problems.append(f"the self-test failed: {message}")
    return {"result": message, "frames": len(frames), "seconds": round(seconds, 2)}


def _show(findings: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("gasp", findings["gasp"])
    table.add_row("python", f"{findings['python']} on {findings['platform']}")
    installed = [f"{name} {version}" for name, version in findings["versions"].items() if version]
    table.add_row("installed", ", ".join(installed))
    for name, use in findings["missing_extras"].items():
        table.add_row("optional", f"{name} is not installed ({use}): pip install {name}")
    for name, loads in findings["libraries"].items():
        table.add_row("libraries", f"{name} loads" if loads == "ok" else f"{name} cannot be loaded: {loads}")
    if "devices" in findings:
        table.add_row("devices", ", ".join(findings["devices"]))
        table.add_row("codecs", ", ".join(name for name, there in findings["codecs"].items() if there))
        weights = findings["weights"]
        table.add_row("weights", f"in the package: {', '.join(weights['packaged']) or 'none'}")
        table.add_row("", f"downloaded to {weights['folder']}: {', '.join(weights['downloaded']) or 'none'}")
    if "self_test" in findings:
        test = findings["self_test"]
        table.add_row("self-test", f"{test['result']}: {test['frames']} frames in {test['seconds']} s")
    console.print(table)
    for problem in findings["problems"]:
        print(f"gasp: problem: {problem}", file=sys.stderr)
    console.print(
        "Everything that is needed works." if findings["ok"] else "Something does not work; see above."
    )
