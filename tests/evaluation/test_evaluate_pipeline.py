"""The pipeline evaluated on the fly, its variants, the command, and the report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from gasp.cli.main import main
from gasp.config.settings import PredictSettings
from gasp.errors import UsageError
from gasp.evaluation import diagnostics
from gasp.evaluation.evaluate import evaluate
from gasp.evaluation.items import open_items
from gasp.evaluation.report import render_evaluation
from gasp.evaluation.results import Evaluation
from gasp.evaluation.scoring import KEYS
from gasp.evaluation.settings import EvaluationSettings
from gasp.evaluation.systems import MUTED, PIPELINE, SHIFTED, SHUFFLED, PipelineSystem, ShiftedSound
from gasp.pipeline.pipeline import Networks
from gasp.visualize.distributions import DotRow, dot_chart
from helpers.evaluation_sets import make_pictures, make_videos, save_perfect
from helpers.videos import clicks


class Balanced(HTMLParser):
    """Raises when a tag is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> str:
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "nan" not in re.sub(r"base64,[^\"]*|NaN", "", page).lower()
    return page


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sound = 0.3 * np.random.default_rng(0).normal(size=(1, 48000)).clip(-3, 3).astype(np.float32)
    return make_videos(tmp_path_factory.mktemp("sets") / "talks", frames=8, sound=sound)


@pytest.fixture(scope="module")
def looked(talks: Path) -> Evaluation:
    """Two videos through the packaged pipeline with all diagnostics."""
    networks = Networks.load(PredictSettings())
    system = PipelineSystem(PredictSettings(), networks, ("glance", "faces"), sound=True, shift=0.1)
    return evaluate(
        open_items(talks), pipeline=system, settings=EvaluationSettings(rate=6, workers=1, draws=200)
    )


def test_the_pipeline_and_its_variants_are_scored(looked: Evaluation) -> None:
    for name in (PIPELINE, "glance alone", "without glance", "without faces", MUTED, SHUFFLED, SHIFTED):
        values = looked.per_video[:, looked.names.index(name), KEYS.index("aucj")]
        assert np.isfinite(values).all(), name
    changed = {v.name: v for kind in ("ablation", "sound") for v in diagnostics.variants(looked, kind)}
    assert changed["without glance"].moved.mean > 0.02
    for variant in changed.values():
        assert -1e-9 <= variant.moved.low <= variant.moved.high <= 1
    gates = diagnostics.gates(looked)
    assert gates
    assert all(0 <= value.mean <= 1 for value in gates.values())
    assert not np.isnan(looked.videos[0].faces).any()


def test_report_of_the_pipeline(looked: Evaluation) -> None:
    page = check(render_evaluation(looked))
    for text in (
        *("centre prior", "other observers", "Each cue left out", "Sensitivity to the sound", "Gates"),
        *("Best and worst frames of default", "data:image/jpeg", "frames without fixations"),
    ):
        assert text in page
    assert page.count("<svg") >= 8


def test_a_pipeline_that_does_not_listen_has_no_sensitivity() -> None:
    networks = Networks.load(PredictSettings())
    with pytest.raises(UsageError, match="does not listen"):
        PipelineSystem(PredictSettings(sound=False), networks, sound=True)
    with pytest.raises(UsageError, match="no modality 'smell'"):
        PipelineSystem(PredictSettings(), networks, ("smell",))


def test_shifted_sound(tmp_path: Path) -> None:
    from helpers.videos import loudest, moving_square, write_video

    path = write_video(tmp_path / "click.mp4", moving_square(50), sound=clicks(48000, 2.0, [1.0]))
    for offset in (-0.5, 0.0, 0.4):
        with ShiftedSound(path, 16000, offset=offset) as sound:
            heard = np.concatenate([sound.window(k / 10, (k + 1) / 10) for k in range(20)])
        assert loudest(heard, 16000, 0, 1 - offset, 0.3) == pytest.approx(1 - offset, abs=0.01)


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("sets") / "looks")


@pytest.fixture(scope="module")
def maps(looks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_perfect(tmp_path_factory.mktemp("maps") / "perfect", looks)


def test_the_command_writes_and_prints(
    looks: Path, maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["evaluate", looks, "--split", "all", "--system", f"per<fect={maps}", "-o", out, "--draws", 200]
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr().out
    for text in ("per<fect", "centre prior", "other observers", "NSS", "1.000"):
        assert text in said
    assert {file.name for file in out.iterdir()} == {
        *("report.html", "run.json", "summary.json", "summary.md", "table.tex"),
        *("frames.csv", "videos.csv", "metrics.csv"),
    }
    page = check((out / "report.html").read_text(encoding="utf-8"))
    assert "per&lt;fect" in page
    assert "per<fect" not in page
    assert "Nothing: every frame" in page
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["longest"] == 640
    assert manifest["versions"]["torch"]

    assert main([str(word) for word in (*words, "--json", "--no-report", "--videos", "a,b")]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["videos"] == 2
    assert summary["systems"]["per<fect"]["scores"]["cc"]["mean"] == pytest.approx(1, abs=1e-6)


def test_pictures_through_the_pipeline(looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "evaluate",
        looks,
        "--split",
        "all",
        "--videos",
        "a,b",
        "--no-ceiling",
        "--no-sound",
        "--draws",
        200,
    ]
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr().out
    assert "default" in said
    assert "other observers" not in said


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--system", "ours"], 2, "NAME=FOLDER"),
        (["--system", "ours=/nowhere/at/all"], 1, "is not a folder"),
        (["--system", "default=x"], 1, "is not a folder"),
        (["--rate", "0"], 2, "rate"),
        (["--size", "-3"], 2, "--size"),
        (["--videos", "zz"], 2, "no 'zz'"),
        (["--split", "train"], 2, "held-back"),
        (["--dataset", "findwo"], 2, "did you mean 'findwho'"),
        (["--split", "all", "--cues", "smell"], 2, "smell"),
        (["--split", "all", "--ablation", "--system", "a={maps}"], 2, "need the pipeline"),
        (["--split", "all", "--system", "a={maps}", "--system", "a={maps}"], 2, "twice"),
    ],
)
def test_wrong_words(
    looks: Path, maps: Path, words: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(looks), *(word.format(maps=maps) for word in words)]) == status
    assert message in capsys.readouterr().err


def test_a_folder_that_is_no_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path)]) == 1
    assert "looks like no dataset" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "file").write_text("")
    assert main(["evaluate", str(tmp_path / "file")]) == 1
    assert "is not a folder" in " ".join(capsys.readouterr().err.split())


def test_an_output_that_cannot_be_written(
    looks: Path, maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    words = ["evaluate", looks, "--split", "all", "--system", f"a={maps}", "-o", tmp_path / "file"]
    assert main([str(word) for word in words]) == 1
    assert "cannot be made" in " ".join(capsys.readouterr().err.split())


# --- charts ------------------------------------------------------------------------------------------------


def test_dots_lie_on_one_scale() -> None:
    chart = dot_chart(
        [DotRow("a", "#000", [0.0, 1.0], 0.5, 0.2, 0.8), DotRow("b", "#111", [0.5], 0.5, 0.5, 0.5)]
    )
    dots = [float(x) for x in re.findall(r'cx="([\d.]+)" cy="[\d.]+" r="2.6"', chart)]
    assert dots[0] < dots[2] < dots[1]
    assert dots[2] == pytest.approx((dots[0] + dots[1]) / 2, abs=0.1)


@pytest.mark.parametrize("values", [[], [float("nan")], [1.0], [1.0, 1.0], [-1e6, 1e6]])
def test_any_dots(values: list[float]) -> None:
    mean = float(np.mean(values)) if values else float("nan")
    chart = dot_chart([DotRow("a <b>", "#000", values, mean, mean, mean)])
    check(chart)
    assert "a &lt;b&gt;" in chart
