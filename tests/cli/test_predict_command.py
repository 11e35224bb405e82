"""``gasp predict`` from the outside: what it writes, says, and does a second time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from gasp.cli.main import main
from gasp.config.settings import DEFAULT_CUES
from gasp.runs.folders import choose_folders
from gasp.work.files import checksum
from gasp.work.folder import WorkFolder
from helpers.command import gasp, make_clip

FRAME_COLUMNS = ["frame", "time", "focus_x", "focus_y", "focus_value", "entropy"]
PERSON_COLUMNS = ["frame", "time", "track_id", "x1", "y1", "x2", "y2", "score", "attention"]
QUICK = ("--no-overlay", "--no-report", "--threads", "1")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def columns(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[0].split(",")


def manifest(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return values


def times(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in sorted(folder.rglob("*"))}


@pytest.mark.slow
def test_all_results_of_a_video(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("predict", clip, "-o", out, "--grid", "--maps", "png", "--map-size", "40x30", "--json")
    done = gasp(*words)
    assert done.returncode == 0, done.stderr
    [said] = json.loads(done.stdout)
    folder = out / "talk"
    assert Path(said["folder"]) == folder
    assert (said["frames"], said["unchanged"], said["skipped"]) == (12, False, 0)
    assert {file.name for file in folder.iterdir()} == {
        *("overlay.mp4", "grid.mp4", "frames.csv", "people.csv", "maps", "report.html", "run.json")
    }

    frames = rows(folder / "frames.csv")
    header = columns(folder / "frames.csv")
    assert header[:6] == FRAME_COLUMNS
    assert header[-1] == "faces"
    assert header[6:11] == [f"why_{name}" for name in DEFAULT_CUES]
    assert set(header[11:-1]) <= {f"gate_{name}" for name in DEFAULT_CUES}
    assert [int(row["frame"]) for row in frames] == list(range(12))
    assert [float(row["time"]) for row in frames] == pytest.approx([i / 25 for i in range(12)], abs=1e-3)
    assert all(0 <= float(row["focus_x"]) <= 96 and 0 <= float(row["focus_y"]) <= 64 for row in frames)
    assert columns(folder / "people.csv")[:9] == PERSON_COLUMNS
    assert columns(folder / "people.csv")[-5:] == header[6:11]
    assert len(rows(folder / "people.csv")) == sum(int(row["faces"]) for row in frames)

    maps = sorted((folder / "maps").iterdir())
    assert [file.name for file in maps] == [f"{i:06d}.png" for i in range(1, 13)]
    assert cv2.imread(str(maps[0]), cv2.IMREAD_UNCHANGED).shape == (30, 40)

    with av.open(str(folder / "overlay.mp4")) as overlay:
        assert len(overlay.streams.audio) == 1
        assert (overlay.streams.video[0].width, overlay.streams.video[0].height) == (96, 64)
        assert sum(1 for _ in overlay.decode(video=0)) == 12
    with av.open(str(folder / "grid.mp4")) as grid:
        assert sum(1 for _ in grid.decode(video=0)) == 12
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert 'src="http' not in page

    run = manifest(folder)
    assert run["status"] == "complete"
    assert run["contributions"] == {"method": run["contributions"]["method"], "seconds": 2.0}
    assert run["frames"] == {"done": 12, "skipped": 0, "failed": 0}
    assert run["input"]["sha256"]
    assert all(entry["sha256"] and entry["licence"] for entry in run["weights"])

    before = times(folder)
    again = gasp(*words)
    assert again.returncode == 0
    assert json.loads(again.stdout)[0]["unchanged"]
    assert times(folder) == before


def test_a_second_call_does_nothing_unless_it_is_told_to(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(clip), "-o", str(tmp_path), *QUICK]
    assert main(words) == 0
    assert "12 frames" in capsys.readouterr().out
    before = times(tmp_path)
    assert main([*words, "--device", "cpu"]) == 0  # what it comes to anyway
    assert "nothing to do" in capsys.readouterr().out
    assert times(tmp_path) == before
    assert main([*words, "--batch", "3"]) == 0  # the last digits depend on it
    assert "12 frames" in capsys.readouterr().out
    assert main([*words, "--overwrite", "-q"]) == 0
    assert capsys.readouterr().out == ""
    after = times(tmp_path)
    assert after.keys() == before.keys()
    assert after["run.json"] > before["run.json"]
    assert manifest(tmp_path / "talk")["frames"]["done"] == 12


def test_every_and_no_sound_are_followed_and_recorded(clip: Path, tmp_path: Path) -> None:
    assert main(["predict", str(clip), "-o", str(tmp_path), *QUICK, "--every", "5", "--no-sound"]) == 0
    folder = tmp_path / "talk"
    assert [row["frame"] for row in rows(folder / "frames.csv")] == ["0", "5", "10"]
    settings = manifest(folder)["settings"]
    assert (settings["every"], settings["sound"]) == (5, False)
    assert not (folder / "overlay.mp4").exists()
    assert not (folder / "report.html").exists()
    # other settings are another run
    assert main(["predict", str(clip), "-o", str(tmp_path), *QUICK, "--every", "6"]) == 0
    assert [row["frame"] for row in rows(folder / "frames.csv")] == ["0", "6"]


def test_pictures_folders_and_inputs_of_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    shots = tmp_path / "shot.01"
    shots.mkdir()
    for name in ("9.png", "10.png", "11.png"):
        cv2.imwrite(str(shots / name), picture)
    cv2.imwrite(str(tmp_path / "talk.png"), picture)
    clip = make_clip(tmp_path / "other" / "talk.mp4", 3)
    out = tmp_path / "out"
    status = main(
        ["predict", str(tmp_path / "talk.png"), str(shots), str(clip), "-o", str(out), *QUICK, "--json"]
    )
    assert status == 0
    done = json.loads(capsys.readouterr().out)
    assert [entry["frames"] for entry in done] == [1, 3, 3]
    assert [Path(entry["folder"]).name for entry in done] == ["talk", "shot.01", "talk-2"]
    assert sorted(folder.name for folder in out.iterdir()) == ["shot.01", "talk", "talk-2"]


def test_results_of_another_input_of_that_name_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (make_clip(tmp_path / name / "talk.mp4", 3 + len(name)) for name in ("a", "bb"))
    out = tmp_path / "out"

    def predicted(*inputs: Path, more: tuple[str, ...] = ()) -> list[tuple[str, int, bool]]:
        assert main(["predict", *map(str, inputs), "-o", str(out), *QUICK, "--json", *more]) == 0
        done = json.loads(capsys.readouterr().out)
        return [(Path(entry["folder"]).name, entry["frames"], entry["unchanged"]) for entry in done]

    assert predicted(first) == [("talk", 4, False)]
    assert predicted(second) == [("talk-2", 5, False)]
    assert predicted(second, first, second) == [("talk-2", 5, True), ("talk", 4, True), ("talk-2", 5, True)]
    moved = first.rename(tmp_path / "talk.mp4")
    assert predicted(moved) == [("talk", 4, True)]
    make_clip(second, 6)  # the same input, changed: its old results are of no more use
    assert predicted(second) == [("talk-2", 6, False)]
    assert predicted(second, more=("--overwrite",)) == [("talk-2", 6, False)]


def test_an_unfinished_run_of_another_input_stays(tmp_path: Path) -> None:
    paths = [tmp_path / name / "talk.mp4" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(str(path))
    work = WorkFolder(tmp_path / "out" / "talk" / ".partial")
    with work.locked():
        work.begin("kind of run", {"input": {"path": str(paths[0]), "sha256": checksum(paths[0])}})
    assert choose_folders(paths, tmp_path / "out") == ["talk", "talk-2"]
    assert choose_folders(paths[::-1], tmp_path / "out") == ["talk-2", "talk"]


@pytest.mark.slow
def test_the_progress_bar_keeps_away_from_files(clip: Path, tmp_path: Path) -> None:
    done = gasp("predict", clip, "-o", tmp_path, *QUICK)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_doctor_tells_a_machine_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--no-self-test"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["problems"] == []
    assert {"glance", "fusion"} <= set(found["weights"]["packaged"])
    assert found["codecs"]["libx264"]
    assert found["devices"][0].startswith("cpu")
    assert "self_test" not in found


def test_doctor_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gasp.cli.doctor.NEEDED", ("numpy", "no-such-package"))
    assert main(["doctor", "--no-self-test"]) == 1
    assert "pip install no-such-package" in " ".join(capsys.readouterr().err.split())
