"""External programs as parts of a pipeline: its file, the run, and the programs in ``examples``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.config.pipelines import PipelineSettings, read_file
from gasp.config.presets import read_pipeline
from gasp.config.settings import PredictSettings
from gasp.cues.cue import create_cues
from gasp.errors import UsageError
from gasp.faces.command import CommandFaceDetector
from gasp.messages.link import ProgramError
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict
from gasp.pipeline.predictor import Predictor
from gasp.video import open_source
from helpers.observations import texture

EXAMPLES = Path(__file__).parents[2] / "examples"
RED = "from gasp.messages import serve_cue\nserve_cue(lambda frame: frame.image[..., 0])\n"


def own(tmp_path: Path, code: str = RED, **fields: Any) -> dict[str, Any]:
    path = tmp_path / "own.py"
    path.write_text(code, encoding="utf-8")
    return {"name": "own", "command": ["python", str(path)], **fields}


def test_a_file_describes_a_program_and_its_files_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pointing.py").write_text(RED)
    (tmp_path / "p.yaml").write_text(
        "cues:\n  - captured\n  - name: pointing\n    command: [python, pointing.py, --scale, '2']\n    past: 4\n"
        "    future: 2\n    sound_rate: 22050\n    size: [320, 180]\n    timeout: 1.5\n    restarts: 1\n"
        "faces: {command: [detect], size: [640, 360]}\n"
    )
    read = read_file(tmp_path / "p.yaml")
    cue = read.cues[1]
    assert cue.command == ("python", str(tmp_path / "pointing.py"), "--scale", "2")
    assert (cue.past, cue.future, cue.sound_rate, cue.size, cue.restarts) == (4, 2, 22050, (320, 180), 1)
    assert read.faces.detector == "command"
    assert PipelineSettings.read(read.model_dump(mode="json")) == read
    (tmp_path / "again.yaml").write_text(read.to_yaml())
    assert read_file(tmp_path / "again.yaml") == read
    settings = PredictSettings(pipeline=read)
    assert settings.face_finding.command == ("detect",)


@pytest.mark.parametrize(
    ("cue", "said"),
    [
        ({"name": "own"}, "unknown cue"),
        ({"name": "own", "command": []}, "command"),
        ({"name": "motion", "command": ["x"]}, "has this name"),
        ({"name": "a b", "command": ["x"]}, "letters, digits"),
        ({"name": "motion", "past": 4}, "past: only for a part with a command"),
        ({"name": "own", "command": ["x"], "past": -1}, r"cues\.1\.past"),
        ({"name": "own", "command": ["x"], "size": [1, 1]}, r"cues\.1\.size"),
        ({"name": "own", "command": ["x"], "filter": "cat"}, "a command and a filter"),
        ({"name": "own", "address": "tcp://a:1", "filter": "cat"}, "an address and a filter"),
        ({"name": "own", "address": "tcp://a:1", "command": ["x"]}, "a command and an address"),
        ({"name": "own", "address": "somewhere"}, "'somewhere' is no address"),
        ({"name": "own", "address": "tcp://*:5580"}, "names no machine and port"),
        ({"name": "own", "address": "tcp://a:0"}, "names no machine and port"),
        ({"name": "motion", "address": "tcp://a:1"}, "has this name"),
        ({"name": "own", "command": ["x"], "options": {"a": 1}}, "arguments of the command"),
        ({"name": "own", "command": ["x"], "timeout": 0}, r"cues\.1\.timeout"),
    ],
)
def test_what_is_wrong_with_a_program_is_named(cue: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_pipeline({"cues": ["captured", cue]})


def test_a_detector_needs_its_command() -> None:
    with pytest.raises(UsageError, match="needs a command"):
        read_pipeline({"cues": ["captured"], "faces": "command"})


def test_the_command_line_and_its_files_decide_the_fingerprint(tmp_path: Path, networks: Networks) -> None:
    def decisive(*words: str) -> Any:
        cue = own(tmp_path)
        cue["command"] += words
        return Predictor(PredictSettings(pipeline={"cues": ["captured", cue]}), networks).decisive()

    first = decisive()
    assert decisive() == first
    assert decisive("--other") != first
    (tmp_path / "own.py").write_text(RED + "# changed")
    changed = Predictor(
        PredictSettings(
            pipeline={"cues": ["captured", {"name": "own", "command": ["python", str(tmp_path / "own.py")]}]}
        ),
        networks,
    ).decisive()
    assert changed != first
    predictor = Predictor(PredictSettings(pipeline={"cues": ["captured", own(tmp_path)]}), networks)
    assert "external program: python" in predictor.statements()["own"]


def test_the_address_decides_the_fingerprint(networks: Networks) -> None:
    def predictor(port: int) -> Predictor:
        cue = {"name": "own", "address": f"tcp://127.0.0.1:{port}"}
        return Predictor(PredictSettings(pipeline={"cues": ["captured", cue]}), networks)

    assert predictor(1).decisive() == predictor(1).decisive() != predictor(2).decisive()
    assert predictor(1).statements()["own"] == "an external program at tcp://127.0.0.1:1"


def test_a_detector_may_have_an_address() -> None:
    read = read_pipeline({"cues": ["captured"], "faces": {"address": "ipc:///run/faces", "size": [64, 36]}})
    assert read.faces.detector == "command"
    assert PipelineSettings.read(read.model_dump(mode="json")) == read
    with pytest.raises(UsageError, match="a command and an address"):
        read_pipeline({"cues": ["captured"], "faces": {"address": "ipc:///run/faces", "command": ["x"]}})


def test_a_missing_program_is_told_before_anything_is_predicted(pictures: NDArray[np.uint8]) -> None:
    pipeline = {"cues": ["captured", {"name": "own", "command": ["no-such-program"]}]}
    with pytest.raises(UsageError, match="no program 'no-such-program'"):
        next(iter(predict(pictures, pipeline=pipeline)))


def test_a_program_is_a_cue_like_any_other(tmp_path: Path, pictures: NDArray[np.uint8]) -> None:
    code = "from gasp.messages import serve_cue\nserve_cue(lambda f: f.image[..., 0], future=2)\n"
    cue = own(tmp_path, code, future=2, past=1)
    for batch in (1, 4):
        predictions = list(predict(pictures, pipeline={"cues": ["captured", cue, "motion"]}, batch=batch))
        assert len(predictions) == len(pictures)
        for prediction in predictions:
            np.testing.assert_array_equal(
                prediction.cues["own"], np.asarray(prediction.cues["captured"])[..., 0]
            )
        assert [p.index for p in predictions if p.cut] == [0, 6]


def test_latency_and_warm_up_count_it(tmp_path: Path, networks: Networks) -> None:
    cue = own(tmp_path, future=5, past=40, sound_rate=44100)
    pipeline = Pipeline(PredictSettings(pipeline={"cues": ["captured", cue]}), networks)
    assert pipeline.latency == 5
    assert pipeline.warm_up is not None
    assert pipeline.warm_up >= 40
    assert pipeline.sound_rate == 44100
    cue["past"] = None
    assert Pipeline(PredictSettings(pipeline={"cues": ["captured", cue]}), networks).warm_up is None


def test_a_program_that_fails_costs_its_own_maps_only(
    tmp_path: Path, pictures: NDArray[np.uint8], networks: Networks
) -> None:
    code = (
        "from gasp.messages import serve_cue\n"
        "def look(frame):\n    if frame.number in (2, 6):\n        raise RuntimeError('no idea')\n"
        "    return frame.image[..., 0] | 1\nserve_cue(look)\n"
    )
    settings = PredictSettings(pipeline={"cues": ["captured", own(tmp_path, code)]}, batch=1)
    pipeline = Pipeline(settings, networks)
    drawn = []
    for frame in open_source(pictures):
        drawn += [bool(p.cues["own"].any()) for p in pipeline.step([frame], [None])]
    pipeline.finish()
    assert drawn == [n not in (2, 6) for n in range(len(pictures))]
    assert pipeline.events == {"cue own failed: ended": 2}


class TestDetector:
    def detector(self, tmp_path: Path, code: str, **options: Any) -> CommandFaceDetector:
        path = tmp_path / "detector.py"
        path.write_text(code, encoding="utf-8")
        return CommandFaceDetector(["python", str(path)], **options)

    def test_boxes_are_those_of_the_picture(self, tmp_path: Path) -> None:
        code = (
            "from gasp.messages import serve_detector\n"
            "def detect(image):\n    assert image.shape == (90, 160, 3)\n"
            "    return [[16, 9, 48, 45], [80, 9, 96, 27], [float('nan'), 0, 1, 1]], [0.5, 0.75, 0.9]\n"
            "serve_detector(detect)\n"
        )
        detector = self.detector(tmp_path, code, size=(160, 90))
        for found in detector.detect([texture(180, 640), texture(180, 640)]):
            assert [(tuple(d.box), d.score) for d in found] == [
                ((320, 18, 384, 54), 0.75),
                ((64, 18, 192, 90), 0.5),
            ]
        assert detector.detect([]) == []
        detector.close()

    def test_it_fails_by_name_and_is_started_again(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        code = (
            "from gasp.messages import serve_detector\nseen = []\n"
            "def detect(image):\n    seen.append(1)\n    assert len(seen) < 2, 'seen enough'\n"
            "    return [[1, 1, 9, 9]], [1.0]\nserve_detector(detect)\n"
        )
        detector = self.detector(tmp_path, code, restarts=1)
        picture = texture(20, 30)
        for _ in range(2):
            assert len(detector.detect([picture])[0]) == 1
            with pytest.raises(ProgramError, match="seen enough"):
                detector.detect([picture])
        for _ in range(2):
            with pytest.raises(ProgramError, match="too often"):
                detector.detect([picture])
        assert caplog.text.count("no faces from now on") == 1

    @pytest.mark.parametrize(
        "result", ["[[1, 2, 3]], [1.0]", "[[1, 2, 3, 4]], [1.0, 2.0]"], ids=["boxes", "scores"]
    )
    def test_wrong_forms_are_refused(self, tmp_path: Path, result: str) -> None:
        code = (
            "import sys, numpy as np\nfrom gasp.messages import Message, read_message, write_message\n"
            "say = lambda *m: write_message(sys.stdout.buffer, Message(*m))\n"
            "read_message(sys.stdin.buffer); say('ready'); read_message(sys.stdin.buffer)\n"
            f"boxes, scores = (np.array(a, np.float32) for a in ({result}))\n"
            "say('result', {'number': 0}, {'boxes': boxes, 'scores': scores})\nsys.stdin.read()\n"
        )
        with pytest.raises(ProgramError, match="boxes"):
            self.detector(tmp_path, code).detect([texture(20, 30)])

    def test_in_a_pipeline(self, tmp_path: Path, networks: Networks, pictures: NDArray[np.uint8]) -> None:
        faces = {"command": ["python", str(EXAMPLES / "middle_face.py")]}
        settings = PredictSettings(pipeline={"cues": ["captured", "faces"], "faces": faces})
        predictions = list(predict(pictures, **settings.model_dump(include={"pipeline"})))
        assert all(len(p.faces) == 1 for p in predictions)
        box = predictions[0].faces[0].box
        np.testing.assert_allclose(box, np.multiply([0.4, 0.4, 0.6, 0.6], (96, 64, 96, 64)), atol=0.01)


def run_example(name: str, pictures: NDArray[np.uint8], cues: Sequence[str]) -> Any:
    networks = Networks.load(PredictSettings(pipeline=EXAMPLES / name, device="cpu"))
    settings = PredictSettings(pipeline=EXAMPLES / name, cues=("captured", *cues))
    pipeline = Pipeline(settings, networks)
    frames = list(open_source(pictures))[:3]
    predictions = pipeline.step(frames, [None] * 3) + pipeline.finish()
    assert not pipeline.events
    assert len(predictions) == 3
    return predictions


def colourful() -> NDArray[np.uint8]:
    pictures = np.full((3, 90, 160, 3), 60, np.uint8)
    pictures[:, 20:40, 20:50] = (200, 40, 40)
    pictures[:, 50:70, 100:140] = 230
    return pictures


def test_the_example_in_python_and_the_filter() -> None:
    for prediction in run_example("programs.yaml", colourful(), ["redness", "bright"]):
        redness, bright = prediction.cues["redness"], prediction.cues["bright"]
        assert redness.shape == (180, 320)
        assert redness[60, 70] == 160
        assert redness[120, 240] == redness[10, 10] == 0
        assert bright.shape == (90, 160)
        assert bright[60, 120] == 255
        assert bright[5, 5] == 0


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_example_in_another_language() -> None:
    for prediction in run_example("contrast.yaml", colourful(), ["contrast"]):
        drawn = prediction.cues["contrast"]
        assert drawn.shape == (180, 320)
        assert drawn[120, 240] > 200 > 60 > drawn[10, 10]


@pytest.mark.parametrize(
    ("command", "said"), [("exit 3", "status 3"), ("echo hello", "no PGM or PPM picture")]
)
def test_a_filter_that_fails_is_told(command: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    settings = PredictSettings(
        pipeline={"cues": ["captured", {"name": "own", "filter": command, "restarts": 0}]}, device="cpu"
    )
    pipeline = Pipeline(settings, cues=None)
    list(pipeline.step(list(open_source(colourful()))[:1], [None]))
    pipeline.close()
    assert pipeline.events == {"cue own failed: ended": 1}
    assert said in caplog.text


def test_the_program_in_the_docs_runs(tmp_path: Path, pictures: NDArray[np.uint8]) -> None:
    page = (EXAMPLES.parent / "docs" / "external.md").read_text(encoding="utf-8")
    code, *_ = re.findall(r"^```py\n(.*?)^```", page, re.M | re.S)
    faces = {"command": ["python", str(EXAMPLES / "middle_face.py")]}
    pipeline = {"cues": ["captured", own(tmp_path, code)], "faces": faces}
    [prediction] = predict(pictures[:1], pipeline=pipeline)
    mean = float(np.asarray(prediction.cues["captured"]).mean())
    assert prediction.faces[0].found["brightness"] == pytest.approx(mean, abs=0.01)


def test_closing_a_pipeline_twice_does_no_harm(networks: Networks) -> None:
    pipeline = Pipeline(PredictSettings(), networks, cues=create_cues(["captured"]))
    pipeline.close()
    pipeline.close()
