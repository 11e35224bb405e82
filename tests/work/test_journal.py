"""The journal of what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp.errors import OutputError
from gasp.work.journal import Failure, Journal

FOREIGN = [
    b"not JSON",
    b"5",
    b"null",
    b'["name", "reason"]',
    b'{"name": "a"}',
    b'{"name": "a", "reason": "b", "tries": "many"}',
    b'{"name": "a", "reason": "b", "tries": 1e999}',
    b'{"name": "a", "reason": "b", "tries": null}',
    b"\xff\x00",
    b"[" * 100_000,
]


def test_what_fails_is_counted_and_what_is_done_is_struck_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.failures() == {}
    journal.done("a")
    assert not journal.path.exists()
    journal.failed("a", "too dark")
    journal.failed("b", "zu dunkel: ü \ud800")
    journal.failed("a", "still too dark")
    assert Journal(tmp_path).failures() == {
        "a": Failure("a", "still too dark", 2),
        "b": Failure("b", "zu dunkel: ü \ud800", 1),
    }
    assert [json.loads(line)["name"] for line in journal.path.read_text().splitlines()] == ["a", "b"]
    journal.done("a")
    journal.done("b")
    assert not journal.path.exists(), "no file while nothing has failed"


def test_lines_of_others_stay(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.path.write_bytes(b"\n".join(FOREIGN) + b"\n")
    assert journal.failures() == {}
    journal.failed("mine", "why")
    journal.failed("mine", "why")
    assert journal.failures() == {"mine": Failure("mine", "why", 2)}
    assert journal.path.read_bytes().splitlines()[:-1] == FOREIGN
    journal.done("mine")
    assert journal.path.read_bytes().splitlines() == FOREIGN


@settings(deadline=None)
@given(content=st.binary(max_size=100))
def test_any_content(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    journal = Journal(tmp_path_factory.getbasetemp())
    journal.path.write_bytes(content)
    before = journal.failures()
    journal.failed("mine", "why")
    journal.done("mine")
    assert journal.failures() == {name: failure for name, failure in before.items() if name != "mine"}


@pytest.mark.parametrize("too_large", [False, True])
def test_what_cannot_be_read_is_not_replaced(
    too_large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    if too_large:
        monkeypatch.setattr("gasp.work.journal._LARGEST", 5)
        journal.path.write_bytes(b"a diary, not ours")
    else:
        journal.path.mkdir()
    assert journal.failures() == {}
    journal.done("never failed")
    with pytest.raises(OutputError, match=r"failed\.jsonl"):
        journal.failed("mine", "why")
    assert journal.path.is_dir() or journal.path.read_bytes() == b"a diary, not ours"
