"""Values of options that cannot be right: an error in words, quickly, and nothing written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp.results.manifest import read_listing, read_manifest
from gasp.work.files import read_json
from gasp.work.folder import WorkFolder, read_plan
from gasp.work.journal import Journal
from helpers.fork_server import ForkServer
from helpers.hostile import check

LONG = "9" * 5000
NUMBERS = ["-1", "x", "", "1e400", "nan", str(2**63), str(2**70), LONG, "٣x", "1.5"]
PREDICT = {
    "--every": [*NUMBERS, "0"], "--batch": [*NUMBERS, "0"], "--threads": NUMBERS, "--seed": NUMBERS, "--piece": NUMBERS,
    "--map-size": [*NUMBERS, "0x0", "10", "10x", f"{LONG}x{LONG}", "99999x99999", "-1x5", "8x8"],
    "--device": ["cuda:999", "cuda:-1", "gpu", "", "cuda:1:2", "cuda:" + LONG, "cpu:99", "mps:1", "xpu"],
    "--precision": ["float64", "", "half"], "--cues": ["", ",", "no", "captured,no", "captured," * 1000 + "no", "\x1b[0m"],
    "--faces": ["", "no", "../x", "\x00"[:0] + "?"], "--pipeline": ["", "no", "../../x", "x.yaml", "/dev/zero", "."],
    "--sink": ["no", ""], "--maps": ["tiff", ""],
}  # fmt: skip
EVALUATE = {
    "--draws": ["1e12", str(10**12), "0", "-5", LONG], "--seed": ["-1", str(2**70)], "--rate": ["0", "-1", "nan", "inf", "x"],
    "--size": ["-1", "1", LONG], "--workers": ["0", "-1", "100000"], "--shift": ["x"], "--blur": ["x", "-1", "nan"],
    "--system": ["x", "=", "a=", "default=x"], "--dataset": ["no", ""], "--videos": ["no"], "--split": ["no", "../../x"],
}  # fmt: skip
GENERATE = {
    "--size": ["0x0", "x", "99999x9", LONG], "--jobs": ["0", "-1", LONG], "--split": ["no", "/dev/zero"],
    "--videos": ["no", "../x"], "--cues": ["no", ""], "--device": ["cuda:999"],
}  # fmt: skip
OTHERS = [
    ["models", "export", "no"], ["models", "export", "dave", "--format", "no"], ["presets", "no"], ["presets", "../x"],
    ["download", "no"], ["download", ""], ["download", "../x"], ["pack", "nowhere", "-o", "x"], ["pack", "/dev/zero", "-o", "x"],
    ["pack", "--verify", "nowhere"], ["pack", "--unpack", "nowhere", "-o", "x"], ["pack", ".", "-o", "x", "--size", "0x0"],
    ["pack", ".", "-o", "x", "--size", LONG + "x1"], ["train", "nowhere.yaml"], ["train", "no"], ["train", "/dev/zero"],
    ["evaluate", "nowhere"], ["evaluate", "/dev/zero"], ["generate", "no"], ["generate", "own", "--folder", "nowhere"],
    ["predict"], ["nothing"], ["predict", "--no-such-option", "x"], ["gasp_infer", "--infer_config", "no"],
    ["gasp_infer", "--infer_config_file", "nowhere.json"], ["gasp_infer", "--infer_config_file", "/dev/zero"], ["gasp_infer"],
    ["gasp_train", "--train_config", "no"], ["gasp_scripts", "--scripts", "no"], ["gasp_download_manager", "--models", "no"],
    ["gasp_download_manager", "--datasets", "no"],
]  # fmt: skip


def refused(server: ForkServer, folder: Path, *words: object) -> None:
    """A command with these words says what is wrong, and writes nothing."""
    done = server.run(*words, cwd=folder, timeout=20, memory=3 << 30)
    line = " ".join(map(str, words))[:200]
    check(done, line)
    assert done.err.strip(), f"{line}: nothing is said"
    assert len(done.err) < 12_000, f"{line}: too much is said"
    assert sorted(os.listdir(folder)) in ([], ["talk.mp4"]), f"{line}: something was written"


@pytest.mark.parametrize("option", PREDICT)
def test_predict(option: str, server: ForkServer, clip: Path, tmp_path: Path) -> None:
    for value in PREDICT[option]:
        if option == "--map-size" and value == "8x8":
            refused(server, tmp_path, "predict", clip, "-o", tmp_path / "out", f"{option}={value}")
            continue
        more = ["--maps", "png"] if option == "--map-size" else []
        refused(server, tmp_path, "predict", clip, "-o", tmp_path / "out", f"{option}={value}", *more)


@pytest.mark.parametrize("option", EVALUATE)
def test_evaluate(option: str, server: ForkServer, tmp_path: Path) -> None:
    for value in EVALUATE[option]:
        refused(server, tmp_path, "evaluate", tmp_path, f"{option}={value}")


@pytest.mark.parametrize("option", GENERATE)
def test_generate(option: str, server: ForkServer, tmp_path: Path) -> None:
    for value in GENERATE[option]:
        refused(
            server,
            tmp_path,
            "generate",
            "own",
            "--folder",
            tmp_path,
            "-o",
            tmp_path / "out",
            f"{option}={value}",
        )


@pytest.mark.parametrize("words", OTHERS, ids=lambda words: " ".join(words)[:60])
def test_others(words: list[str], server: ForkServer, tmp_path: Path) -> None:
    refused(server, tmp_path, *words)


@pytest.mark.parametrize(
    "value", ["http://[::bad", "http://", "ftp://x", "\x00"[:0] + "nonsense", "http://127.0.0.1:1/x"]
)
def test_mirrors(value: str, server: ForkServer, tmp_path: Path) -> None:
    done = server.run("download", "yunet", "--accept-license", cwd=tmp_path, timeout=60,
                      env={"GASP_MIRROR": value, "GASP_CWD": str(tmp_path), "GASP_OFFLINE": "1"})  # fmt: skip
    check(done, value)


@pytest.mark.parametrize("value", ["~nobody-of-this-name/x", "/dev/null/x", "\udcff"[:0] + "x" * 5000])
def test_homes(value: str, server: ForkServer, tmp_path: Path) -> None:
    done = server.run(
        "download", "yunet", cwd=tmp_path, timeout=60, env={"GASP_CWD": value, "GASP_OFFLINE": "1"}
    )
    check(done, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["format", "status", "fingerprint", "input", "frames", "files", "path", "done", "about", "name",
                         "reason", "size", "sha256"]) | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip
BYTES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=BYTES)
def test_whatever_lies_in_our_folders_never_raises(content: bytes, tmp_path: Path) -> None:
    work = tmp_path / ".partial"
    piece = work / "pieces" / "000000"
    piece.mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "run.json", tmp_path / "failed.jsonl", work / "plan.json", piece / "piece.json"):
        path.write_bytes(content)
    read_json(tmp_path / "run.json")
    read_manifest(tmp_path)
    read_listing(tmp_path)
    read_plan(work)
    Journal(tmp_path).failures()
    folder = WorkFolder(work)
    with folder.locked():
        folder.begin("mine")
        assert folder.begin("mine") == []
