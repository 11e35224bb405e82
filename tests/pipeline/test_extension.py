"""The package of docs/extending.md, installed, is found and used."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gasp
from gasp.cli.main import main
from gasp.config.plugins import plugin_names
from gasp.errors import UsageError
from helpers.command import make_clip

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert found
    return found[1]


def install(folder: Path, name: str, code: str, entry_points: str) -> None:
    """What an installer leaves of a package of one module."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")


def entry_points_of(project: str) -> str:
    """The entry points of a pyproject.toml, in the form of entry_points.txt."""
    groups = re.findall(r'^\[project\.entry-points\."(.*?)"\]\n(.*?)\n\n', project, re.M | re.S)
    assert len(groups) == 3
    return "\n".join(f"[{group}]\n{lines.replace(chr(34), '')}\n" for group, lines in groups)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the example and a package that cannot be imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "warmth", block("py"), entry_points_of(block("toml")))
    install(folder, "rotten", "import no_such_module", "[gasp.cues]\nrotten = rotten:Cue\n")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("warmth", "rotten"):
        sys.modules.pop(name, None)


def test_names_are_found(site: Path) -> None:
    assert {"warmth", "rotten"} <= set(plugin_names("gasp.cues"))
    assert "middle" in plugin_names("gasp.faces")
    assert "course" in plugin_names("gasp.sinks")


def test_the_example_runs(site: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "talk.mp4", 5)
    path = tmp_path / "warm.yaml"
    # The page has a pipeline of its own behind the code.
    path.write_text(block("yaml"), encoding="utf-8")
    words = ["predict", str(clip), "-o", str(tmp_path / "out"), "--pipeline", str(path), "--sink", "course"]
    assert main([*words, "--no-overlay", "--no-report", "--threads", "1", "-q"]) == 0
    folder = tmp_path / "out" / "talk"
    lines = (folder / "course.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines] == ["0.00", "0.04", "0.08", "0.12", "0.16"]
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert "warmth" in manifest["cues"]
    assert manifest["events"] == {}
    header, row, *_ = (folder / "people.csv").read_text(encoding="utf-8").splitlines()
    box = dict(zip(header.split(","), row.split(","), strict=True))
    assert [float(box[side]) for side in ("x1", "x2")] == pytest.approx([0.4 * 96, 0.6 * 96], abs=0.2)


def test_options_reach_the_cue(site: Path, pictures: NDArray[np.uint8]) -> None:
    pipeline = {"cues": ["captured", {"name": "warmth", "options": {"memory": 0.0}}], "faces": "none"}
    for prediction in gasp.predict(pictures[:2], pipeline=pipeline):
        captured = prediction.cues["captured"].astype(int)
        expected = np.clip(captured[..., 0] - captured[..., 2], 0, 255)
        np.testing.assert_array_equal(prediction.cues["warmth"], expected)


@pytest.mark.parametrize(
    ("cue", "words"),
    [
        ({"name": "warmth", "options": {"memroy": 0.5}}, "'warmth' cannot be made with the options.*memroy"),
        ("rotten", "'rotten' of the package rotten cannot be imported.*no_such_module"),
        ("warmht", "did you mean 'warmth'"),
        ({"name": "motion", "options": {"speed": 3}}, "'motion' cannot be made with the options.*speed"),
    ],
)
def test_packages_that_do_not_work_are_named(
    cue: object, words: str, site: Path, pictures: NDArray[np.uint8]
) -> None:
    with pytest.raises(UsageError, match=words):
        gasp.predict(pictures, pipeline={"cues": ["captured", cue], "faces": "none"})


def test_a_sink_that_fails_is_named_and_told(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "from gasp.results.sink import Sink\n"
        "class Full(Sink):\n"
        "    def begin(self, folder, source): self.folder = folder\n"
        "    def write(self, prediction): raise RuntimeError('no room')\n"
        "    def join(self, pieces): pass\n"
        f"    def close(self, complete): open({str(tmp_path / 'told.txt')!r}, 'w').write(str(complete))\n"
    )
    install(site, "full", code, "[gasp.sinks]\nfull = full:Full\n")
    clip = make_clip(tmp_path / "talk.mp4", 2)
    words = [
        "predict",
        str(clip),
        "-o",
        str(tmp_path / "out"),
        "--sink",
        "full",
        "--no-overlay",
        "--no-report",
    ]
    assert main(words) == 1
    assert "the sink 'full' failed (RuntimeError: no room)" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "told.txt").read_text() == "False"
    sys.modules.pop("full", None)


def test_what_is_no_sink_is_named(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "nothing", "def make(): return 5\n", "[gasp.sinks]\nnothing = nothing:make\n")
    clip = make_clip(tmp_path / "talk.mp4", 2)
    assert main(["predict", str(clip), "-o", str(tmp_path / "out"), "--sink", "nothing"]) == 2
    assert "'nothing' is no gasp.results.sink.Sink but int" in " ".join(capsys.readouterr().err.split())
    sys.modules.pop("nothing", None)
