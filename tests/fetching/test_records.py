"""Records that somebody else may have written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gasp.fetching.records import Record, licence_of, read_record, record_path, write_record


def test_a_record_comes_back(tmp_path: Path) -> None:
    record = Record({"a.pt": "0" * 64, "below/b.pt": "1" * 64}, "https://example.org/a", "MIT", "2026-01-01")
    write_record(record_path(tmp_path, "a.pt"), record)
    assert read_record(record_path(tmp_path, "a.pt")) == record


@pytest.mark.parametrize(
    "name", ["../a.pt", "/etc/passwd", "a/../../b", "..", "", "C:\\b", "..\\b", "a\0b", "./a", "//a"]
)
def test_names_that_lead_out_of_the_folder_make_it_no_record(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "below"
    folder.mkdir()
    place = record_path(folder, "a.pt")
    place.write_text(json.dumps({"files": {name: "0" * 64}, "licence": "MIT"}))
    assert read_record(place) is None
    assert licence_of(tmp_path / "a.pt") == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "null", "\x00", "[" * 100_000),
        '{"files": 5}',
        '{"files": {"a": "b"}, "url": 5}',
        '{"files": {"a": "b"}, "licence": []}',
    ],
)
def test_what_is_no_record_counts_as_none(tmp_path: Path, text: str) -> None:
    place = record_path(tmp_path, "a.pt")
    place.write_text(text)
    assert read_record(place) is None


def test_a_pipe_is_no_record(tmp_path: Path) -> None:
    os.mkfifo(record_path(tmp_path, "a.pt"))
    assert licence_of(tmp_path / "a.pt") == "unknown"
