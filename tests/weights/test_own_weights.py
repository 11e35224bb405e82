from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gasp import create_model
from gasp.errors import OutputError, UsageError, WeightsError
from gasp.weights import (
    describe,
    load_packaged,
    load_weights,
    packaged,
    packaged_names,
    save_weights,
    shipped,
)
from gasp.weights.shipped import read_metadata

NETWORK, OPTIONS = "GASPEncAddConv", {"modalities": 2}


def test_weights_come_back_with_their_network(tmp_path: Path) -> None:
    model = create_model(NETWORK, **OPTIONS)
    path = save_weights(
        model,
        tmp_path / "new" / "w.safetensors",
        network=NETWORK,
        options=OPTIONS,
        metadata={"licence": "MIT"},
    )
    again = load_weights(path)
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert read_metadata(path) == {
        "format": "gasp-1",
        "network": NETWORK,
        "options": json.dumps(OPTIONS),
        "licence": "MIT",
    }
    assert describe(path)["licence"] == "MIT"
    assert [file.name for file in path.parent.iterdir()] == ["w.safetensors"]


def test_half_precision_is_kept_in_the_file(tmp_path: Path) -> None:
    model = create_model(NETWORK, **OPTIONS)
    save_weights(model.half(), tmp_path / "w.safetensors", network=NETWORK, options=OPTIONS)
    assert (tmp_path / "w.safetensors").stat().st_size < 1_100_000
    again = load_weights(tmp_path / "w.safetensors")
    assert next(again.parameters()).dtype == torch.float32


def test_a_wrong_description_is_refused(tmp_path: Path) -> None:
    model, path = create_model(NETWORK, **OPTIONS), tmp_path / "w.safetensors"
    with pytest.raises(UsageError, match="is not what create_model"):
        save_weights(model, path, network=NETWORK, options={"encoder": None})
    with pytest.raises(UsageError, match="JSON"):
        save_weights(model, path, network=NETWORK, options={"modalities": torch.tensor(2)})
    with pytest.raises(UsageError, match="must be text; not so: scores"):
        save_weights(model, path, network=NETWORK, options=OPTIONS, metadata={"scores": 1})  # type: ignore[dict-item]
    assert not path.exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        save_weights(
            create_model(NETWORK, **OPTIONS),
            tmp_path / "file" / "w.safetensors",
            network=NETWORK,
            options=OPTIONS,
        )


@pytest.mark.parametrize(
    ("metadata", "message"),
    [({}, "does not name a network"), ({"network": NETWORK, "options": "[1"}, "not a JSON object")],
)
def test_headers_that_do_not_tell_the_network(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "w.safetensors")


def test_packaged_weights_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    save_weights(
        create_model(NETWORK, **OPTIONS), tmp_path / "small.safetensors", network=NETWORK, options=OPTIONS
    )
    assert packaged_names() == ["small"]
    assert packaged("small") == tmp_path / "small.safetensors"
    assert isinstance(load_packaged("small"), torch.nn.Module)
    with pytest.raises(WeightsError, match="there are: small"):
        packaged("large")


def test_what_ships_is_described() -> None:
    for name in packaged_names():
        about = read_metadata(packaged(name))
        assert about["licence"]
        assert about["network"]


def test_describing_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        describe(tmp_path / "none")
    (tmp_path / "plain.pt").write_bytes(b"1")
    assert describe(tmp_path / "plain.pt")["licence"] == "unknown"
