from __future__ import annotations

from typing import Any

import pytest

from gasp.config.settings import DEFAULT_CUES, PredictSettings
from gasp.cues.cue import CUES
from gasp.errors import UsageError


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cues": ("glace",)}, ["cues", "'glace'", "did you mean 'glance'"]),
        ({"cues": "faces,montion"}, ["cues", "'montion'", "did you mean 'motion'"]),
        ({"cues": ("zzz",)}, ["cues", "'zzz'", "captured, glance, faces"]),
        ({"cues": ()}, ["cues", "at least one"]),
        ({"cues": ("faces", 3)}, ["cues.1", "3"]),
        ({"faces": "yunett"}, ["faces", "'yunett'", "did you mean 'yunet'"]),
        ({"faces": "haar"}, ["faces", "'haar'", "glance, yunet, s3fd, none"]),
        ({"pipeline": "gsap"}, ["pipeline", "'gsap'", "did you mean 'gasp'"]),
        ({"every": 0}, ["every", "0", "greater than or equal to 1"]),
        ({"every": 1.5}, ["every", "1.5", "integer"]),
        ({"batch": 10**6}, ["batch", "less than or equal to 256"]),
        ({"device": "gpu"}, ["device = 'gpu'", "use auto, cpu, cuda"]),
        ({"device": "cuda:"}, ["device = 'cuda:'"]),
        ({"device": "cuda:x"}, ["device = 'cuda:x'"]),
        ({"device": "auto:1"}, ["device = 'auto:1'"]),
        ({"precision": "bfloat"}, ["precision", "did you mean 'bfloat16'"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"evry": 2}, ["'evry'", "did you mean 'every'"]),
        ({"every": 0, "seed": -1}, ["every", "seed"]),
    ],
)
def test_wrong_settings_name_the_field_and_a_way_out(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        PredictSettings.read(values)
    message = str(caught.value)
    assert caught.value.exit_status == 2
    assert "\n" not in message
    assert "Pydantic" not in message
    assert [word for word in words if word not in message] == []


def test_cues_are_put_in_order_and_may_be_given_as_text() -> None:
    assert PredictSettings.read({"cues": "motion, faces"}).cues == ("faces", "motion")
    assert PredictSettings.read({"cues": ["faces", "faces"]}).cues == ("faces",)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:3", "mps"])
def test_devices_that_may_exist_somewhere_are_accepted(device: str) -> None:
    assert PredictSettings.read({"device": device}).device == device


def test_the_default_cues_are_those_of_the_table() -> None:
    assert tuple(CUES) == DEFAULT_CUES


def test_contributions_are_left_out_where_they_are_dear() -> None:
    assert PredictSettings().why == 2
    assert PredictSettings.read({"pipeline": "gasp-2021"}).why == 0
    assert PredictSettings.read({"pipeline": "gasp-2021", "why": 5}).why == 5
