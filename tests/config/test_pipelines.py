"""Pipelines as data: presets, files, and what is said of wrong ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gasp.config.pipelines import PipelineSettings, read_file
from gasp.config.presets import PRESETS, preset, read_pipeline
from gasp.config.settings import PredictSettings
from gasp.cues.cue import CUES, PUBLISHED_CUES
from gasp.errors import InputError, UsageError
from gasp.weights.catalogue import find_entry

CUE_NAMES = [*CUES, *PUBLISHED_CUES]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole_and_survive_yaml_and_json(name: str, tmp_path: Path) -> None:
    config = preset(name)
    assert config.name == name
    assert config.title
    assert set(config.fusion.takes or ()) <= set(config.cue_names)
    for path, text in (
        (tmp_path / "p.yaml", config.to_yaml()),
        (tmp_path / "p.json", json.dumps(config.plain())),
    ):
        path.write_text(text, encoding="utf-8")
        assert read_file(path) == config
    assert PipelineSettings.read(config.model_dump(mode="json")) == config
    assert read_pipeline(name) == config


def test_the_published_preset_is_published_throughout() -> None:
    config = preset("gasp-2021")
    assert all(cue.mode == "published" for cue in config.cues if cue.name in PUBLISHED_CUES)
    assert (config.alignment, config.fusion.pictures, config.faces.tracking) == (
        "published",
        "published",
        False,
    )
    assert config.cue_names == find_entry("gasp-seqdamalstmgmu").inputs
    assert all(cue.mode == "corrected" for cue in preset("gasp").cues)


def test_weights_of_published_cues_are_in_the_catalogue() -> None:
    for name, entry in PUBLISHED_CUES.items():
        assert entry.weights is not None
        assert find_entry(entry.weights).network == (entry.network or name)


cues = st.lists(st.sampled_from(CUE_NAMES), min_size=1, unique=True).flatmap(
    lambda names: st.tuples(
        *(
            st.builds(
                lambda mode, name=name: {"name": name, **({"mode": mode} if name in PUBLISHED_CUES else {})},
                st.sampled_from(["corrected", "published"]),
            )
            for name in names
        )
    )
)


@given(
    cues,
    st.sampled_from(["glance", "yunet", "s3fd", "none"]),
    st.booleans(),
    st.sampled_from(["corrected", "published"]),
)
def test_what_is_written_is_what_is_read(
    cues: tuple[dict[str, Any], ...], detector: str, tracking: bool, alignment: str
) -> None:
    names = [cue["name"] for cue in cues]
    config = PipelineSettings.read(
        {
            "cues": list(cues),
            "faces": {"detector": detector, "tracking": tracking},
            "fusion": {
                "weights": "mine.pt", "network": "GASPDAMEncGMUConv", "modalities": names,
                "options": {"encoder": "Deep"},
            },
            "alignment": alignment,
        }
    )  # fmt: skip
    assert PipelineSettings.read(yaml.safe_load(config.to_yaml())) == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ["cues is missing"]),
        ({"cues": []}, ["cues"]),
        ({"cues": ["captured"], "fusoin": "packaged"}, ["'fusoin'", "did you mean 'fusion'"]),
        ({"cues": ["captured", "unisl"]}, ["cues.1.name = 'unisl'", "did you mean 'unisal'"]),
        ({"cues": ["captured", "captured"]}, ["'captured' is named more than once"]),
        ({"cues": [{"name": "dave", "mod": "published"}]}, ["'cues.0.mod'", "did you mean 'mode'"]),
        ({"cues": [{"name": "dave", "mode": "publishd"}]}, ["cues.0.mode", "did you mean 'published'"]),
        ({"cues": [{"name": "dave", "weights": "dav"}]}, ["cues.0.weights", "'dav'", "dave"]),
        ({"cues": [{"name": "dave", "weights": "unisal"}]}, ["'unisal'", "not for the cue 'dave'"]),
        ({"cues": [{"name": "faces", "mode": "published"}]}, ["'faces' has no weights and no mode"]),
        ({"cues": [7]}, ["cues.0"]),
        ({"cues": "captured"}, ["cues"]),
        ({"cues": ["captured"], "faces": "s3df"}, ["faces.detector = 's3df'", "did you mean 's3fd'"]),
        ({"cues": ["captured"], "faces": {"traking": False}}, ["'faces.traking'", "did you mean 'tracking'"]),
        ({"cues": ["captured"], "faces": {"options": {"threshold": 1}}}, ["'glance' takes no options"]),
        ({"cues": ["captured"], "fusion": "gasp-damgm"}, ["fusion.weights", "gasp-damgmu"]),
        ({"cues": ["captured"], "fusion": "dave"}, ["those of the network dave, not for the fusion"]),
        ({"cues": ["captured"], "fusion": {"weights": "a.pt", "network": "GASPEncGMUCnv"}}, ["GASPEncGMUConv"]),
        ({"cues": ["captured"], "fusion": {"weights": "a.pt", "network": "GASPEncConv"}}, ["modalities are missing"]),
        ({"cues": ["captured"], "fusion": {"network": "GASPEncConv"}}, ["'packaged' is known"]),
        ({"cues": ["captured"], "fusion": {"modalities": ["captred"]}}, ["'captred'", "did you mean 'captured'"]),
        ({"cues": ["captured"], "fusion": {"pictures": "jpeg"}}, ["fusion.pictures", "direct, published"]),
        ({"cues": ["captured", "dave"], "fusion": {"weights": "gasp-damgmu", "modalities": ["dave", "captured"]}},
         ["take 5 modalities", "not 2"]),
        ({"cues": ["unisal"], "fusion": "gasp-damgmu"}, ["none of these is a cue"]),
        ({"cues": ["captured"], "alignment": "publish"}, ["alignment", "did you mean 'published'"]),
    ],
)  # fmt: skip
def test_wrong_descriptions_name_the_field_and_a_way_out(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        PipelineSettings.read(values, "talk.yaml")
    message = str(caught.value)
    assert message.startswith("talk.yaml: ")
    assert [word for word in words if word not in message] == []
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.yaml", b"cues: [captured", ["p.yaml is not YAML", "line"]),
        ("p.json", b'{"cues": [', ["p.json is not JSON", "line"]),
        ("p.yaml", b"- captured", ["p.yaml does not describe a pipeline"]),
        ("p.yaml", b"", ["p.yaml does not describe a pipeline"]),
        ("p.yaml", b"1: 2", ["p.yaml does not describe a pipeline"]),
        ("p.yaml", b"!!python/object/apply:os.getcwd []", ["p.yaml is not YAML"]),
        ("p.yml", b"cues: [captured]\nfaces: nobody", ["p.yml: faces.detector = 'nobody'"]),
    ],
)
def test_files_that_are_none_are_told_so(name: str, content: bytes, words: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_pipeline(str(tmp_path / name))
    assert [word for word in words if word not in str(caught.value)] == []


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml cannot be read"):
        read_pipeline(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=r"binary\.yaml cannot be read"):
        read_pipeline(tmp_path / "binary.yaml")


def test_names_of_presets_that_there_are_not() -> None:
    with pytest.raises(UsageError, match=r"'gasp-201'; did you mean 'gasp-2021'\?"):
        read_pipeline("gasp-201")
    with pytest.raises(UsageError, match="give a preset's name"):
        read_pipeline(7)  # type: ignore[arg-type]


def test_settings_take_cues_and_faces_from_the_pipeline() -> None:
    settings = PredictSettings.read({"pipeline": "gasp-2021"})
    assert settings.cues == settings.pipeline.cue_names
    assert settings.faces == "s3fd"
    assert settings.face_finding.options == {"published": True}
    other = PredictSettings.read({"pipeline": "gasp-2021", "faces": "glance", "cues": "gaze360, dave"})
    assert other.cues == ("dave", "gaze360")
    assert other.face_finding.options == {}
    with pytest.raises(UsageError, match="unknown cue 'glance'"):
        PredictSettings.read({"pipeline": "gasp", "cues": ("glance",)})
    with pytest.raises(UsageError, match="there is no pipeline 'gsap'"):
        PredictSettings.read({"pipeline": "gsap"})
    with pytest.raises(UsageError, match=r"pipeline: cues\.0\.name"):
        PredictSettings.read({"pipeline": {"cues": ["nothing"]}})


def test_descriptions_in_the_docs_are_what_they_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text(encoding="utf-8")
    good, wrong = (yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S))
    assert PipelineSettings.read(good).cue_names == ("captured", "glance", "faces")
    with pytest.raises(UsageError) as caught:
        PipelineSettings.read(wrong, "talk.yaml")
    assert f"# {caught.value}\n" in page
    assert [name for name in PRESETS if f"`{name}`" not in page] == []
