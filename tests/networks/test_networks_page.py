"""The table of networks in the docs says what the package says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import gasp

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("benchmark_networks", ROOT / "benchmarks" / "networks.py")
assert SPEC is not None
assert SPEC.loader is not None
BENCHMARK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BENCHMARK)


def rows() -> dict[str, list[str]]:
    """Cells of the table by network."""
    lines = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row for row in cells if row[0] in gasp.list_models()}


def test_every_network_is_listed() -> None:
    assert sorted(rows()) == gasp.list_models()


@pytest.mark.parametrize("name", gasp.list_models())
def test_facts_are_those_of_the_package(name: str) -> None:
    row = rows()[name]
    facts = BENCHMARK.facts(name)
    assert row[: len(facts)] == list(facts)
    for time in row[len(facts) :]:
        assert float(time) > 0
