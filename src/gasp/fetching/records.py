"""Records of fetched files: what was fetched, from where, under which licence, and its checksum.

The record of ``<file>`` is ``<file>.download.json`` beside it. One record may tell of several files (those
of an archive).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gasp.work.files import replacing

ENDING = ".download.json"


@dataclass(frozen=True)
class Record:
    """``files`` maps names relative to the record's folder to SHA-256; ``url`` is "" for files found "
    "on disk."""

    files: dict[str, str]
    url: str = ""
    licence: str = "unknown"
    time: str = ""


def record_path(folder: Path, name: str) -> Path:
    """Where the record of the file ``name`` in ``folder`` lies."""
    return folder / (name + ENDING)


def read_record(path: Path) -> Record | None:
    """The record at ``path``; None when there is none that can be read."""
    if not os.path.isfile(path):
        return None
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): str(checksum) for name, checksum in content["files"].items()}
        texts = [content.get(key, "") for key in ("url", "licence", "time")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not all(_is_inside(name) for name in files) or not all(isinstance(text, str) for text in texts):
        return None
    return Record(files, *texts)


def _is_inside(name: str) -> bool:
    """Whether a name of a record means a file in its folder or below."""
    parts = name.replace("\\", "/").split("/")
    return bool(name) and not {"", ".", ".."} & set(parts) and ":" not in parts[0] and "\0" not in name


def write_record(path: Path, record: Record) -> None:
    """Write a record, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def licence_of(path: Path) -> str:
    """The licence recorded for a fetched file or folder; "unknown" when there is no record of it."""
    for folder in (path, path.parent, path.parent.parent):
        for file in sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else ():
            record = read_record(file)
            if record and any(folder / name == path or path == folder for name in record.files):
                return record.licence
    return "unknown"
