"""``run.json``: what was run on what, with what, and how it went."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gasp.video import VideoSource
from gasp.work.files import checksum, is_name, read_json

log = logging.getLogger(__name__)

NAME = "run.json"
FORMAT = "gasp-run-1"
EVALUATION = "gasp-evaluation-1"
FORMATS = (FORMAT, EVALUATION)
"""Those of manifests that list files beside them."""


class InputFacts(BaseModel):
    """What an earlier manifest says of its input."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    path: str | None = None
    sha256: str | None = None


class FrameCounts(BaseModel):
    """How many frames an earlier run had."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    done: int = Field(default=0, ge=0)


Kind = TypeVar("Kind", bound="Listing")


class Listing(BaseModel):
    """What any manifest of ours says: its format, and which files are its."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    format: str
    status: str = "complete"
    files: list[str] = Field(default_factory=list)


class EarlierRun(Listing):
    """What is relied on of the manifest of an earlier run."""

    status: str
    fingerprint: str | None = None
    input: InputFacts = InputFacts()
    frames: FrameCounts = FrameCounts()


def describe_input(source: VideoSource) -> dict[str, Any]:
    """The source in plain values, with the SHA-256 that :func:`gasp.work.files.checksum` gives.

    ``width`` and ``height`` are in source pixels, as coordinates in tables are; ``pixel_aspect`` is the width of such a
    pixel by its height. Pictures with square pixels, as networks see them, have the display size.
    """
    path = source.path
    width, height = source.stored_size
    return {
        "name": source.name,
        "path": None if path is None else str(path.absolute()),
        "sha256": None if path is None else checksum(path),
        "width": width,
        "height": height,
        "pixel_aspect": round(source.pixel_aspect, 6),
        "display_width": source.width,
        "display_height": source.height,
        "fps": source.fps,
        "duration": source.duration,
        "frame_count": source.frame_count,
        "start_time": source.start_time,
        "has_sound": source.has_sound,
    }


def read_manifest(folder: Path, name: str = NAME) -> EarlierRun | None:
    """The manifest in a run's folder; None when there is none that we wrote so."""
    return _read(folder / name, EarlierRun, (FORMAT,))


def read_listing(folder: Path, name: str = NAME) -> Listing | None:
    """Which files in a folder are ours, as a manifest of any kind of ours says; None when there is none."""
    return _read(folder / name, Listing, FORMATS)


def _read(path: Path, kind: type[Kind], formats: Sequence[str]) -> Kind | None:
    content = read_json(path)
    if content is None:
        return None
    try:
        if content.get("format") == FORMAT:  # whatever is wanted of it, all of it must be as we write it
            EarlierRun(**content)
        manifest = kind(**content)
    except (ValidationError, TypeError):
        manifest = None
    if manifest is None or manifest.format not in formats or not all(map(is_name, manifest.files)):
        log.warning("%s is not one of ours and counts as absent", path)
        return None
    return manifest


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest; not atomic by itself."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, default=str)
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def partial_name(name: str) -> str:
    """``overlay.partial.mp4`` for ``overlay.mp4``."""
    path = Path(name)
    return f"{path.stem}.partial{path.suffix}"


def names_of_ours(folder: Path) -> set[str]:
    """Names in a run's folder that earlier runs of ours wrote, as their manifests say."""
    names: set[str] = set()
    for name in (NAME, partial_name(NAME)):
        manifest = read_listing(folder, name)
        if manifest is not None:
            partial = manifest.status == "partial"
            names |= {name, *(map(partial_name, manifest.files) if partial else manifest.files)}
    return names
