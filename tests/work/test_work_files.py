"""Files: reading what others may have damaged, names that come from elsewhere, writing that is whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.errors import OutputError
from gasp.work.files import (
    checksum,
    is_inside,
    is_name,
    link,
    read_json,
    remove,
    replacing,
    sha256,
    write_json,
)

HOSTILE = [
    b"",
    b"5",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b'{"a": 1',
    b"\x00\x01\xff",
    b"\xff\xfe{\x00}\x00",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}",
    b"\xef\xbb\xbf{}",
]


@pytest.mark.parametrize("content", HOSTILE, ids=lambda content: repr(content[:12]))
def test_what_holds_no_object_counts_as_absent(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    assert read_json(path) is None
    assert str(path) in caplog.text
    assert len(caplog.text) < 1000


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_reading_never_raises(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    assert isinstance(read_json(path), dict | None)


def test_what_is_no_file_counts_as_absent(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "folder.json").mkdir()
    assert read_json(tmp_path / "folder.json") is None
    (tmp_path / "loop.json").symlink_to("loop.json")
    assert read_json(tmp_path / "loop.json") is None
    assert read_json(tmp_path / ("long" * 100)) is None
    assert read_json(Path("a\0b")) is None
    os.mkfifo(tmp_path / "pipe.json")
    assert read_json(tmp_path / "pipe.json") is None, "a pipe may never end"


@settings(deadline=None)
@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.json"
    write_json(path, content)
    assert read_json(path) == content


NAMES = st.one_of(
    st.none(), st.integers(), st.lists(st.text(max_size=2)), st.text(),
    st.text(st.sampled_from([*"./\\:\0ab C", "\ud800", "\udcff", "é"]), max_size=12),
)  # fmt: skip


@settings(deadline=None)
@given(NAMES)
def test_a_name_never_leads_out_of_its_folder(name: object) -> None:
    if not is_inside(name):
        assert not is_name(name)
        return
    assert isinstance(name, str)
    place = os.path.normpath(os.path.join("/folder", name))
    assert place.startswith("/folder/")
    assert os.fsencode(place)
    if is_name(name):
        assert os.path.dirname(place) == "/folder"
        assert len(os.fsencode(name)) <= 255


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/etc", "a/../b", "a//b", "a/", "../a", "a\\b", "C:a", "a\0", "\ud800", 5, None, ["a"]]
)  # fmt: skip
def test_names_that_lead_elsewhere(name: object) -> None:
    assert not is_inside(name)
    assert not is_name(name)


@pytest.mark.parametrize(
    "name", ["a", "a.b", "..a", "a..", " a", "maps", "10:30 talk.mp4", "\udcff", "é" * 127]
)
def test_names_of_files(name: str) -> None:
    assert is_inside(name)
    assert is_name(name)
    assert is_inside(f"folder/{name}")
    assert not is_name(f"folder/{name}")


def test_names_that_are_too_long() -> None:
    assert not is_name("é" * 128)
    assert not is_inside("a/" * 3000 + "a")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(ValueError, match="stop"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("two")
        raise ValueError("stop")
    assert path.read_text() == "one"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/below\.json: cannot be written"):
        write_json(tmp_path / "file" / "below.json", {})
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / "folder", {})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_removing_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    remove(tmp_path / "link")
    remove(tmp_path / "never was")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
    remove(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_checksums(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert sha256(path) == checksum(path)
    assert sha256(path).startswith("ba7816bf")


def test_links_are_copies_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("content")
    link(tmp_path / "a", tmp_path / "b")

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    link(tmp_path / "a", tmp_path / "c")
    assert {(tmp_path / name).read_text() for name in "abc"} == {"content"}


def test_numbers_that_json_does_not_know_are_written_as_they_can_be_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"path": Path("/x"), "b": float("inf")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"path": "/x", "b": float("inf")}
