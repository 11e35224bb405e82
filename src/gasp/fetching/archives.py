"""Unpacking archives from elsewhere: complete or not at all, and never outside the folder."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from gasp.errors import GaspError, InputError, OutputError

MAX_BYTES = 64 * 2**30
MAX_FILES = 2_000_000
MAX_RATIO = 500
"""Largest believable unpacked size over packed size; text reaches about a hundred."""

_BLOCK = 2**20
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    KeyError,
)


@dataclass(frozen=True)
class _File:
    """A regular file inside an archive: its checked name, its size as declared, and its content."""

    name: PurePosixPath
    size: int
    content: IO[bytes]


def unpack(
    archive: Path, folder: Path, *, strip: str = "", max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> list[Path]:
    """Unpack a tar, zip or 7z file into ``folder``; returns the sorted paths of the files, relative to it.

    ``strip`` is a leading folder to leave out; files outside of it are skipped. Everything is first unpacked
    beside ``folder`` and moved there at the end. Links to files inside the archive become copies.

    Raises :class:`~gasp.errors.InputError` for damaged archives, for names that lead outside (absolute,
    "..", links) or are no plain files (devices, sockets), and for more than ``max_bytes`` or ``max_files``
    or a size out of proportion to the archive; :class:`~gasp.errors.OutputError` when there is no space.
    ``folder`` is then unchanged.
    """
    max_bytes = min(max_bytes, MAX_RATIO * archive.stat().st_size + _BLOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as temporary:
            names = _unpack_to(archive, Path(temporary), PurePosixPath(strip), max_bytes, max_files)
            for top in sorted({name.parts[0] for name in names}):
                _replace(Path(temporary) / top, folder / top)
    except OSError as error:
        raise OutputError(
            f"{folder}: {archive.name} cannot be unpacked: {error.strerror or error}."
        ) from None
    if not names:
        raise InputError(f"{archive}: holds no files{f' below {strip}' if strip else ''}.")
    return sorted(Path(name) for name in names)


def _unpack_to(
    archive: Path, to: Path, strip: PurePosixPath, max_bytes: int, max_files: int
) -> set[PurePosixPath]:
    names: set[PurePosixPath] = set()
    left = max_bytes
    with _reading(archive):
        for file in _files(archive, to / ".7z", max_bytes):
            if strip.parts and file.name.parts[: len(strip.parts)] != strip.parts:
                continue
            name = PurePosixPath(*file.name.parts[len(strip.parts) :])
            if not name.parts:
                continue
            names.add(name)
            if len(names) > max_files:
                raise InputError(f"{archive}: holds more than {max_files} files; refused.")
            if file.size > left:
                raise _too_large(archive, max_bytes)
            left -= _copy(file, to / name, archive, left, max_bytes)
    return names


def _copy(file: _File, target: Path, archive: Path, left: int, max_bytes: int) -> int:
    """Write one file, never more than ``left`` bytes, whatever was declared; the number of bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("wb") as out:
        while block := file.content.read(_BLOCK):
            written += len(block)
            if written > left:
                raise _too_large(archive, max_bytes)
            out.write(block)
    if written != file.size:
        raise InputError(f"{archive}: is truncated or damaged at {file.name}. Fetch it again.")
    return written


def _too_large(archive: Path, max_bytes: int) -> InputError:
    return InputError(
        f"{archive}: unpacks to more than {max_bytes / 2**20:.0f} MiB; refused as a decompression bomb."
    )


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turns the archive libraries' errors into one that names the file."""
    try:
        yield
    except _DAMAGED as error:
        raise InputError(f"{archive}: is truncated or damaged ({error}). Fetch it again.") from None
    except NotImplementedError as error:  # zipfile's way of saying that it is compressed in another way
        raise InputError(
            f"{archive}: cannot be read by Python ({error}); unpack it with another program (7-Zip)."
        ) from None
    except RuntimeError as error:  # zipfile's way of saying that a password is needed
        raise InputError(f"{archive}: cannot be unpacked ({error}).") from None


def _files(archive: Path, scratch: Path, max_bytes: int) -> Iterator[_File]:
    with archive.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK\x03\x04"):
        yield from _zip_files(archive)
    elif start.startswith(b"7z\xbc\xaf\x27\x1c"):
        yield from _seven_zip_files(archive, scratch, max_bytes)
    elif start.startswith(b"Rar!"):
        raise InputError(
            f"{archive}: is a RAR file, which Python cannot read; unpack it with another program (7-Zip)."
        )
    elif tarfile.is_tarfile(archive):
        yield from _tar_files(archive)
    else:
        raise InputError(f"{archive}: is neither a tar nor a zip nor a 7z file.")


def _seven_zip_files(archive: Path, scratch: Path, max_bytes: int) -> Iterator[_File]:
    """The files of a 7z archive; it cannot be read piece by piece, so that all of it goes to ``scratch`` first."""
    try:
        import py7zr
    except ImportError:
        raise InputError(
            f"{archive}: reading 7z files needs py7zr (`pip install gasp-saliency[archives]`); or unpack it with "
            "another program (7-Zip)."
        ) from None
    try:
        with py7zr.SevenZipFile(archive) as file:
            entries = file.list()
            names = {entry.filename: _inside(entry.filename, archive) for entry in entries}
            strange = next((e.filename for e in entries if not (e.is_directory or e.is_file)), None)
            if strange is not None:
                raise InputError(f"{archive}: {strange} is a link or device; refused.")
            if sum(entry.uncompressed for entry in entries) > max_bytes or len(entries) > MAX_FILES:
                raise _too_large(archive, max_bytes)
            file.extractall(scratch)
    except (GaspError, OSError):
        raise
    except Exception as error:  # py7zr and the libraries below it have many
        raise InputError(f"{archive}: is truncated or damaged ({error}). Fetch it again.") from None
    for entry in entries:
        if entry.is_file:
            with (scratch / names[entry.filename]).open("rb") as content:
                yield _File(names[entry.filename], entry.uncompressed, content)
    shutil.rmtree(scratch)


def _zip_files(archive: Path) -> Iterator[_File]:
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            name = _inside(entry.filename, archive)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind == stat.S_IFLNK or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise InputError(f"{archive}: {name} is a link or device; refused.")
            if not entry.is_dir():
                with file.open(entry) as content:
                    yield _File(name, entry.file_size, content)


def _tar_files(archive: Path) -> Iterator[_File]:
    with tarfile.open(archive) as file:
        for entry in file:
            name = _inside(entry.name, archive)
            if entry.isdir():
                continue
            source = _linked(file, entry, archive) if entry.issym() or entry.islnk() else entry
            if not source.isfile():
                raise InputError(f"{archive}: {name} is a device, a pipe or a link to no file; refused.")
            content = file.extractfile(source)
            assert content is not None  # only regular files come here
            with content:
                yield _File(name, source.size, content)


def _linked(file: tarfile.TarFile, link: tarfile.TarInfo, archive: Path) -> tarfile.TarInfo:
    """What a link inside an archive means; refused when that is not inside too."""
    start = str(PurePosixPath(link.name).parent) if link.issym() else "."
    target = _inside(os.path.normpath(f"{start}/{link.linkname}"), archive)
    if link.linkname.startswith("/"):
        target = _inside(link.linkname, archive)
    for entry in file.getmembers():
        if entry is not link and PurePosixPath(entry.name) == target:
            return entry
    raise InputError(f"{archive}: {link.name} is a link to something outside the archive; refused.")


def _inside(name: str, archive: Path) -> PurePosixPath:
    """A name inside an archive as a relative path; refused when absolute or with ".."."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    absolute = name.startswith(("/", "\\")) or name[1:2] == ":"
    if absolute or ".." in parts or "\0" in name:
        raise InputError(f"{archive}: contains {name[:120]!r}, which leads outside the folder; refused.")
    return PurePosixPath(*parts)


def _replace(source: Path, target: Path) -> None:
    """Move a file or folder; a folder that is already there keeps its other files."""
    if source.is_dir() and target.is_dir():
        for child in source.iterdir():
            _replace(child, target / child.name)
    else:
        if target.is_dir():
            shutil.rmtree(target)
        source.replace(target)
