"""The command before it does anything: help, wrong usage, what is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gasp.cli.main import COMMANDS, main
from helpers.command import gasp

HEAVY = ("torch", "cv2", "av", "numpy", "pydantic", "rich", "scipy")


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"""
import sys
from gasp.cli.main import main
try:
    main({words})
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {HEAVY} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "gasp" in done.stdout


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in printed] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"gasp {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["predcit"], ["predict"], ["predict", "a.mp4", "--maps", "jpg"]])
def test_words_that_the_command_does_not_know(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "usage: gasp" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cues", "captured,glace"], ["cues", "'glace'", "did you mean 'glance'?"]),
        (["--every", "0"], ["every = 0"]),
        (["--faces", "yunett"], ["did you mean 'yunet'?"]),
        (["--map-size", "640"], ["--map-size = '640'", "640x360"]),
        (["--map-size", "²x²"], ["--map-size"]),
        (["--map-size", "0x20"], ["--map-size", "1 to 16384"]),
        (["--device", "gpu"], ["device = 'gpu'"]),
        (["--device", "cuda:99"], ["device = 'cuda:99'", "--device cpu"]),
    ],
)
def test_wrong_usage_is_one_readable_block(
    words: list[str], said: list[str], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(clip), "-o", str(tmp_path / "out"), *words]) == 2
    printed = capsys.readouterr()
    message = " ".join(printed.err.split())
    assert message.startswith("gasp: error: ")
    assert message.count("gasp: error:") == 1
    assert [word for word in said if word not in message] == []
    assert printed.out == ""
    assert not (tmp_path / "out" / "talk").exists()


def test_wrong_usage_of_the_process(clip: Path) -> None:
    done = gasp("predict", clip, "--cues", "mouth")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "captured, glance, faces, speaking, motion" in " ".join(done.stderr.split())
