"""Commands whose standard streams are closed, full, or of a small alphabet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GASP = f"{sys.executable} -m gasp"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, check=False, timeout=120, env={**os.environ, **environment}
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_output_that_cannot_be_written_is_said() -> None:
    for words in ("models --json", "--help", "predict --help", ""):
        for unbuffered in ("", "1"):
            done = shell(f"{GASP} {words} > /dev/full", PYTHONUNBUFFERED=unbuffered)
            assert done.returncode == 1
            assert done.stderr.decode().strip() == (
                "gasp: error: standard output cannot be written: No space left on device"
            )


def test_a_reader_who_leaves_is_no_error_of_ours() -> None:
    for words in ("models --json", "--help"):
        for unbuffered in ("", "1"):
            line = f"{GASP} {words} | head -c 1; exit ${{PIPESTATUS[0]}}"
            done = shell(line, PYTHONUNBUFFERED=unbuffered)
            assert done.returncode in (0, 1)
            assert done.stderr == b""


def test_closed_streams_do_not_end_up_in_files(tmp_path: Path, clip: Path) -> None:
    line = f"{GASP} predict {clip} -o {tmp_path} --no-report --cues captured,motion --faces none --threads 1"
    done = shell(f"{line} <&- >&- 2>&-")
    assert done.returncode == 0
    folder = tmp_path / clip.stem
    assert {item.name for item in folder.iterdir()} == {"frames.csv", "people.csv", "overlay.mp4", "run.json"}
    assert (folder / "frames.csv").read_text().count("\n") == 13


def test_names_of_files_that_no_letter_stands_for() -> None:
    done = shell(f"{GASP} predict $'talk\\xff.mp4' -o /tmp", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"does not exist" in done.stderr or b"no such file" in done.stderr.lower()
