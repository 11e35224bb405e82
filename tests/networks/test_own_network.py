"""The network of docs/extending.md, added by another package: one file with a row, one entry point."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gasp
from gasp.errors import UsageError, WeightsError
from gasp.networks.table import NETWORKS, find_row
from gasp.weights import open_weights, save_weights
from gasp.weights.export import example_inputs, export
from helpers.every_network import check_bfloat16, check_export, check_reproducible

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
MODULE = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)[1]
BROKEN = "[gasp.networks]\nblur = blur_network:ROW\nbroken = nowhere_at_all:ROW\nwrong = blur_network:Blur\n"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with the network."""
    (tmp_path / "blur_network.py").write_text(MODULE)
    about = tmp_path / "blur_network-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: blur-network\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("blur_network", None)


def test_it_is_listed_and_made() -> None:
    assert "blur" in gasp.list_models()
    assert set(NETWORKS) < set(gasp.list_models())
    model = gasp.create_model("blur", width=3)
    assert model.first.weight.shape[0] == 3
    assert not model.training
    with pytest.raises(UsageError, match="did you mean 'width'"):
        gasp.create_model("blur", with_=3)
    with pytest.raises(UsageError, match="width must be a whole number, not 'x'"):
        gasp.create_model("blur", width="x")
    with pytest.raises(UsageError, match="did you mean 'blur'"):
        gasp.create_model("blurr")


def test_the_checks_of_every_network_run_on_it() -> None:
    check_reproducible("blur")
    check_bfloat16("blur")
    check_export("blur")


def test_its_checkpoints_are_loaded_opened_and_identified(tmp_path: Path) -> None:
    model = gasp.create_model("blur", width=5)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "blur.pt")
    save_weights(model, tmp_path / "own.safetensors", network="blur", options={"width": 5})
    again = gasp.load_checkpoint(gasp.create_model("blur", width=5), tmp_path / "blur.pt")
    for other in (
        again,
        open_weights(tmp_path / "own.safetensors").load(),
        open_weights(tmp_path / "blur.pt", network="blur", options={"width": 5}).load(),
    ):
        assert torch.equal(other.last.weight, model.last.weight)
    with pytest.raises(WeightsError, match=r"looks like create_model\('blur', width=5\)"):
        gasp.load_checkpoint(gasp.create_model("esr9", branches=1), tmp_path / "blur.pt")


def test_it_is_exported(tmp_path: Path) -> None:
    assert [tuple(one.shape) for one in example_inputs("blur", {})] == [(1, 3, 40, 60)]
    model = gasp.create_model("blur")
    done = export(model, tmp_path / "blur.pt2", network="blur", form="torch-export")
    assert done.path.is_file()
    assert list(done.differences) == ["saliency"]


@pytest.mark.parametrize("name", ["broken", "wrong"])
def test_a_package_that_does_not_work_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"The network '{name}'"):
        find_row(name)
    assert gasp.create_model("blur") is not None
