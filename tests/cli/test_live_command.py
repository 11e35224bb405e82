"""``gasp live`` as a process."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from gasp.cli.main import main
from gasp.demo import clip_path
from helpers.command import gasp
from helpers.streams import MjpegServer

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def live(*arguments, **options):
    command = [
        sys.executable,
        "-m",
        "gasp",
        "live",
        *map(str, arguments),
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, **options
    )


def ended(process, timeout=120):
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert "Traceback" not in errors, errors
    return output, errors


def test_lines_of_json_from_a_file_and_a_recording(tmp_path):
    done = gasp(
        "live", clip_path(), "--headless", "--json", "--seconds", 4, "--record", tmp_path, "--pace", 0, "--why", 0,
        "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 5
    assert all(0 <= line["focus"]["across"] <= 1 and 0 <= line["focus"]["down"] <= 1 for line in lines)
    assert [line["sequence"] for line in lines] == sorted({line["sequence"] for line in lines})
    [folder] = tmp_path.iterdir()
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["frames"]["done"] == len(lines)
    with (folder / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["focus_x"]) for row in rows] == [line["focus"]["x"] for line in lines]
    assert float(rows[0]["time"]) == 0
    assert {item.name for item in folder.iterdir()} == {
        "overlay.mp4", "frames.csv", "people.csv", "report.html", "run.json",
    }  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_until_it_is_told_to_end(number):
    with MjpegServer() as server:
        process = live(server.url, "--headless", "--json")
        first = json.loads(process.stdout.readline())
        assert first["latency_ms"]["total"] > 0
        time.sleep(0.3)
        process.send_signal(number)
        ended(process)
        assert process.returncode == 0


def test_a_benchmark_tells_what_it_measured():
    done = gasp("live", clip_path(), "--benchmark", "--json", "--seconds", 3, "--quiet", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["received"] == found["results"] + found["dropped"] + found["failed"]
    assert found["frame_alone_ms"] > 0
    assert found["latency_ms"]["total"]["median"] <= found["latency_ms"]["total"]["p99"]
    assert found["processor_ms_per_frame"] > 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["77"], 1, "camera 77: /dev/video77 does not exist"),
        (["missing.mp4"], 1, "missing.mp4 does not exist"),
        (["http://127.0.0.1:9/x", "--headless"], 1, "Connection refused"),
        ([str(clip_path())], 1, "--headless"),
        (["0", "--update", "0"], 2, "--update"),
        (["0", "--maps", "png"], 2, "--record"),
        (["nowhere://x"], 2, "addresses begin with"),
    ],
)
def test_faults_are_told(arguments, status, words, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["live", *arguments, "--device", "cpu", "--threads", "1"]) == status
    assert words in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_the_window_shows_pictures(tmp_path):
    pytest.importorskip("tkinter")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x800x24", "-nolisten", "tcp"],
        pass_fds=(write,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        display = ":" + os.read(read, 16).decode().strip()
        process = subprocess.Popen(
            [sys.executable, "-m", "gasp", "live", str(clip_path()), "--device", "cpu", "--json", "--seconds", "8"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, "DISPLAY": display},
        )  # fmt: skip
        for _ in range(12):
            assert process.stdout.readline()
        picture = tmp_path / "screen.png"
        grab(display, picture)
        _, errors = ended(process)
        assert process.returncode == 0, errors
        import cv2

        shown = cv2.imread(str(picture))
        assert shown.std() > 20  # not one colour
    finally:
        server.terminate()
        server.wait()
        os.close(read)


def grab(display, path):
    """A screenshot through the same means as ``gasp live screen``."""
    import av

    with av.open(f"{display}+0,0", format="x11grab", options={"video_size": "1000x800"}) as container:
        next(container.decode(video=0)).to_image().save(path)
