"""Bad inputs, full disks and interruptions: one clear sentence, nothing lost that was done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from gasp.cli.main import main
from helpers.command import gasp, make_clip, start_gasp
from helpers.videos import cut_short, damage, write_sound

QUICK = ("--no-overlay", "--no-report", "--threads", "1")
FRAMES = 48


def count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def status(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"])


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Inputs that cannot be used, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("bad")
    names = ("missing", "empty", "truncated", "text", "sound", "nothing")
    made = {name: folder / f"{name}.mp4" for name in names}
    made["empty"].touch()
    cut_short(make_clip(made["truncated"], 12), 0.4)
    made["text"].write_text("This is a letter, not a film.\n" * 200)
    write_sound(made["sound"], np.zeros((1, 48000), np.float32), 48000, "aac")
    with av.open(str(made["nothing"]), "w") as output:
        stream = output.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        output.start_encoding()
    made["folder"] = folder / "letters"
    made["folder"].mkdir()
    (made["folder"] / "letter.txt").write_text("no picture")
    return made


@pytest.mark.slow
def test_bad_inputs_are_named_and_the_others_are_done(
    bad: dict[str, Path], clip: Path, tmp_path: Path
) -> None:
    inputs = list(bad.values())
    done = gasp("predict", *inputs[:3], clip, *inputs[3:], "-o", tmp_path, *QUICK, "--json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("gasp: error:")]
    assert len(errors) == len(inputs)
    for path, line in zip(inputs, errors, strict=True):
        assert str(path) in line
        assert len(line) < 400
    entries = json.loads(done.stdout)
    assert [("error" in entry) for entry in entries] == [True] * 3 + [False] + [True] * (len(inputs) - 3)
    assert count(tmp_path / "talk" / "frames.csv") == 12
    assert sorted(item.name for item in tmp_path.iterdir()) == ["failed.jsonl", "talk"]


def test_damage_in_the_middle_costs_what_it_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_clip(tmp_path / "hurt.mp4", 30)
    damage(path, 0.5, 500)
    assert main(["predict", str(path), "-o", str(tmp_path / "out"), *QUICK]) == 0
    done = count(tmp_path / "out" / "hurt" / "frames.csv")
    assert 10 <= done <= 30
    assert status(tmp_path / "out" / "hurt") == "complete"
    assert f"{done} frames" in capsys.readouterr().out


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_place_where_nothing_can_be_written(
    below: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["predict", str(clip), "-o", str(tmp_path / "file" / below)]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert message.count("gasp: error:") == 1
    assert "cannot be made" in message


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are those of POSIX")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    import resource

    path = make_clip(tmp_path / "talk.mp4", 16)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = gasp("predict", path, "-o", tmp_path / "out", "--maps", "npy", "--threads", "1", preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("gasp: error:")]
    assert len(errors) == 1
    assert "written" in errors[0]
    assert not (tmp_path / "out" / "talk" / "frames.csv").exists()


def wait_for_results(
    process: subprocess.Popen[str], folder: Path, there: str = ".partial/writing/*/key_*.jpg"
) -> None:
    """Until the first frame has been written (its thumbnail is the last thing of it), or something else is there."""
    while process.poll() is None and not list(folder.glob(there)):
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_is_done_and_goes_on(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = make_clip(tmp_path / "long.mp4", FRAMES), tmp_path / "out"
    folder = out / "long"
    words = ["predict", str(path), "-o", str(out), "--batch", "2", "--threads", "1"]
    words += ["--cues", "captured,glance,faces", "--piece", "8"]
    process = start_gasp(*words)
    wait_for_results(process, folder, ".partial/pieces/*/piece.json")
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "goes on after the last whole piece" in " ".join(said.split())
    assert said.count("gasp: error:") == 1
    assert status(folder) == "partial"
    done = count(folder / "frames.partial.csv")
    assert 0 < done < FRAMES
    assert (folder / "overlay.partial.mp4").exists()
    assert not (folder / "frames.csv").exists()

    assert main(words) == 0
    assert f"{FRAMES} frames" in capsys.readouterr().out
    assert status(folder) == "complete"
    assert count(folder / "frames.csv") == FRAMES
    assert json.loads((folder / "run.json").read_text())["timing"]["resumed"]
    assert [file.name for file in folder.iterdir() if "partial" in file.name] == []
    with av.open(str(folder / "overlay.mp4")) as overlay:
        assert sum(1 for _ in overlay.decode(video=0)) == FRAMES


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_killed_run_can_be_done_again(tmp_path: Path) -> None:
    path, out = make_clip(tmp_path / "long.mp4", FRAMES), tmp_path / "out"
    folder = out / "long"
    words = ["predict", str(path), "-o", str(out), "--batch", "2", "--threads", "1"]
    process = start_gasp(*words)
    wait_for_results(process, folder)
    process.kill()
    process.communicate()
    assert not (folder / "run.json").exists()
    assert main([*words, "-q"]) == 0
    assert count(folder / "frames.csv") == FRAMES
    assert status(folder) == "complete"
    assert [file.name for file in folder.iterdir() if "partial" in file.name] == []


def test_names_that_are_not_utf8_and_names_like_addresses(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [os.fsdecode(b"talk\xff.mp4"), "Interview: part 1.mp4"]
    for name in names:
        shutil.copy(clip, name)
    for said in ("12 frames", "nothing to do"):
        assert main(["predict", *names, "-o", "out", "--no-overlay", "--threads", "1"]) == 0
        assert capsys.readouterr().out.count(said) == 2
    pages = [path.read_text(encoding="utf-8") for path in Path("out").glob("*/report.html")]
    assert sum(r"talk\udcff" in page for page in pages) == 1


def test_an_image_too_wide_for_a_video_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), np.zeros((10, 20000, 3), np.uint8))
    assert main(["predict", str(path), "-o", str(tmp_path / "out"), "--threads", "1"]) == 1
    said = capsys.readouterr().err
    assert str(path) in said
    assert "--no-overlay" in said
    assert ".partial" not in said
    assert main(["predict", str(path), "-o", str(tmp_path / "out"), *QUICK]) == 0
