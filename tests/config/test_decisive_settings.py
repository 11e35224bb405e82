"""Every setting decides what a fingerprint is, but those that are marked to have no effect on results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gasp.config.base import NoEffect, Settings
from gasp.config.experiments import Experiment
from gasp.config.settings import PredictSettings
from gasp.work.fingerprint import fingerprint

EXAMPLES: dict[str, Settings] = {
    "predict": PredictSettings(),
    "predict gasp": PredictSettings(pipeline="gasp"),
    "train": Experiment(network="GASPEncConv"),
}
WITHOUT_EFFECT = {
    "predict": {"device", "threads", "pipeline.name", "pipeline.title"},
    "predict gasp": {"device", "threads", "pipeline.name", "pipeline.title"},
}


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, Path):
        return value / "x"
    if isinstance(value, tuple):
        return (*value, value[0] if value else "x")
    if isinstance(value, dict):
        return {**value, "x": 1}
    assert value is None, f"what is another {value!r}?"
    return "x"


def variants(settings: Settings, effect: bool = True, path: str = "") -> Iterator[tuple[str, bool, Settings]]:
    """Settings that differ in one place, the name of that place, and whether it has an effect."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        has = effect and NoEffect not in field.metadata
        parts = value if isinstance(value, tuple) and any(isinstance(v, Settings) for v in value) else None
        if isinstance(value, Settings):
            for below, decides, changed in variants(value, has, f"{path}{name}."):
                yield below, decides, settings.model_copy(update={name: changed})
        elif parts is not None:
            for place, part in enumerate(parts):
                for below, decides, changed in variants(part, has, f"{path}{name}[{place}]."):
                    new = (*parts[:place], changed, *parts[place + 1 :])
                    yield below, decides, settings.model_copy(update={name: new})
        else:
            yield path + name, has, settings.model_copy(update={name: other(value)})


@pytest.mark.parametrize("example", EXAMPLES)
def test_exactly_what_has_an_effect_is_in_the_fingerprint(example: str) -> None:
    settings = EXAMPLES[example]
    original = fingerprint(settings.decisive())
    found = list(variants(settings))
    assert len(found) > 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other values need not be possible ones
        wrong = [
            name
            for name, decides, changed in found
            if (fingerprint(changed.decisive()) != original) != decides
        ]
    assert wrong == []
    without = {name for name, decides, _ in found if not decides}
    assert without == WITHOUT_EFFECT.get(example, without)
    assert without, "something has no effect"


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert fingerprint({"a": "\ud800"})
