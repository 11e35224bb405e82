"""Which folder of results belongs to which input."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gasp.errors import OutputError
from gasp.naming import printable
from gasp.results.manifest import read_manifest
from gasp.work.files import checksum
from gasp.work.folder import NAME as WORK
from gasp.work.folder import read_plan
from gasp.work.journal import NAME as JOURNAL

log = logging.getLogger(__name__)

_LONGEST = 120
"""Bytes of a folder's name: numbers may be added, and file systems take 255."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for itself."""

_UNSAFE = frozenset('<>:"/\\|?*')
"""Signs that no name of a folder should hold, beside those that cannot be printed."""


def choose_folders(inputs: Sequence[str | Path], out: Path) -> list[str]:
    """The folder in ``out`` for each input, named after it.

    A number tells inputs of one name apart, also from one of an earlier call whose results are there: those stay.
    The same input gets the same folder again, also after it was moved or changed.
    """
    taken: dict[str, Path] = {}
    names = []
    for path in (Path(given).absolute() for given in inputs):
        stem = folder_name(path)
        name, number, kept = stem, 2, ""
        while taken.get(name, path) != path or not _is_for(out / name, path):
            kept = kept or ("" if name in taken else name)
            name, number = f"{stem}-{number}", number + 1
        if kept:
            log.warning(
                "%s is there already and not for this input; the results of %s go to %s",
                *(out / kept, printable(path), out / name),
            )
        taken[name] = path
        names.append(name)
    return names


def folder_name(path: Path) -> str:
    """The name of a folder for results of ``path``, safe on every system; one that had to be changed says whose it is
    by a few digits of a checksum.
    """
    # What follows a dot in a folder's name is no suffix.
    stem = path.name if _is_folder(path) else path.stem
    safe = "".join("_" if sign in _UNSAFE or not sign.isprintable() else sign for sign in stem).strip(" .")
    safe = safe.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore").rstrip(" .")
    if safe and safe == stem and safe != JOURNAL and not _RESERVED.fullmatch(safe):
        return safe
    digest = hashlib.sha256(os.fsencode(stem)).hexdigest()[:6]
    return f"{safe}-{digest}" if safe else f"input-{digest}"


def check_output(out: Path) -> None:
    """Says at once, not after the first video, that nothing can be written. Raises :class:`OutputError`."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"{out} cannot be made: {getattr(error, 'strerror', None) or error}.") from error
    if not os.access(out, os.W_OK):
        raise OutputError(f"{out} cannot be written: permission denied.")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_for(folder: Path, path: Path) -> bool:
    """Whether results of the input ``path`` may go to the folder: there are none, or none of another input."""
    if os.path.lexists(folder) and not folder.is_dir():
        return False  # a file of somebody's
    known = _input_of(folder)
    if not isinstance(known.get("path"), str) or Path(known["path"]) == path:
        return True
    try:
        return path.is_file() and checksum(path) == known.get("sha256")
    except (OSError, ValueError):
        # Opening it will say what is wrong; nothing is written before.
        return True


def _input_of(folder: Path) -> dict[str, Any]:
    """What the results in a folder, or the unfinished run there, say of their input."""
    manifest = read_manifest(folder)
    if manifest is not None:
        return manifest.input.model_dump()
    plan = read_plan(folder / WORK)
    about = {} if plan is None else plan.about.get("input")
    return about if isinstance(about, dict) else {}
