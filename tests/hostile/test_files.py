"""Files that are damaged, hostile or not what they are taken for: an error in words, quickly, and nothing else touched."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

from gasp.datasets.store import PackSettings, pack
from helpers.evaluation_sets import make_videos
from helpers.fork_server import ForkServer
from helpers.grouped_frames import make_grouped
from helpers.hostile import QUICK, changed, check, damaged

LONG = "9" * 5000
DEEP = "[" * 100_000


# --- pipelines in YAML ----------------------------------------------------------------------------------------------

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
PIPELINES = [
    "", "5", "null", "[]", "text", "- a\n- b", "{", "a: [", ": :", "\t- x", "a: b: c", "!!python/object/apply:os.system ['touch x']",
    "!!binary x", "&a [*a]", "a: &a\n  b: *a", ALIASES, DEEP, "{a: " * 5000, "x: " + LONG, "cues: " + "[" * 500 + "]" * 500,
    "cues: glance", "cues: {}", "cues: [5]", "cues: [[glance]]", "cues: [{name: 5}]", "cues: [{name: glance, options: 5}]",
    "cues: [glance]\ncues: [faces]", "cues: [{name: no}]", "fusion: 5", "fusion: {weights: 5}", "fusion: {weights: ''}",
    "fusion: {weights: nowhere.pt}", "fusion: {weights: /dev/zero}", "fusion: {network: no}", "fusion: {network: {}}",
    "fusion: {options: {modalities: x}}", "faces: 5", "faces: [yunet]", "faces: {}", "faces: no", "every: x", "every: -1",
    "every: 1e400", "every: .nan", "batch: " + LONG, "batch: 1.5", "batch: true", "piece: -3", "device: 5", "device: [cpu]",
    "threads: .inf", "unknown: 5", "cue: [glance]", "1: 2", "? [a]\n: b", "a: 2024-01-01", "pipeline: x", "\x00", "\ufeff\ufeff",
]  # fmt: skip
RAW_PIPELINES = [
    b"\xff\xfe\x00",
    b"\x80abc",
    b"\x00" * 1000,
    b"PK\x03\x04",
    b"a: \xed\xa0\x80",
    os.urandom(3000),
]


@pytest.mark.parametrize("chunk", range(4))
def test_pipelines(chunk: int, server: ForkServer, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    contents = [*(text.encode("utf-8", "surrogatepass") for text in PIPELINES), *RAW_PIPELINES]
    for content in contents[chunk::4]:
        path.write_bytes(content)
        done = server.run(
            "predict", clip, "-o", tmp_path / "out", "--pipeline", path, timeout=30, memory=3 << 30
        )
        # What says nothing is the default pipeline.
        check(done, repr(content[:80]), allowed=(0, 1, 2) if content in (b"", b"null") else (1, 2))
        assert done.seconds < 15, content[:80]
        assert sorted(os.listdir(tmp_path)) in (["pipeline.yaml"], ["out", "pipeline.yaml"])
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


# --- weights --------------------------------------------------------------------------------------------------------


def weights_file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape: Any, dtype: Any = "F32", offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}}


def described(**about: Any) -> dict[str, Any]:
    """A header that says that it is a network of ours."""
    return {"__metadata__": dict(about), **tensor([1])}


NETWORK = "SequenceGASPDAMEncGMUALSTMConv"
WEIGHTS = [
    b"", b"x", b"\x00" * 8, b"\xff" * 8, b"\xff" * 100, b"PK\x03\x04" + bytes(100), b"PK\x05\x06" + bytes(18), b"\x80\x02}q\x00.",
    b"\x80\x04cos\nsystem\n(S'touch x'\ntR.", struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 10**9) + b"{}",
    weights_file(b"{"), weights_file(DEEP.encode()), weights_file({}), weights_file([]), weights_file(5), weights_file({"a": 5}),
    weights_file(tensor([1])), weights_file(tensor([-1])), weights_file(tensor([2**62, 2**62])), weights_file(tensor("x")),
    weights_file(tensor([1], "F7"), bytes(4)), weights_file(tensor([1], 5), bytes(4)), weights_file(tensor([1], offsets=(4, 0))),
    weights_file(tensor([1], offsets=(0, 2**60)), bytes(4)), weights_file(tensor([1], offsets=("a", "b")), bytes(4)),
    weights_file(tensor([1]), bytes(4)), weights_file({"__metadata__": 5, **tensor([1])}, bytes(4)),
    weights_file({"__metadata__": {"a": 5}, **tensor([1])}, bytes(4)),
    *(
        weights_file(described(network=NETWORK, options=options), bytes(4))
        for options in (
            "x", "5", "[]", "{}", '{"sequence_len": 1000000000}', '{"modalities": 5}', '{"modalities": "x"}', '{"sequence_len": -1}',
            json.dumps({"modalities": ["m"] * 100_000}), '{"encoder_widths": 5}', '{"latent_channels": 60000}', DEEP,
            '{"latent_channels": 1e9}', '{"sequence_len": NaN}', '{"a": 1, "a": 2}', '{"latent_channels": "8"}',
        )
    ),
    weights_file(described(network="no", options="{}"), bytes(4)), weights_file(described(network="../x"), bytes(4)),
    weights_file(described(network=NETWORK), bytes(4)), weights_file({"é" * 1000: tensor([1])["a"]}, bytes(4)),
    weights_file(b'{"a": 1, "a": 2}'), weights_file(b"\xff\xfe{}"),
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights(suffix: str, server: ForkServer, clip: Path, tmp_path: Path) -> None:
    weights, pipeline = tmp_path / f"mine.{suffix}", tmp_path / "pipeline.yaml"
    pipeline.write_text(yaml.safe_dump({"cues": ["captured"], "fusion": {"weights": str(weights)}}))
    for number, content in enumerate(WEIGHTS):
        weights.write_bytes(content)
        done = server.run(
            "predict", clip, "-o", tmp_path / "out", "--pipeline", pipeline, cwd=tmp_path, timeout=30, memory=3 << 30
        )  # fmt: skip
        check(done, f"{number}: {content[:90]!r}", named="mine")
        assert not (tmp_path / "x").exists(), "something in the file was executed"


# --- what lies in folders of results --------------------------------------------------------------------------------

MANIFESTS = [
    "", "null", "5", "[]", "{}", '"x"', "{", DEEP, "\x00", "NaN", '{"frames": null}', '{"input": {"path": 5}}', '{"files": 5}',
    '{"format": "gasp results", "files": ["../../x"]}', '{"files": ["/etc/passwd"]}', '{"files": {"a": null}}', '{"status": []}',
    '{"status": "complete"}', '{"status": "complete", "files": [], "fingerprint": "x"}', '{"format": 1e400}', '{"a": 1, "a": 2}',
    '{"frames": {"done": "x"}}', '{"frames": {"done": -1}}', '{"version": ' + LONG + "}", '{"fingerprint": "\ud800"}',
]  # fmt: skip

MANIFEST_BYTES = [text.encode("utf-8", "surrogatepass") for text in MANIFESTS]


def test_run_json(server: ForkServer, clip: Path, tmp_path: Path) -> None:
    """In one list: whatever lies in one folder costs nothing but a warning, and stays."""
    out, paths = tmp_path / "out", many(clip, tmp_path / "in", len(MANIFESTS))
    for path, content in zip(paths, MANIFEST_BYTES, strict=True):
        (out / path.stem).mkdir(parents=True)
        (out / path.stem / "run.json").write_bytes(content)
        (out / path.stem / "notes.txt").write_text("mine")
    done = server.run("predict", *paths, "-o", out, *QUICK, timeout=120)
    check(done, "run.json", allowed=(0,))
    for path, content in zip(paths, MANIFEST_BYTES, strict=True):
        folder = out / path.stem
        assert (folder / "notes.txt").read_text() == "mine"
        kept = [other.read_bytes() for other in folder.glob("run*.json")]
        assert content in kept, f"{content[:80]!r}: what was there is gone"
        assert json.loads((folder / "run.json").read_text())["status"] == "complete"
        assert len((folder / "frames.csv").read_text().splitlines()) == 5


def test_unfinished_pieces_and_journals(server: ForkServer, clip: Path, tmp_path: Path) -> None:
    out, paths = tmp_path / "out", many(clip, tmp_path / "in", len(MANIFESTS))
    for path, content in zip(paths, MANIFEST_BYTES, strict=True):
        piece = out / path.stem / ".partial" / "pieces" / "000000"
        piece.mkdir(parents=True)
        for damaged_file in (piece.parent.parent / "plan.json", piece / "piece.json"):
            damaged_file.write_bytes(content)
    (out / "failed.jsonl").write_bytes(b"\n".join(MANIFEST_BYTES))
    done = server.run("predict", *paths, "-o", out, *QUICK, timeout=120)
    check(done, "unfinished pieces", allowed=(0,))
    for path in paths:
        assert len((out / path.stem / "frames.csv").read_text().splitlines()) == 5


def many(clip: Path, folder: Path, count: int) -> list[Path]:
    """So many inputs."""
    folder.mkdir()
    paths = [folder / f"clip{number:02d}.mp4" for number in range(count)]
    for path in paths:
        os.link(clip, path)
    return paths


# --- stores ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    frames = make_grouped(folder / "Grouped_frames", frames=3, size=16)
    pack(frames, folder / "store", PackSettings(size=(16, 16), target_size=(16, 16)))
    return folder / "store"


def test_indexes_of_stores(server: ForkServer, store: Path, tmp_path: Path) -> None:
    victim = tmp_path / "vict"
    victim.mkdir()
    (victim / "mine.txt").write_text("mine")
    rng, index = random.Random(5), json.loads((store / "index.json").read_text())
    contents = [json.dumps(changed(index, rng)).encode() for _ in range(24)]
    contents += MANIFEST_BYTES
    for number, content in enumerate(contents):
        bad = tmp_path / "stores" / "bad"
        shutil.rmtree(bad.parent, ignore_errors=True)
        shutil.copytree(store, bad)
        (bad / "index.json").write_bytes(content)
        for words in (("--verify", bad), ("--unpack", bad, "-o", tmp_path / "stores" / "out")):
            done = server.run("pack", *words, timeout=30, memory=3 << 30)
            check(done, f"{number}: {content[:200]!r}", allowed=(0, 1, 2), named="bad")
        assert (victim / "mine.txt").read_text() == "mine"
        assert sorted(os.listdir(tmp_path)) == ["stores", "vict"], content[:200]


# --- tables of gaze, and what else a dataset holds ------------------------------------------------------------------

HEAD = "video,observer,onset_ms,duration_ms,x,y\n"
ROW = "v0,1,0,200,10,10\n"
TABLES = [
    "", "\n\n", "x", HEAD, HEAD + "v0", HEAD + ROW * 3 + "v0,1,0", "a,b,c\n1,2,3\n", HEAD + "v0,1,x,200,10,10\n",
    HEAD + "v0,1,0,200,nan,nan\n", HEAD + "v0,1,0,-5,10,10\n", HEAD + "v0,1,1e400,200,10,10\n", HEAD + "no,1,0,200,10,10\n",
    HEAD + f"v0,{LONG},0,200,10,10\n", HEAD + f"v0,1,{LONG},200,10,10\n", HEAD + "v0,1,0,200,1e30,1e30\n", HEAD * 3,
    HEAD + '"v0,1,0,200,10,10\n', HEAD + 'v0,"1\n2",0,200,10,10\n', HEAD + "../v0,1,0,200,10,10\n", HEAD + "\x00,1,0,2,3,4\n",
    HEAD.replace(",", ";") + ROW, HEAD.replace("x,y", "x,x"), HEAD + ROW.replace(",", "\t"), "\ufeff" + HEAD, HEAD + "," * 100_000,
    HEAD + "v0,1,0,200," + "1" * 200_000 + ",5\n", HEAD + "\x1b[31m,1,0,200,1,1\n", HEAD + "v0,1,0,0.2,10,10\n" * 5,
]  # fmt: skip
RAW_TABLES = [
    b"\xff\xfe" + HEAD.encode("utf-16-le"),
    b"\x80\x81\x82",
    bytes(5000),
    os.urandom(5000),
    b"PK\x03\x04" + bytes(100),
]


@pytest.mark.parametrize("chunk", range(2))
def test_tables(chunk: int, server: ForkServer, tmp_path: Path) -> None:
    data = make_videos(tmp_path / "data", count=1, frames=4)
    contents = [*(text.encode() for text in TABLES), *RAW_TABLES]
    for content in contents[chunk::2]:
        (data / "fixations.csv").write_bytes(content)
        done = server.run("evaluate", data, "-o", tmp_path / "out", "--no-ceiling", "--cues", "captured",
                          "--faces", "none", "--threads", 1, "--draws", 100, timeout=60, memory=3 << 30)  # fmt: skip
        check(done, repr(content[:120]), allowed=(0, 1, 2), named=str(data))
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


# --- pictures and videos --------------------------------------------------------------------------------------------


def png(width: int, height: int, *, depth: int = 8, kind: int = 2) -> bytes:
    """The beginning of a picture that claims a size."""
    import zlib

    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + bytes(40)
    )


def test_videos_that_are_damaged_anywhere(server: ForkServer, clip: Path, tmp_path: Path) -> None:
    """In one list: each stands alone, and what is said of a video holds for its results."""
    content = clip.read_bytes()
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    paths = []
    for seed in range(60):
        paths.append(folder / f"damaged{seed:02d}.mp4")
        paths[-1].write_bytes(damaged(content, seed))
    shutil.copy(clip, folder / "good.mp4")
    done = server.run("predict", *paths, folder / "good.mp4", "-o", out, *QUICK, timeout=180, memory=3 << 30)
    check(done, "damaged videos", allowed=(0, 1))
    told = " ".join(done.err.split())
    assert len((out / "good" / "frames.csv").read_text().splitlines()) == 5
    for path in paths:
        result = out / path.stem / "run.json"
        if not result.exists():
            assert path.name in told
            continue
        run = json.loads(result.read_text())
        rows = (
            result.parent / ("frames.csv" if run["status"] == "complete" else "frames.partial.csv")
        ).read_text()
        assert len(rows.splitlines()) == run["frames"]["done"] + 1


def test_pictures(server: ForkServer, tmp_path: Path) -> None:
    sizes = [
        (0, 0),
        (0, 5),
        (1, 1),
        (2**31 - 1, 1),
        (2**31 - 1, 2**31 - 1),
        (60_000, 60_000),
        (20_000, 10),
        (2**32 - 1, 3),
    ]
    contents = [png(*size) for size in sizes]
    contents += [
        png(8, 8, depth=99),
        png(8, 8, kind=77),
        b"GIF89a" + bytes(20),
        b"\xff\xd8\xff\xe0" + bytes(50),
        b"BM" + b"\xff" * 60,
    ]
    contents += [
        b"II*\x00" + b"\xff" * 60,
        b"RIFF\xff\xff\xff\xffWEBP",
        b"P6 99999999 99999999 255\n",
        b"<svg/>",
        b"%PDF-1.7",
    ]
    folder = tmp_path / "in"
    folder.mkdir()
    paths = []
    for number, content in enumerate(contents):
        for suffix in ("png", "jpg"):
            paths.append(folder / f"picture{number:02d}.{suffix}")
            paths[-1].write_bytes(content)
    done = server.run("predict", *paths, "-o", tmp_path / "out", *QUICK, timeout=120, memory=3 << 30)
    check(done, "pictures", allowed=(1,))
    told = " ".join(done.err.split())
    missing = [
        path.name for path in paths if path.name not in told and not (tmp_path / "out" / path.stem).exists()
    ]
    assert missing == []
