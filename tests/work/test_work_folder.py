"""The work folder: what is kept of a run, and what is not trusted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.errors import OutputError
from gasp.work.folder import Piece, WorkFolder, read_plan


def commit(work: WorkFolder, name: str, text: str = "content", **about: Any) -> Piece:
    folder = work.writing()
    (folder / "deep").mkdir()
    (folder / "deep" / "file.txt").write_text(text)
    (folder / "empty.txt").touch()
    return work.commit(folder, name, about)


@pytest.fixture
def work(tmp_path: Path) -> WorkFolder:
    """With the pieces a, b and c of the run "one"."""
    made = WorkFolder(tmp_path / "out" / ".partial")
    with made.locked():
        made.begin("one", {"input": {"path": "/talk.mp4"}})
        for name in "abc":
            commit(made, name, number=ord(name))
    return made


def names(pieces: list[Piece]) -> list[str]:
    return [piece.name for piece in pieces]


def begin(work: WorkFolder, fingerprint: str | None = "one", **options: Any) -> list[str]:
    with work.locked():
        return names(work.begin(fingerprint, **options))


def test_pieces_are_taken_up_by_the_same_run_only(work: WorkFolder) -> None:
    plan = read_plan(work.path)
    assert plan is not None
    assert plan.about == {"input": {"path": "/talk.mp4"}}
    assert begin(work) == ["a", "b", "c"]
    assert begin(work, "two") == []
    assert begin(work, "one") == [], "the other run has removed them"


@pytest.mark.parametrize(("fingerprint", "options"), [(None, {}), ("one", {"anew": True})])
def test_runs_that_take_up_nothing(
    work: WorkFolder, fingerprint: str | None, options: dict[str, Any]
) -> None:
    assert begin(work, fingerprint, **options) == []
    assert list((work.path / "pieces").iterdir()) == []


def test_a_run_without_a_fingerprint_is_never_taken_up(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / ".partial")
    with work.locked():
        work.begin(None)
        commit(work, "a")
    assert begin(work, None) == []


def test_a_piece_comes_back_as_it_was_given(work: WorkFolder) -> None:
    with work.locked():
        work.begin("one")
        given_back = commit(work, "d", pair=(1, 2.5), deep={"a": [None, "é"]}, tiny=1e-320, third=1 / 3)
        again = work.begin("one")[-1]
    assert given_back == again
    assert again.about == {"pair": [1, 2.5], "deep": {"a": [None, "é"]}, "tiny": 1e-320, "third": 1 / 3}
    assert (again.folder / "deep" / "file.txt").read_text() == "content"


def test_who_comes_second_changes_nothing(work: WorkFolder) -> None:
    with work.locked():
        work.begin("one")
        commit(work, "a", "other content")
        assert not (work.path / "writing").exists()
    assert (work.path / "pieces" / "a" / "deep" / "file.txt").read_text() == "content"
    assert begin(work) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a", "a\0"])
def test_names_of_pieces_stay_inside(work: WorkFolder, name: str) -> None:
    with work.locked(), pytest.raises(ValueError, match="name of a piece"):
        commit(work, name)


def rewrite(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Changes values in ``piece.json``."""

    def harm(piece: Path) -> None:
        content = json.loads((piece / "piece.json").read_text())
        change(content)
        (piece / "piece.json").write_text(json.dumps(content))

    return harm


HARM: dict[str, Callable[[Path], Any]] = {
    "file shortened": lambda piece: (piece / "deep" / "file.txt").write_text("conten"),
    "file changed": lambda piece: (piece / "deep" / "file.txt").write_text("c0ntent"),
    "file lost": lambda piece: (piece / "empty.txt").unlink(),
    "file added": lambda piece: (piece / "deep" / "Thumbs.db").write_text("x"),
    "file is a link": lambda piece: (
        (piece / "empty.txt").unlink(), (piece / "empty.txt").symlink_to("/dev/null")
    ),
    "file is a folder": lambda piece: ((piece / "empty.txt").unlink(), (piece / "empty.txt").mkdir()),
    "no description": lambda piece: (piece / "piece.json").unlink(),
    "description is a folder": lambda piece: (
        (piece / "piece.json").unlink(), (piece / "piece.json").mkdir()
    ),
    "about changed": rewrite(lambda content: content["about"].update(number=98.5)),
    "about lost": rewrite(lambda content: content.update(about={})),
    "about is a list": rewrite(lambda content: content.update(about=[])),
    "files is a list": rewrite(lambda content: content.update(files=[])),
    "no files": rewrite(lambda content: content.update(files={})),
    "size is text": rewrite(lambda content: content["files"]["empty.txt"].update(size="0")),
    "leads outside": rewrite(lambda content: content["files"].update(
        {"../../../../outside": content["files"].pop("empty.txt")})),
    "half a character": rewrite(lambda content: content["files"].update(
        {"\ud800": content["files"].pop("empty.txt")})),
    "another version": rewrite(lambda content: content.update(format="gasp-work-0")),
    "something more": rewrite(lambda content: content.update(more=1)),
    "self": rewrite(lambda content: content.update(self=1)),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_a_piece_that_is_not_as_it_was_written_is_not_taken_up(
    work: WorkFolder, harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outside").touch()
    HARM[harm](work.path / "pieces" / "b")
    assert begin(work) == ["a", "c"]
    assert not os.path.lexists(work.path / "pieces" / "b")
    assert "is made again" in caplog.text
    assert (tmp_path / "outside").exists()


@settings(deadline=None)
@given(content=st.binary(max_size=60))
def test_any_description(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    work = WorkFolder(tmp_path_factory.getbasetemp() / "any" / ".partial")
    with work.locked():
        work.begin("one")
        piece = commit(work, "a")
        (piece.folder / "piece.json").write_bytes(content)
        assert work.begin("one") == []


@pytest.mark.parametrize(
    "content", [b"5", b"null", b"[" * 100_000, b"\xff", b"{}", b'{"format": 1, "fingerprint": "one"}',
                b'{"format": "gasp-work-1", "fingerprint": ["one"]}', b'{"format": "other", "fingerprint": "one"}',
                b'{"format": "gasp-work-1", "fingerprint": "one", "about": 5}'],
)  # fmt: skip
def test_a_plan_that_is_not_ours_counts_as_absent(work: WorkFolder, content: bytes) -> None:
    (work.path / "plan.json").write_bytes(content)
    assert read_plan(work.path) is None
    assert begin(work) == []
    assert begin(work) == []


def test_stray_things_among_the_pieces_go(work: WorkFolder) -> None:
    (work.path / "pieces" / "stray.txt").write_text("x")
    (work.path / "pieces" / "empty").mkdir()
    (work.path / "pieces" / "link").symlink_to(work.path / "pieces" / "a")
    assert begin(work) == ["a", "b", "c"]
    assert sorted(path.name for path in (work.path / "pieces").iterdir()) == ["a", "b", "c"]


def test_what_was_being_written_goes_and_what_is_of_others_stays(work: WorkFolder) -> None:
    (work.path / "writing").mkdir()
    (work.path / "writing" / "half").write_text("x")
    (work.path / "notes.txt").write_text("mine")
    assert begin(work) == ["a", "b", "c"]
    assert not (work.path / "writing").exists()
    with work.locked():
        work.remove()
    assert [path.name for path in work.path.iterdir()] == ["notes.txt"]


def test_removing_leaves_nothing(work: WorkFolder, tmp_path: Path) -> None:
    with work.locked():
        work.remove()
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(work: WorkFolder, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_text("mine")
    for name in ("writing", "assembled"):
        (work.path / name).symlink_to(mine)
    with work.locked():
        work.begin("one")
        commit(work, "d")
        (work.assembled() / "result").write_text("x")
        work.remove()
    assert [path.name for path in mine.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_something_in_the_way(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".partial"
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(OutputError, match="in the way"), WorkFolder(path).locked():
        pass
    assert os.path.lexists(path)


def test_one_at_a_time(work: WorkFolder) -> None:
    with (
        work.locked(),
        pytest.raises(OutputError, match="another run is writing there"),
        WorkFolder(work.path).locked(),
    ):
        pass
    with WorkFolder(work.path).locked():
        pass


def test_a_lock_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / ".partial" / "lock").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written"), WorkFolder(tmp_path / ".partial").locked():
        pass
