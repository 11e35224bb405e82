"""Names and kinds of inputs as people, and people who mean harm, have them."""

from __future__ import annotations

import csv
import os
import shutil
import socket
from pathlib import Path

import pytest

from gasp.runs.folders import folder_name
from helpers.fork_server import ForkServer
from helpers.hostile import QUICK, check

NAMES = [
    "...mp4", "..mp4", "....mp4", ". .mp4", " .mp4", "  talk  .mp4", "talk..mp4", "a.b.c.mp4", ".hidden.mp4",
    "con.mp4", "NUL.mp4", "com1.mp4", "aux.mp4", "prn.x.mp4", "Interview: part 1.mp4", "2024-01-01T10:20:30.mp4",
    "http:x.mp4", "C:talk.mp4", "file:talk.mp4", "concat:a|b.mp4", "pipe:0.mp4", "data:text.mp4", "talk#1.mp4",
    "50%d.mp4", "%s%n.mp4", "talk?.mp4", "talk*.mp4", "a|b.mp4", "a<b>.mp4", 'a"b.mp4', "a'b.mp4", "a\\b.mp4", "a\\..\\b.mp4",
    "a\nb.mp4", "a\tb.mp4", "a\rb.mp4", "\x1b[31mred.mp4", "\x07bell.mp4", "\x7fdel.mp4", "$(touch x).mp4", "`id`.mp4",
    "a;b.mp4", "a&b.mp4", "{a,b}.mp4", "[a].mp4", "~.mp4", "~root.mp4", "-o.mp4", "--help.mp4", "@file.mp4",
    "überraschung.mp4", "日本語.mp4", "e\u0301.mp4", "\u202egpj.mp4", "\u200bzero.mp4", "😀.mp4", "a" * 250 + ".mp4",
    "é" * 120 + ".mp4", "maps.mp4", "failed.jsonl.mp4", "frames.csv.mp4", ".partial.mp4", "run.json.mp4", "<b>&amp;.mp4",
    b"talk\xff.mp4", b"\xff\xfe.mp4", b"\xed\xa0\x80.mp4", b"caf\xe9.mp4",
]  # fmt: skip


def as_path(folder: Path, name: str | bytes) -> Path:
    return folder / (os.fsdecode(name) if isinstance(name, bytes) else name)


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NOT_ASCII = [name for name in NAMES if isinstance(name, bytes) or not name.isascii()]


@pytest.mark.parametrize(
    ("locale", "names"), [({}, NAMES), ({"LC_ALL": "C", "PYTHONUTF8": "0"}, NOT_ASCII)], ids=["utf8", "C"]
)
def test_every_name_gets_a_folder_of_its_own(
    locale: dict[str, str], names: list[str | bytes], server: ForkServer, clip: Path, tmp_path: Path
) -> None:
    videos, out = tmp_path / "videos", tmp_path / "parent" / "out"
    for folder in (videos, out, out / "maps", out / "frames"):
        folder.mkdir(parents=True)
    mine = [out.parent / "run.json", out / "maps" / "mine.png", out / "frames.csv", out.parent / "maps.png"]
    for path in mine:
        path.write_text("mine")
    paths = [as_path(videos, name) for name in names]
    for path in paths:
        os.link(clip, path)
    before = {path: path.read_bytes() for path in mine}
    done = server.run("predict", *paths, "-o", out, *QUICK, env=locale, timeout=120)
    check(done, "all names", allowed=(0,))
    assert {path: path.read_bytes() for path in mine} == before
    folders = [item for item in out.iterdir() if item.is_dir() and (item / "run.json").exists()]
    assert len(folders) == len(names), "two inputs share a folder, or one has none"
    assert sorted(os.listdir(out.parent)) == ["maps.png", "out", "run.json"], (
        "something left the output folder"
    )
    for folder in folders:
        with (folder / "frames.csv").open(newline="") as table:
            assert len(list(csv.reader(table))) == 5
    again = server.run("predict", *paths, "-o", out, *QUICK, "--json", env=locale, timeout=120)
    check(again, "all names, once more", allowed=(0,))
    assert again.out.count('"unchanged": true') == len(names)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_folders_are_safe(name: str | bytes, tmp_path: Path) -> None:
    made = folder_name(as_path(tmp_path, name))
    assert made not in ("", ".", "..")
    assert "/" not in made
    assert "\\" not in made
    assert len(made.encode()) <= 140
    assert made == made.strip(" .")
    assert made.isprintable()
    assert folder_name(as_path(tmp_path / "elsewhere", name)) == made


def test_what_is_no_video_costs_itself_only(server: ForkServer, clip: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video\n" * 1000)
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:900])
    (folder / "zeros.png").write_bytes(bytes(10_000))
    (folder / "emptyfolder").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("a")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    server_socket = socket.socket(socket.AF_UNIX)
    old = os.getcwd()
    os.chdir(folder)
    try:
        server_socket.bind("socket.mp4")
    finally:
        os.chdir(old)
    shutil.copy(clip, folder / "good.mp4")
    bad = sorted(path for path in folder.iterdir() if path.name != "good.mp4")
    bad += [
        folder / "missing.mp4",
        folder / ("x" * 300 + ".mp4"),
        Path("/dev/zero"),
        Path("/dev/null"),
        Path("/proc/self/mem"),
    ]
    done = server.run("predict", *bad, folder / "good.mp4", "-o", out, *QUICK, timeout=60)
    check(done, "what is no video", allowed=(1,))
    assert (out / "good" / "run.json").exists()
    told = " ".join(done.err.split())
    for path in bad:
        assert path.name[:60] in told, f"nothing is said of {path}"
    listed = (out / "failed.jsonl").read_text().splitlines()
    assert len(listed) == len(bad)
    assert [item.name for item in out.iterdir() if item.is_dir()] == ["good"]
    server_socket.close()


def test_files_of_others_in_the_output_stay(server: ForkServer, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in (
        "maps/000001.png",
        "frames.csv",
        "people.csv",
        "overlay.mp4",
        "report.html",
        "grid.mp4",
        "notes/a.txt",
    ):
        path = out / "talk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    before = snapshot(out)
    done = server.run("predict", clip, "-o", out, "--maps", "png", *QUICK)
    check(done, "files in the way", allowed=(1,))
    assert "--overwrite" in done.err
    left = snapshot(out)
    left.pop(out / "failed.jsonl")
    assert left == before
    forced = server.run("predict", clip, "-o", out, "--maps", "png", "--overwrite", *QUICK)
    assert forced.status == 0, forced.err
    assert (out / "talk" / "notes" / "a.txt").read_text() == "mine"
    assert (out / "talk" / "overlay.mp4").read_text() == "mine", "nothing of ours takes its place"
