"""Documents of settings: what is refused, and that it costs neither time nor memory."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp.config.documents import parse_json, parse_yaml, read_document
from gasp.config.presets import read_pipeline
from gasp.config.settings import PredictSettings
from gasp.errors import GaspError, InputError, UsageError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("suffix", "text", "words"),
    [
        (".yaml", LAUGHS, "stands for more than"),
        (".yaml", "a: &a [*a]", "holds itself"),
        (".yaml", "[" * 100_000, "is not YAML"),
        (".json", "[" * 100_000, "is not JSON"),
        (".yaml", "cues: [captured]\ncues: [motion]", "'cues' stands there twice"),
        (".yaml", "fusion: {weights: a, weights: b}", "'weights' stands there twice"),
        (".json", '{"cues": ["captured"], "cues": []}', "'cues' stands there twice"),
        (".yaml", "every: " + "9" * 5000, "is not YAML"),
        (".json", '{"every": ' + "9" * 5000 + "}", "is not JSON"),
        (".yaml", "x" * (1 << 21), "MiB"),
        (".yaml", "!!python/object/apply:os.system [ls]", "is not YAML"),
    ],
)
def test_documents_that_are_refused(suffix: str, text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / f"pipe{suffix}"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(UsageError, match=words) as caught:
        read_document(path)
    assert time.monotonic() - began < 5
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero"), tmp_path / "none.yaml", tmp_path / ("x" * 300)):
        with pytest.raises(InputError):
            read_document(path)


def test_what_is_allowed() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}
    assert parse_yaml("") is None
    assert parse_json('{"a": {"b": 1}, "c": {"b": 2}}') == {"a": {"b": 1}, "c": {"b": 2}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_any_values_come_back_or_are_refused_in_words(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    with suppress(GaspError):
        read_pipeline(value)


@pytest.mark.parametrize(
    "values",
    [{"seed": 2**70}, {"seed": -1}, {"every": 2**63}, {"every": 0}, {"device": "cuda:999999"}, {"batch": 10**20},
     {"cues": "x" * 10**6}, {"threads": "many"}, {"piece": -1}, {"precision": "float8"}],
)  # fmt: skip
def test_values_that_cannot_be(values: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        PredictSettings.read(values)
    assert next(iter(values)) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_device_that_no_machine_has() -> None:
    from gasp.pipeline.networks import choose_device

    for name in ("cuda:999", "mps:7", "xpu", "cpu:1"):
        with pytest.raises(UsageError, match="cannot be used"):
            choose_device(name)
