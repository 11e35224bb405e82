"""Names of version 0.1 go on working, with a warning."""

from __future__ import annotations

import importlib
import sys

import pytest

from gasp._renamed import MODULES


@pytest.mark.parametrize(("old", "new"), MODULES.items())
def test_old_modules(old: str, new: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is called {new} now"):
        found = importlib.import_module(old)
    assert found is importlib.import_module(new)
    assert found.__name__ == new
    assert found.__spec__ is not None
    assert found.__spec__.name == new


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("gasp.config.pipelines", "PipelineConfig", "gasp.config.pipelines.PipelineSettings"),
        ("gasp.datasets.store", "PackOptions", "gasp.datasets.store.PackSettings"),
        ("gasp.runs.generate", "GenerateOptions", "gasp.results.grouped.GenerateSettings"),
    ],
)
def test_old_names(module: str, old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{module}.{old} is called {new} now"):
        found = getattr(importlib.import_module(module), old)
    home, _, name = new.rpartition(".")
    assert found is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = importlib.import_module(module).nothing
