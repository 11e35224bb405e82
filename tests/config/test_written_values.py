"""Values as people write them on a command line."""

from __future__ import annotations

import pytest

from gasp.config.sizes import read_size
from gasp.errors import UsageError
from helpers.training import tiny_experiment


def test_sizes() -> None:
    assert read_size("640x360", "--size") == (360, 640)
    assert read_size("640X360", "--size") == (360, 640)


@pytest.mark.parametrize("text", ["640", "0x3", "-1x3", "ax3", "8193x3", "3x" + "9" * 5000, "1x2x3", ""])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match=r"--size.*width x height"):
        read_size(text, "--size")


def test_changes_of_an_experiment() -> None:
    experiment = tiny_experiment().changed(
        ["trainer.batch=8", "name=other", "options.sequence_len=2", "clips.validation=null"]
    )
    assert experiment.trainer.batch == 8
    assert experiment.name == "other"
    assert experiment.options == {**tiny_experiment().options, "sequence_len": 2}
    assert experiment.clips.validation is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("trainer.batch", "write FIELD=VALUE"),
        ("=3", "write FIELD=VALUE"),
        ("trainer.bach=3", "did you mean 'batch'"),
    ],
)
def test_changes_that_are_none(change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tiny_experiment().changed([change])
