"""``run.json``: what was run on what, with what, and how it went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gasp._version import __version__
from gasp.results.output_settings import OutputSettings
from gasp.video import VideoSource
from gasp.work.files import checksum
from gasp.work.provenance import version_of

NAME = "run.json"
FORMAT = "gasp-run-1"

# How fast, not what: a run may be resumed with other values.
_WITHOUT_EFFECT = ("batch", "device", "threads")
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


def fingerprint(
    source: Mapping[str, Any],
    settings: Mapping[str, Any],
    outputs: OutputSettings,
    weights: Iterable[Mapping[str, Any]],
) -> str | None:
    """Equal for runs with equal results; None for pictures in memory, which cannot be told apart."""
    if source["sha256"] is None:
        return None
    decisive = {
        "gasp": __version__,
        "encoder": version_of(_ENCODER),
        "input": source["sha256"],
        "settings": {key: value for key, value in settings.items() if key not in _WITHOUT_EFFECT},
        "outputs": asdict(outputs),
        "weights": sorted(str(entry.get("sha256")) for entry in weights),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()


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
