from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gasp.errors import InputError, OutputError
from gasp.fetching import transfer
from gasp.fetching.transfer import DownloadError, Patience, fetch
from gasp.work.progress import Progress
from helpers.misbehaving_server import Server, serving

DATA = random.Random(0).randbytes(300_000)
FAST = Patience(timeout=0.4, attempts=3, pause=0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"file.bin": DATA, "small.bin": b"x" * 200}) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file.bin"


def _left_in(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_complete_with_its_checksum(server: Server, target: Path) -> None:
    seen: list[Progress] = []
    fetched = fetch(
        [server.url("plain/file.bin")],
        target,
        patience=FAST,
        progress=seen.append,
    )
    assert target.read_bytes() == DATA
    assert (fetched.sha256, fetched.size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert seen[-1] == Progress("file.bin", len(DATA), len(DATA), unit="bytes")
    assert _left_in(target) == ["file.bin"]


@pytest.mark.parametrize(
    "how",
    [
        "without_ranges",
        "breaks_once",
        "breaks_and_restarts",
        "wrong_range",
        "lying_range",
        "short_range",
        "busy_once",
        "chunks",
    ],
)
def test_troubles_that_can_be_overcome(server: Server, target: Path, how: str) -> None:
    fetch([server.url(f"{how}/file.bin")], target, patience=FAST)
    assert target.read_bytes() == DATA
    assert _left_in(target) == ["file.bin"]


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, target: Path) -> None:
    fetch([server.url("breaks_once/file.bin")], target, patience=FAST)
    start = len(DATA) // 2 - transfer._OVERLAP
    assert server.ranges == ["", f"bytes={start}-"]


def test_a_file_that_changes_in_between_is_fetched_anew(server: Server, target: Path) -> None:
    fetch([server.url("changed_file/file.bin")], target, patience=FAST)
    assert target.read_bytes() == DATA[::-1]


def test_the_next_call_resumes_what_an_earlier_one_left(server: Server, target: Path) -> None:
    once = Patience(timeout=0.4, attempts=1, pause=0.01)
    with pytest.raises(DownloadError, match="connection ended before"):
        fetch([server.url("breaks_once/file.bin")], target, patience=once)
    assert _left_in(target) == ["file.bin.part", "file.bin.part.json"]
    fetch([server.url("breaks_once/file.bin")], target, patience=once)
    assert target.read_bytes() == DATA
    assert server.ranges[1] == f"bytes={150_000 - transfer._OVERLAP}-"


def test_a_part_of_another_address_or_without_notes_is_not_resumed(server: Server, target: Path) -> None:
    target.parent.mkdir()
    for notes in ("not json", json.dumps({"url": "http://elsewhere/", "validator": '"x"', "total": 1})):
        target.with_name("file.bin.part").write_bytes(b"y" * 100_000)
        target.with_name("file.bin.part.json").write_text(notes)
        fetch([server.url("plain/file.bin")], target, patience=FAST)
        assert target.read_bytes() == DATA
    assert server.ranges == ["", ""]


@pytest.mark.parametrize(
    ("how", "message", "requests"),
    [
        ("truncated", "connection ended before", 3),
        ("breaks_always", "connection ended before", 3),
        ("cut_chunks", "connection ended before", 3),
        ("empty", "empty file", 1),
        ("forbidden", "answered 403", 1),
        ("loop", "redirects in a circle", None),
        ("gzipped", "encoding", 1),
        ("silent", "does not answer in time", 3),
        ("stalled", "does not answer in time", 3),
    ],
)
def test_troubles_that_cannot_be_overcome(
    server: Server, target: Path, how: str, message: str, requests: int | None
) -> None:
    url = server.url(f"{how}/file.bin")
    with pytest.raises(DownloadError, match=message) as error:
        fetch([url], target, patience=FAST)
    assert url in str(error.value)
    assert not target.exists()
    if requests is not None:
        assert server.requests[f"/{how}/file.bin"] == requests


def test_a_server_that_drips_is_given_up(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match="stalls"):
        fetch([server.url("drips/file.bin")], target, patience=Patience(timeout=0.1, attempts=1, pause=0.01))


def test_a_server_that_drips_the_head_of_its_answer_is_given_up(server: Server, target: Path) -> None:
    patience = Patience(timeout=0.3, attempts=2, pause=0.01)
    before = time.monotonic()
    with pytest.raises(DownloadError, match="does not come to an end with its answer's head"):
        fetch([server.url("drips_head/file.bin")], target, patience=patience)
    assert time.monotonic() - before < 5
    fetched = fetch(
        [server.url("drips_head/file.bin"), server.url("plain/file.bin")], target, patience=patience
    )
    assert fetched.size == len(DATA)


def test_a_server_that_asks_to_wait_for_years_is_given_up_at_once(server: Server, target: Path) -> None:
    before = time.monotonic()
    with pytest.raises(DownloadError, match="asks to wait for 99999999 s"):
        fetch([server.url("busy_for_years/file.bin")], target, patience=FAST)
    fetch([server.url("busy_for_years/file.bin"), server.url("plain/file.bin")], target, patience=FAST)
    assert time.monotonic() - before < 5


def test_numbers_of_headers_that_are_none_are_passed_over(server: Server, target: Path) -> None:
    fetch([server.url("odd_numbers/file.bin")], target, patience=FAST)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("url", ["http://[::bad/file.bin", "http://", "", "http:///file.bin"])
def test_addresses_that_cannot_be_parsed_are_passed_over(server: Server, target: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="is no web address"):
        fetch([url], target, patience=FAST)
    assert fetch([url, server.url("plain/file.bin")], target, patience=FAST).size == len(DATA)


def test_a_missing_file_and_a_refused_connection(target: Path) -> None:
    with serving({}) as server:
        url = server.url("plain/file.bin")
        with pytest.raises(DownloadError, match="answered 404"):
            fetch([url], target, patience=FAST)
    with pytest.raises(DownloadError, match="refused"):
        fetch([url], target, patience=FAST)


def test_mirrors_are_tried_in_order(server: Server, target: Path) -> None:
    urls = [server.url("forbidden/file.bin"), server.url("html/file.bin"), server.url("plain/file.bin")]

    def check(path: Path) -> None:
        if path.read_bytes().startswith(b"<!DOCTYPE"):
            raise InputError(f"{path}: is a web page")

    assert fetch(urls, target, check=check, patience=FAST).url == urls[2]
    with pytest.raises(DownloadError, match=r"answered 403(.|\n)*other.bin: is a web page"):
        fetch(urls[:2], target.with_name("other.bin"), check=check, patience=FAST)
    assert _left_in(target) == ["file.bin"]


def test_an_address_that_fails_does_not_cost_what_another_one_brought(server: Server, target: Path) -> None:
    once = Patience(timeout=0.4, attempts=1, pause=0.01)
    urls = [server.url("forbidden/file.bin"), server.url("breaks_once/file.bin")]
    for _ in range(2):
        with suppress(DownloadError):
            fetch(urls, target, patience=once)
    assert target.read_bytes() == DATA
    assert server.ranges[-1].startswith("bytes=")


def test_a_wrong_checksum_or_size_leaves_nothing(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch([server.url("plain/file.bin")], target, sha256_expected="0" * 64, patience=FAST)
    with pytest.raises(DownloadError, match="300000 bytes; expected are 5"):
        fetch([server.url("plain/file.bin")], target, size=5, patience=FAST)
    assert _left_in(target) == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "no address at all", "http://"])
def test_addresses_that_are_none(target: Path, url: str) -> None:
    with pytest.raises(DownloadError):
        fetch([url], target, patience=FAST)


def test_a_full_disk_leaves_nothing(server: Server, target: Path) -> None:
    """The limit on file sizes makes writing fail in the middle, as a full disk does."""
    program = (
        "import sys, resource\n"
        "from pathlib import Path\n"
        "from gasp.fetching.transfer import fetch\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    fetch([sys.argv[1]], Path(sys.argv[2]))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", program, server.url("plain/file.bin"), str(target)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("OutputError"), done.stdout + done.stderr
    assert "cannot be written" in done.stdout
    assert _left_in(target) == []


def test_too_little_space_is_noticed_beforehand(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = transfer.shutil.disk_usage(target.parent.parent)._replace(free=1000)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="free"):
        fetch([server.url("plain/file.bin")], target, patience=FAST)
    assert _left_in(target) == []


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch([server.url("plain/file.bin")], tmp_path / "file" / "x.bin", patience=FAST)


def test_cancelling_ends_the_transfer(server: Server, target: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(DownloadError, match="cancelled"):
        fetch([server.url("plain/file.bin")], target, patience=FAST, cancelled=cancelled)
    assert not target.exists()


class _Drive:
    """What gdown does, as far as it matters here: writes the file, or raises."""

    def __init__(self, result: bytes | Exception) -> None:
        self.result = result

    def __call__(self, url: str, *, output: str, progress: transfer.Progress, **_: object) -> str:
        if isinstance(self.result, Exception):
            raise self.result
        Path(output).write_bytes(self.result)
        progress(len(self.result), None)
        return output


def test_google_drive_goes_through_gdown(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gdown

    url = "https://drive.google.com/uc?id=abc"
    monkeypatch.setattr(gdown, "download", _Drive(DATA))
    assert fetch([url], target, patience=FAST).sha256 == hashlib.sha256(DATA).hexdigest()
    target.unlink()
    for error, message in [
        (gdown.exceptions.FileURLRetrievalError("too many accesses"), "does not give the file"),
        (gdown.exceptions.DownloadError("incomplete"), "incomplete"),
    ]:
        monkeypatch.setattr(gdown, "download", _Drive(error))
        with pytest.raises(DownloadError, match=message):
            fetch([url], target, patience=FAST)
    monkeypatch.setattr(gdown, "download", _Drive(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(OutputError, match="No space left"):
        fetch([url], target, patience=FAST)
    assert _left_in(target) == []
