from __future__ import annotations

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gasp.errors import InputError, OutputError
from gasp.fetching.archives import unpack


def _tar(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def _special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def _seven_zip(path: Path, *members: tuple[str, bytes]) -> Path:
    py7zr = pytest.importorskip("py7zr")
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(content, name)
    return path


MAKERS: dict[str, Callable[..., Path]] = {
    **{mode: partial(_tar, mode=mode) for mode in ("w", "w:gz", "w:bz2", "w:xz")},
    "zip": _zip,
    "7z": _seven_zip,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "folder"


@pytest.mark.parametrize("kind", MAKERS)
def test_archives_are_unpacked_without_their_leading_folder(tmp_path: Path, folder: Path, kind: str) -> None:
    members = [("top/a/one.pt", b"1"), ("top/two.pt", b"22"), ("elsewhere.txt", b"3")]
    archive = MAKERS[kind](tmp_path / "archive", *members)
    folder.mkdir(parents=True)
    (folder / "kept.txt").write_text("old")
    (folder / "two.pt").write_text("old")
    assert unpack(archive, folder, strip="top") == [Path("a/one.pt"), Path("two.pt")]
    assert (folder / "a/one.pt").read_bytes() == b"1"
    assert (folder / "two.pt").read_bytes() == b"22"
    assert sorted(path.name for path in folder.iterdir()) == ["a", "kept.txt", "two.pt"]


def test_links_inside_become_copies(tmp_path: Path, folder: Path) -> None:
    archive = _tar(
        tmp_path / "a.tar.gz",
        ("./top/real.pt", b"content"),
        _special("top/sub/link.pt", tarfile.SYMTYPE, "../real.pt"),
        _special("top/hard.pt", tarfile.LNKTYPE, "./top/real.pt"),
    )
    unpack(archive, folder)
    for name in ("top/sub/link.pt", "top/hard.pt"):
        assert (folder / name).read_bytes() == b"content"
        assert not (folder / name).is_symlink()


def _symlinked_zip(path: Path) -> Path:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return _zip(path, (info, b"/etc/passwd"))


def _renamed_seven_zip(path: Path, name: str) -> Path:
    """py7zr writes no name that leads outside, so that one of the same length is replaced in the file."""
    py7zr = pytest.importorskip("py7zr")
    safe = "x" * len(name)
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(False)
        archive.writestr(b"1", safe)
    data = path.read_bytes().replace(safe.encode("utf-16-le"), name.encode("utf-16-le"))
    header = int.from_bytes(data[12:20], "little") + 32
    size = int.from_bytes(data[20:28], "little")
    checksum = zlib.crc32(data[header : header + size]).to_bytes(4, "little")
    data = data[:28] + checksum + data[32:]
    path.write_bytes(data[:8] + zlib.crc32(data[12:32]).to_bytes(4, "little") + data[12:])
    return path


def _linked_seven_zip(path: Path) -> Path:
    py7zr = pytest.importorskip("py7zr")
    link = path.with_name("link")
    link.symlink_to("/etc/passwd")
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.write(link, "link")
    link.unlink()
    return path


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "dots in tar": lambda p: _tar(p, ("ok.pt", b"1"), ("../evil.pt", b"1")),
    "dots inside tar": lambda p: _tar(p, ("a/../../evil.pt", b"1")),
    "absolute in tar": lambda p: _tar(p, ("/tmp/evil.pt", b"1")),
    "dots in zip": lambda p: _zip(p, ("ok.pt", b"1"), ("../evil.pt", b"1")),
    "backslashes in zip": lambda p: _zip(p, ("..\\evil.pt", b"1")),
    "drive in zip": lambda p: _zip(p, ("C:/evil.pt", b"1")),
    "link outside": lambda p: _tar(p, _special("link", tarfile.SYMTYPE, "../../etc/passwd")),
    "absolute link": lambda p: _tar(p, _special("link", tarfile.SYMTYPE, "/etc/passwd")),
    "hard link outside": lambda p: _tar(p, _special("link", tarfile.LNKTYPE, "/etc/passwd")),
    "link to nothing": lambda p: _tar(p, _special("link", tarfile.SYMTYPE, "nothing")),
    "links in a circle": lambda p: _tar(
        p, _special("a", tarfile.SYMTYPE, "b"), _special("b", tarfile.SYMTYPE, "a")
    ),
    "file through a link": lambda p: _tar(p, _special("d", tarfile.SYMTYPE, "/tmp"), ("d/evil.pt", b"1")),
    "device": lambda p: _tar(p, _special("device", tarfile.CHRTYPE)),
    "pipe": lambda p: _tar(p, _special("pipe", tarfile.FIFOTYPE)),
    "link in zip": _symlinked_zip,
    "dots in 7z": lambda p: _renamed_seven_zip(p, "../evil.pt"),
    "absolute in 7z": lambda p: _renamed_seven_zip(p, "/tmp/evil.pt"),
    "link in 7z": _linked_seven_zip,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives_are_refused(tmp_path: Path, folder: Path, what: str) -> None:
    archive = HOSTILE[what](tmp_path / "archive")
    with pytest.raises(InputError, match="refused"):
        unpack(archive, folder)
    assert list(folder.iterdir()) == []
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("make", [_tar, _zip, _seven_zip])
def test_bombs_are_refused(tmp_path: Path, folder: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "archive", ("zeros.pt", bytes(20_000_000)))
    with pytest.raises(InputError, match="bomb"):
        unpack(archive, folder)
    with pytest.raises(InputError, match="bomb"):
        unpack(make(tmp_path / "two", ("a", b"123"), ("b", b"456")), folder, max_bytes=5)
    with pytest.raises(InputError, match="more than 1 files"):
        unpack(tmp_path / "two", folder, max_files=1)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_damaged_archives_are_refused(tmp_path: Path, folder: Path, kind: str, keep: float) -> None:
    content = ("a.pt", bytes(i * i % 251 for i in range(50_000)))
    archive = MAKERS[kind](tmp_path / "archive", content)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    with pytest.raises(InputError, match=r"damaged|neither"):
        unpack(archive, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"<html></html>", b"PK\x03\x04", bytes(2000), b"7z\xbc\xaf\x27\x1c12", b"Rar!\x1a\x07"]
)
def test_files_that_are_no_archives(tmp_path: Path, folder: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(InputError):
        unpack(tmp_path / "archive", folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar", ("a", b"1"), mode="w")
    with pytest.raises(OutputError):
        unpack(archive, archive / "inside")
