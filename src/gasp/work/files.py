"""Files that are whole or not there: checksums, atomic writing, and reading what others may have damaged."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gasp.errors import GaspError, OutputError

log = logging.getLogger(__name__)

LARGEST_JSON = 256 * 2**20
"""Bytes of a JSON file beyond which it is not ours, and is not read."""

_MANY_FILES = 64


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files; read in blocks."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.is_file())
    for file in files:
        if path.is_dir():
            digest.update(os.fsencode(file.name) + f"\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def require_regular(path: Path, error: type[GaspError]) -> Path:
    """The path, if a regular file or a folder is there; what else there is (a pipe, a device) may never end.

    Raises:
        GaspError: ``error``, naming the path, otherwise.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise error(f"{path}: no such file.") from None
    except (OSError, ValueError) as reason:
        what = reason.strerror if isinstance(reason, OSError) else reason
        raise error(f"{str(path)[:300]!r}: cannot be read: {what}.") from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise error(f"{path}: is a device or a pipe, not a file.")
    return path


def expand_user(path: str | Path, error: type[GaspError], what: str = "") -> Path:
    """The path with a leading ``~`` or ``~name`` replaced; ``error``, which calls it ``what``, where that cannot be."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise error(f"{what or path}: there is no such user to whose home it could lead.") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; the file there takes ``path``'s place when the block succeeds.

    The file is on disk before it gets its name, so that a power cut leaves the old one or the new one. Raises
    :class:`~gasp.errors.OutputError` when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}.") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def flush(path: Path) -> None:
    """Sees to it that a file, or all files of a folder, are on disk, and not only in the system's memory."""
    if path.is_dir():
        files = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
        if len(files) > _MANY_FILES:
            os.sync()
            return
    else:
        files = [path]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def flush_names(folder: Path) -> None:
    """Sees to it that what was renamed in ``folder`` stays renamed after a power cut, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None when there is no such file, or it holds anything but an object.

    What is there but cannot be read (damaged, too deep, too large, no regular file) is named in a warning. Never
    raises.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_JSON:
            raise ValueError("it is no regular file, or too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__}, not an object")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning(
            "%s cannot be used and counts as absent: %s", path, str(error)[:200] or type(error).__name__
        )
        return None
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file, atomically."""
    with replacing(path) as temporary:
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True, default=str)
        temporary.write_text(text + "\n", encoding="utf-8")


def is_inside(name: object) -> bool:
    """Whether ``name``, read from a file, is that of something inside a folder: relative, and never leading out of it.

    The one check for all names that come from elsewhere and become paths.
    """
    return (
        isinstance(name, str)
        and 0 < len(name) < 4096
        and _encoded_length(name) is not None
        and "\\" not in name
        and not re.match("[A-Za-z]:", name)
        and "\0" not in name
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )


def is_name(name: object) -> bool:
    """Whether ``name``, read from a file, can be the name of one file or folder within another."""
    return (
        isinstance(name, str) and is_inside(name) and "/" not in name and (_encoded_length(name) or 0) <= 255
    )


def _encoded_length(name: str) -> int | None:
    """Bytes of a name on disk; None for what no disk can hold, such as half a character."""
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError:
        return None


def remove(path: Path) -> None:
    """Removes a file, a link (not what it leads to) or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(file: Path, target: Path) -> None:
    """The same file under another name, copied where the disk knows no links."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
