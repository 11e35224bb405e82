"""Making networks by name."""

from __future__ import annotations

import builtins
import socket
import subprocess
import sys

import pytest
import torch

import gasp
from gasp.errors import UsageError
from gasp.networks.table import NETWORKS
from gasp.networks.variants import VARIANTS

PUBLISHED = {"dave", "stavis", "tased", "unisal", "vinet", "avinet", "gaze360", "videogaze", "esr9", "light_asd",
    "s3fd",
}  # fmt: skip
OTHERS = PUBLISHED | {"glance"}


def test_names_are_those_of_the_contract() -> None:
    assert set(gasp.list_models()) == set(VARIANTS) | OTHERS
    assert gasp.list_models() == sorted(gasp.list_models())
    assert len(VARIANTS) == 17


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_made_in_evaluation_mode_with_float_weights(name: str) -> None:
    with torch.device("meta"):
        model = gasp.create_model(name)
    assert not any(module.training for module in model.modules())
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_made_without_files_or_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        gasp.create_model(name)  # importing the module reads files; making the network must not

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"{name} reaches out: {args}")

    with monkeypatch.context() as context, torch.device("meta"):
        context.setattr(builtins, "open", refuse)
        context.setattr(socket, "socket", refuse)
        gasp.create_model(name)


def test_weights_are_random_and_follow_the_seed() -> None:
    def weight(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return gasp.create_model("GASPEncConv").enc.enc[0].weight

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gazee360", "did you mean 'gaze360'"),
        ("gaspencconv", "did you mean 'GASPEncConv'"),
        ("qqqq", "valid are: .*avinet, dave, esr9"),
    ],
)
def test_unknown_names_are_explained(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gasp.create_model(name)


@pytest.mark.parametrize(
    ("option", "message"), [("batch_statistic", "did you mean 'batch_statistics'"), ("self", "valid are: b")]
)
def test_unknown_options_are_explained(option: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gasp.create_model("esr9", **{option: True})


def test_listing_names_does_not_import_torch() -> None:
    code = "import sys, gasp; gasp.list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
