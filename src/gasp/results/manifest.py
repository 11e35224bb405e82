"""``run.json``: what was run on what, with what, and how it went."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gasp
from gasp.results.outputs import Outputs
from gasp.video import VideoSource

NAME = "run.json"
FORMAT = "gasp-run-1"

# How fast, not what: a run may be resumed with other values.
_WITHOUT_EFFECT = ("batch", "device", "threads")
_LIBRARIES = ("torch", "numpy", "av", "opencv-python-headless", "scipy", "safetensors", "soxr", "pydantic")
# Versions that decide whether segments of one video fit together.
_ENCODER = "av"


def describe_input(source: VideoSource) -> dict[str, Any]:
    """The source in plain values, with the SHA-256 that :func:`checksum` gives."""
    path = source.path
    return {
        "name": source.name,
        "path": None if path is None else str(path.absolute()),
        "sha256": None if path is None else checksum(path),
        "width": source.width,
        "height": source.height,
        "fps": source.fps,
        "duration": source.duration,
        "frame_count": source.frame_count,
        "start_time": source.start_time,
        "has_sound": source.has_sound,
    }


def checksum(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files; read in pieces."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.is_file())
    for file in files:
        if path.is_dir():
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def fingerprint(
    source: Mapping[str, Any],
    settings: Mapping[str, Any],
    outputs: Outputs,
    weights: Iterable[Mapping[str, Any]],
) -> str | None:
    """Equal for runs with equal results; None for pictures in memory, which cannot be told apart."""
    if source["sha256"] is None:
        return None
    decisive = {
        "gasp": gasp.__version__,
        "encoder": _version(_ENCODER),
        "input": source["sha256"],
        "settings": {key: value for key, value in settings.items() if key not in _WITHOUT_EFFECT},
        "outputs": asdict(outputs),
        "weights": sorted(str(entry.get("sha256")) for entry in weights),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()


def versions() -> dict[str, str | None]:
    """Versions of gasp, Python and the libraries that results depend on."""
    return {
        "gasp": gasp.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _LIBRARIES},
    }


def describe_platform() -> dict[str, str]:
    """The machine, without anything that names it."""
    return {"system": platform.platform(), "machine": platform.machine(), "byte_order": sys.byteorder}


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest in a run's folder; None when there is none that can be read."""
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest; not atomic by itself."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
