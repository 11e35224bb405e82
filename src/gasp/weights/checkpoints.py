"""Checkpoint files: what kind a file is, and the named tensors in it.

Understood are: files of ``torch.save`` (zip form, and the older form of PyTorch before 1.6), safetensors,
folders and tar or zip archives of such files. Training files (PyTorch's examples, Lightning) nest their
tensors under a key such as ``state_dict``; that nesting is removed here. Names are left as they are.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import safetensors
from safetensors.torch import load as load_safetensors_bytes
from torch import Tensor

from gasp.errors import WeightsError
from gasp.weights.unpickling import unpickle
from gasp.work.files import require_regular

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors")
"""Endings of files that are looked for in folders and archives."""

MAX_MEMBER_BYTES = 8 * 2**30
"""Largest checkpoint that is read out of an archive into memory."""

_NESTING_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")


@dataclass(frozen=True)
class State:
    """Named tensors of one checkpoint, on the CPU.

    ``name`` is what messages call it (a path, or archive and member); ``metadata`` the text pairs of a
    safetensors header; ``lightning`` tells that a Lightning trainer wrote the file.
    """

    name: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    lightning: bool = False


@dataclass(frozen=True)
class Member:
    """A checkpoint that can be read: a file, or one inside a folder or archive."""

    name: str
    read: Callable[[], State]


def find_checkpoints(path: str | Path) -> list[Member]:
    """The checkpoints at ``path``, unread: one for a file, several for a folder or an archive.

    Raises :class:`WeightsError` when there is none, or the file is of another kind (a web page, say).
    """
    path = Path(path)
    if not os.path.exists(path):
        raise WeightsError(f"{path}: no such file. `gasp models` lists what can be downloaded.")
    require_regular(path, WeightsError)
    with _reading(path):
        if path.is_dir():
            files = sorted(f for f in path.iterdir() if f.is_file() and f.suffix in CHECKPOINT_SUFFIXES)
            return [_file_member(file) for file in files] or _none_inside(path)
        return _members_of_file(path)


def _members_of_file(path: Path) -> list[Member]:
    head = _head(path)
    if not head:
        raise WeightsError(f"{path}: is empty. Fetch it again.")
    if head.startswith(b"PK\x03\x04"):
        return _members_of_zip(path)
    if head[:1] == b"\x80" or _is_safetensors(head, path):
        return [_file_member(path)]
    if tarfile.is_tarfile(path):
        return _members_of_tar(path)
    raise WeightsError(f"{path}: {_what_else(head)}.")


def _head(path: Path) -> bytes:
    with _reading(path), path.open("rb") as file:
        return file.read(512)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns failures of the disk into words."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}.") from None


def _what_else(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            "is a web page, not a checkpoint; the server probably answered with an error page. Fetch it again"
        )
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself. Fetch the file with `git lfs pull`"
    return "is not a PyTorch checkpoint, safetensors file or archive of those"


def _is_safetensors(head: bytes, path: Path) -> bool:
    """A safetensors file starts with the length of its header (8 bytes) and the header's brace."""
    if path.suffix == ".safetensors":
        return True
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000


def _file_member(path: Path) -> Member:
    def read() -> State:
        head = _head(path)
        if _is_safetensors(head, path):
            return _read_safetensors(path)
        if head[:1] != b"\x80" and not head.startswith(b"PK\x03\x04"):
            raise WeightsError(f"{path}: {_what_else(head) if head else 'is empty'}.")
        return _state(unpickle(str(path), str(path)), str(path))

    return Member(str(path), read)


# --- archives ------------------------------------------------------------------------------------------


def _members_of_zip(path: Path) -> list[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            locked = next((entry.filename for entry in entries if entry.flag_bits & 1), None)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise WeightsError(f"{path}: is a damaged or truncated file ({error}). Fetch it again.") from None
    if locked is not None:
        raise WeightsError(
            f"{path}: is locked with a password ({locked}); unpack it and give the file inside."
        )
    names = {entry.filename for entry in entries}
    if any(name.endswith("data.pkl") for name in names):
        # torch.save stores tensors uncompressed: a file that grows when unpacked is not one of its.
        if sum(entry.file_size for entry in entries) > 2 * path.stat().st_size + 2**20:
            raise WeightsError(f"{path}: unpacks to far more than its size; refused as a decompression bomb.")
        return [_file_member(path)]

    def reader(entry: zipfile.ZipInfo) -> Callable[[], State]:
        def read() -> State:
            name = f"{path}/{entry.filename}"
            try:
                with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                    return _read_bytes(file, entry.file_size, name)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
                raise WeightsError(f"{name}: cannot be unpacked ({error}). Fetch it again.") from None

        return read

    return [
        Member(f"{path}/{entry.filename}", reader(entry))
        for entry in entries
        if not entry.is_dir() and Path(entry.filename).suffix in CHECKPOINT_SUFFIXES
    ] or _none_inside(path)


def _members_of_tar(path: Path) -> list[Member]:
    try:
        with tarfile.open(path) as archive:
            entries = [entry for entry in archive.getmembers() if entry.isfile()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise WeightsError(f"{path}: is a damaged or truncated archive ({error}). Fetch it again.") from None
    if {"pickle", "storages", "tensors"} <= {entry.name for entry in entries}:
        raise WeightsError(
            f"{path}: is in the tar format of PyTorch before 0.1.10, which cannot be read safely. Save it "
            "again with the PyTorch that wrote it or any up to 1.5."
        )

    def reader(entry: tarfile.TarInfo) -> Callable[[], State]:
        def read() -> State:
            name = f"{path}/{entry.name}"
            try:
                with tarfile.open(path) as archive:
                    file = archive.extractfile(entry)
                    assert file is not None  # only regular files are listed
                    return _read_bytes(file, entry.size, name)
            except (tarfile.TarError, OSError, EOFError) as error:
                raise WeightsError(f"{name}: cannot be unpacked ({error}). Fetch it again.") from None

        return read

    return [
        Member(f"{path}/{entry.name}", reader(entry))
        for entry in entries
        if Path(entry.name).suffix in CHECKPOINT_SUFFIXES
    ] or _none_inside(path)


def _none_inside(path: Path) -> list[Member]:
    raise WeightsError(f"{path}: holds no checkpoint (no file ending in {', '.join(CHECKPOINT_SUFFIXES)}).")


def _read_bytes(file: IO[bytes], size: int, name: str) -> State:
    if size > MAX_MEMBER_BYTES:
        raise WeightsError(
            f"{name}: claims {size / 2**30:.0f} GiB; unpack the archive and load the file itself."
        )
    try:
        data = file.read(MAX_MEMBER_BYTES + 1)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
        raise WeightsError(f"{name}: the archive is damaged or truncated ({error}).") from None
    if len(data) != size:
        raise WeightsError(f"{name}: the archive is damaged or truncated.")
    if data[:1] == b"\x80" or data.startswith(b"PK\x03\x04"):
        return _state(unpickle(io.BytesIO(data), name), name)
    if _is_safetensors(data[:512], Path(name)):
        try:
            return State(name, load_safetensors_bytes(data))
        except safetensors.SafetensorError as error:
            raise WeightsError(f"{name}: is a damaged safetensors file ({error}).") from None
    raise WeightsError(f"{name}: {_what_else(data[:512])}.")


# --- contents ------------------------------------------------------------------------------------------


def _read_safetensors(path: Path) -> State:
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
            return State(str(path), tensors, dict(file.metadata() or {}))
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: is a damaged or truncated safetensors file ({error}).") from None


def _state(content: Any, name: str) -> State:
    """Finds the named tensors in what a checkpoint file holds."""
    if not isinstance(content, Mapping):
        raise WeightsError(f"{name}: holds a {type(content).__name__}, not named tensors.")
    lightning = "pytorch-lightning_version" in content
    nested = {key: _tensors(value) for key, value in content.items() if isinstance(value, Mapping)}
    nested = {key: value for key, value in nested.items() if value}
    for key in _NESTING_KEYS:
        if key in nested:
            return State(name, nested[key], lightning=lightning)
    if tensors := _tensors(content):
        return State(name, tensors, lightning=lightning)
    if len(nested) == 1:
        return State(name, next(iter(nested.values())), lightning=lightning)
    keys = ", ".join(str(key)[:40] for key in list(content)[:8])
    raise WeightsError(f"{name}: no named tensors found (top-level keys: {keys or 'none'}).")


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The entries that are tensors under a text name; numbers and other leftovers are passed over."""
    return {
        key: value.detach()
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
