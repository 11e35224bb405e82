"""``gasp presets``, and pipelines on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gasp.cli.main import main
from gasp.config.presets import PRESETS, preset
from gasp.config.presets2021 import inference_presets, training_presets
from gasp.config.recipes import FusionRecipe

QUICK = ("--no-overlay", "--no-report", "--threads", "1", "-q")


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert named == [*PRESETS, "default-saliency", "default-stills", "default-fusion"]
    assert "134 presets for training" in lines[-1]
    assert main(["presets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == list(PRESETS)


@pytest.mark.parametrize("words", [["show", "gasp", "--json"], ["--json", "show", "gasp"], ["show", "gasp"]])
def test_a_preset_is_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", *words]) == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["fusion"]["weights"] == "gasp-seqdamalstmgmu"
    assert ("alignment" in values) == ("--json" in words)


def test_presets_of_2021_are_listed_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "--all"]) == 0
    named = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    known = [*training_presets(), *inference_presets()]
    assert named == [*PRESETS, "default-saliency", "default-stills", "default-fusion", *known]


def test_recipes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "show", "default-fusion"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["prior"]["speaker"] == FusionRecipe().prior.speaker
    assert main(["presets", "show", "default-fuson"]) == 2
    assert "did you mean 'default-fusion'?" in capsys.readouterr().err


def test_a_preset_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "show", "gasp-2022"]) == 2
    assert "did you mean 'gasp-2021'?" in capsys.readouterr().err


def test_missing_weights_are_told_with_the_commands_that_fetch_them(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GASP_CWD", str(tmp_path / "nothing"))
    assert main(["predict", str(clip), "-o", str(tmp_path / "out"), "--pipeline", "gasp-2021"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    for name in ("dave", "s3fd", "esr9", "videogaze", "gaze360", "gasp-seqdamalstmgmu"):
        assert f"`gasp download {name}" in said
    assert not (tmp_path / "out").exists()


def test_a_pipeline_from_a_file_is_run_and_recorded(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("title: Stills\ncues: [captured, glance]\nfaces: none\n", encoding="utf-8")
    words = ["predict", str(clip), "-o", str(tmp_path / "out"), "--every", "4", *QUICK]
    assert main([*words, "--pipeline", str(path)]) == 0
    manifest = json.loads((tmp_path / "out" / "talk" / "run.json").read_text(encoding="utf-8"))
    assert list(manifest["cues"]) == ["captured", "glance"]
    settings = manifest["settings"]
    assert (settings["pipeline"]["name"], settings["faces"], settings["cues"]) == (
        *("small", "none"), ["captured", "glance"],
    )  # fmt: skip
    assert manifest["frames"] == {"done": 3, "skipped": 0, "failed": 0}
    # Another pipeline is another run.
    assert main([*words, "--pipeline", "default"]) == 0
    manifest = json.loads((tmp_path / "out" / "talk" / "run.json").read_text(encoding="utf-8"))
    assert list(manifest["cues"]) == list(preset("default").cue_names)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pipeline", "defualt"], "did you mean 'default'?"),
        (["--map-size", "64x48"], "--maps"),
        (["--sink", "nowhere"], "there is no sink 'nowhere'"),
        (["--device", "cuda:99"], "cannot be used"),
    ],
)
def test_wrong_usage_leaves_no_folder(
    words: list[str], said: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(clip), "-o", str(tmp_path / "out"), *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_pipeline_file_that_is_missing(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(clip), "--pipeline", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml cannot be read" in " ".join(capsys.readouterr().err.split())
