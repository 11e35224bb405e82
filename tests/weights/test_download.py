from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gasp import load_checkpoint
from gasp.errors import UsageError
from gasp.fetching.transfer import DownloadError, Patience
from gasp.weights import catalogue, describe, download
from gasp.weights.catalogue import MODELS_FOLDER, Entry, Licence, RemoteFile, find_entry
from gasp.weights.download import Store, ensure, ensure_all, find_downloaded
from gasp.work.progress import Progress
from helpers.misbehaving_server import Server, serving


def _checkpoint(value: float) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.full((1, 3), value), "bias": torch.zeros(1)}, buffer)
    return buffer.getvalue()


def _archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"top/{name}.pt")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    files = {
        "one.pt": _checkpoint(1),
        "a.pt": _checkpoint(2),
        "b.pt": _checkpoint(3),
        "all.tar.gz": _archive(x=_checkpoint(4), y=_checkpoint(5)),
        "evil.tar.gz": _archive(**{"../../evil": b"1"}),
    }
    with serving(files) as running:
        yield running


@pytest.fixture
def entries(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of four small checkpoints on the server."""
    base = replace(find_entry("tased"), licence=Licence("MIT", commercial=True), checkpoint="one.pt")

    def entry(name: str, how: str, *files: str, **changes: object) -> Entry:
        kind = "tar" if files[0].endswith("gz") else None
        remote = tuple(
            RemoteFile(file, (server.url(f"{how}/{file}"),), archive=kind, strip="top" if kind else "")
            for file in files
        )
        return replace(base, **{"name": name, "folder": name, "files": remote, **changes})

    monkeypatch.setattr(
        catalogue,
        "ENTRIES",
        (
            entry("one", "plain", "one.pt"),
            entry("broken", "truncated", "one.pt"),
            entry("page", "html", "one.pt"),
            entry("slow", "slow", "one.pt"),
            entry("folder", "plain", "a.pt", "b.pt", checkpoint="."),
            entry("x", "plain", "all.tar.gz", folder="archive", checkpoint="x.pt"),
            entry("y", "plain", "all.tar.gz", folder="archive", checkpoint="y.pt"),
            entry("z", "plain", "all.tar.gz", folder="archive", checkpoint="z.pt"),
            entry("evil", "plain", "evil.tar.gz", checkpoint="x.pt"),
            entry("closed", "plain", "one.pt", licence=Licence("Research only", commercial=False)),
            entry("silent", "plain", "one.pt", licence=Licence("none stated", commercial=None)),
        ),
    )


@pytest.fixture
def store(tmp_path: Path, entries: None) -> Store:
    return Store(tmp_path / "store", patience=Patience(timeout=2, attempts=2, pause=0.01))


def _weight(path: Path) -> float:
    return load_checkpoint(nn.Linear(3, 1), path).weight[0, 0].item()


def test_a_checkpoint_is_fetched_once_and_recorded(store: Store, server: Server) -> None:
    seen: list[Progress] = []
    path = ensure("one", store=store, progress=seen.append)
    assert path == store.root / MODELS_FOLDER / "one" / "one.pt"
    assert _weight(path) == 1
    assert {(event.task, event.unit) for event in seen} == {("one", "bytes")}
    about = describe(path)
    record = json.loads(path.with_name("one.pt.download.json").read_text())
    assert record["files"] == {"one.pt": about["sha256"]}
    assert record["url"] == server.url("plain/one.pt")
    assert about == {"file": "one.pt", "sha256": about["sha256"], "licence": "MIT"}
    assert ensure("one", store=store) == path
    assert server.requests["/plain/one.pt"] == 1
    assert find_downloaded(find_entry("one"), store) == path


def test_a_changed_file_is_noticed(store: Store) -> None:
    path = ensure("one", store=store)
    path.write_bytes(_checkpoint(7))
    with pytest.raises(DownloadError, match=r"SHA-256 is \w+ instead of \w+"):
        ensure("one", store=store)
    path.with_name("one.pt.download.json").unlink()
    assert _weight(ensure("one", store=store)) == 7, "replaced on purpose"


def test_files_that_are_already_there_are_adopted(store: Store, server: Server) -> None:
    path = store.root / MODELS_FOLDER / "one" / "one.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(_checkpoint(6))
    assert _weight(ensure("one", store=store)) == 6
    assert not server.requests
    assert path.with_name("one.pt.download.json").exists()


def test_several_files_make_a_folder(store: Store) -> None:
    path = ensure("folder", store=store)
    assert path == store.root / MODELS_FOLDER / "folder"
    assert {file.name for file in path.glob("*.pt")} == {"a.pt", "b.pt"}
    assert describe(path)["sha256"] == describe(path)["sha256"]
    assert describe(path)["licence"] == "MIT"


def test_entries_of_one_archive_are_fetched_together(store: Store, server: Server) -> None:
    paths = ensure_all(["x", "y"], store=store)
    assert [_weight(paths[name]) for name in ("x", "y")] == [4, 5]
    assert server.requests["/plain/all.tar.gz"] == 1
    folder = paths["x"].parent
    assert sorted(f.name for f in folder.iterdir() if not f.name.startswith(".")) == [
        "all.tar.gz.download.json",
        "x.pt",
        "y.pt",
    ]
    assert describe(paths["y"])["licence"] == "MIT"


def test_archives_without_the_checkpoint_or_with_traps_are_explained(store: Store) -> None:
    with pytest.raises(DownloadError, match=r"does not hold z.pt"):
        ensure("z", store=store)
    with pytest.raises(DownloadError, match="leads outside"):
        ensure("evil", store=store)
    assert not list(store.root.rglob("evil.pt"))
    assert not list(store.root.rglob("*.gz"))


def test_one_failure_does_not_stop_the_others(store: Store) -> None:
    with pytest.raises(DownloadError, match=r"(?s)connection ended.*web page"):
        ensure_all(["broken", "page", "one", "folder"], store=store)
    assert find_downloaded(find_entry("one"), store)
    assert find_downloaded(find_entry("folder"), store)
    assert not find_downloaded(find_entry("broken"), store)
    assert not list(store.root.rglob("page/one.pt*"))


@pytest.mark.parametrize(("name", "licence"), [("closed", "Research only"), ("silent", "none stated")])
def test_restricted_terms_must_be_accepted(store: Store, server: Server, name: str, licence: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}: licence {licence}(.|\n)*--accept-license"):
        ensure_all(["one", name], store=store)
    assert not server.requests
    path = ensure(name, store=store, accept_license=True)
    assert ensure(name, store=store) == path, "asked once"


def test_offline_mode_uses_what_is_there(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure("one", store=store)
    monkeypatch.setenv("GASP_OFFLINE", "1")
    offline = Store.from_environment(store.root)
    assert ensure("one", store=offline)
    with pytest.raises(DownloadError, match="GASP_OFFLINE"):
        ensure("folder", store=offline)
    assert server.requests.total() == 1


def test_a_mirror_goes_first(
    server: Server, entries: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.files[f"{MODELS_FOLDER}/one/one.pt"] = _checkpoint(9)
    monkeypatch.setenv("GASP_MIRROR", server.url("plain") + "/")
    store = replace(Store.from_environment(tmp_path), patience=Patience(attempts=1))
    assert _weight(ensure("one", store=store)) == 9
    ensure("folder", store=store)
    assert server.requests["/plain/a.pt"] == 1, "not on the mirror"


def test_the_root_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GASP_CWD", str(tmp_path))
    assert Store.from_environment().root == tmp_path
    assert Store.from_environment(tmp_path / "x").root == tmp_path / "x"
    monkeypatch.delenv("GASP_CWD")
    assert "gasp" in Store.from_environment().root.name


def test_a_known_checksum_is_compared(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = find_entry("one")
    wrong = replace(one, files=(replace(one.files[0], sha256="0" * 64),))
    monkeypatch.setattr(catalogue, "ENTRIES", (wrong,))
    with pytest.raises(DownloadError, match="wrong checksum"):
        ensure("one", store=store)
    assert not list(store.root.rglob("one.pt*"))


def test_two_processes_fetch_a_file_once(store: Store, server: Server) -> None:
    program = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from gasp.weights import catalogue\n"
        "from gasp.weights.download import Store, ensure\n"
        "old = catalogue.find_entry('tased')\n"
        "file = catalogue.RemoteFile('one.pt', (sys.argv[1],))\n"
        "catalogue.ENTRIES = (replace(old, name='slow', folder='slow', files=(file,), "
        "checkpoint='one.pt'),)\n"
        "print(ensure('slow', store=Store(Path(sys.argv[2]))))\n"
    )
    command = [sys.executable, "-c", program, server.url("slow/one.pt"), str(store.root)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(outputs) == 1
    assert server.requests["/slow/one.pt"] == 1


def test_a_read_only_store_can_be_used(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.root / MODELS_FOLDER / "one" / "one.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(_checkpoint(6))

    def refuse(*_: object) -> None:
        raise download.OutputError("read-only")

    monkeypatch.setattr(download, "write_record", refuse)
    assert ensure("one", store=store) == path


@pytest.mark.parametrize(
    "address", ["http://[::bad", "ftp://example.org", "example.org/x", "http://", "http://a:b/"]
)
def test_a_mirror_that_is_no_address_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GASP_MIRROR", address)
    with pytest.raises(UsageError, match="GASP_MIRROR = "):
        Store.from_environment()


def test_a_home_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GASP_CWD", "~nobody-of-that-name/x")
    with pytest.raises(UsageError, match="GASP_CWD = ~nobody-of-that-name/x"):
        Store.from_environment()
    with pytest.raises(UsageError, match="no such user"):
        Store.from_environment("~nobody-of-that-name/y")
