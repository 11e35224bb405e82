"""Small helpers for files: checksums, and writing that leaves nothing half-written."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gasp.errors import GaspError, OutputError


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


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
    """A temporary name beside ``path``; the file there takes ``path``'s place when the block succeeds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}.") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
