"""Which folder of results belongs to which input, and whether anything can be written there."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from gasp.errors import OutputError
from gasp.results.manifest import read_manifest
from gasp.results.work import read_plan
from gasp.work.files import checksum

_log = logging.getLogger(__name__)


def choose_folders(inputs: Sequence[str | Path], out: Path) -> list[str]:
    """The folder in ``out`` for each input, named after it.

    A number tells inputs of one name apart, also from one of an earlier call whose results are there: those stay.
    The same input gets the same folder again, also after it was moved or changed.
    """
    taken: dict[str, Path] = {}
    names = []
    for path in (Path(given).absolute() for given in inputs):
        # What follows a dot in a folder's name is no suffix.
        stem = (path.name if path.is_dir() else path.stem) or "input"
        name, number, kept = stem, 2, ""
        while taken.get(name, path) != path or not _is_for(out / name, path):
            kept = kept or ("" if name in taken else name)
            name, number = f"{stem}-{number}", number + 1
        if kept:
            _log.warning(
                "%s holds results of another input; those of %s go to %s", out / kept, path, out / name
            )
        taken[name] = path
        names.append(name)
    return names


def _is_for(folder: Path, path: Path) -> bool:
    """Whether results of the input ``path`` may go to the folder: there are none, or none of another input."""
    entry = (read_manifest(folder) or read_plan(folder)).get("input")
    if not isinstance(entry, dict) or not entry.get("path") or Path(entry["path"]) == path:
        return True
    try:
        return checksum(path) == entry.get("sha256")
    except OSError:
        # Opening it will say what is wrong; nothing is written before.
        return True


def check_output(out: Path) -> None:
    """Makes the folder ``out``, so that it is said at once, not after the first video, that nothing can be written.

    Raises:
        OutputError: it cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error.strerror or error}.") from error
    if not os.access(out, os.W_OK):
        raise OutputError(f"{out} cannot be written: permission denied.")
