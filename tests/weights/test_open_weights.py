"""From a name or a path to a filled network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gasp import create_model
from gasp.errors import UsageError, WeightsError
from gasp.fusion.packaged import make_fusion
from gasp.weights import Store, find_entry, open_weights, save_weights
from gasp.weights.catalogue import GASP_INPUTS, MODELS_FOLDER
from gasp.weights.preprocessing import GASP_2021, Preprocessing

NETWORK = "GASPDAMEncGMUConv"
FURTHER = "gasp-seqdamalstmgmu-abd7f5d2"


def put(name: str, model: nn.Module, root: Path) -> Path:
    """A checkpoint where a fetched one would lie."""
    entry = find_entry(name)
    file = root / MODELS_FOLDER / entry.folder / entry.checkpoint
    file.parent.mkdir(parents=True)
    torch.save(model.state_dict(), file)
    return file


def same(model: nn.Module, other: nn.Module) -> bool:
    state = other.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def own(path: Path, **header: str) -> Path:
    """A file of our own form with a header of one's choice."""
    tensors: dict[str, Tensor] = {"x": torch.zeros(3)}
    save_file(tensors, path, metadata={"network": NETWORK, **header})
    return path


def test_a_published_name(tmp_path: Path) -> None:
    model = create_model(NETWORK, modalities=5)
    file = put("gasp-damgmu", model, tmp_path)
    for name in ("gasp-damgmu", "damgmu"):
        weights = open_weights(name, store=Store(tmp_path))
        assert weights.path == file
        assert (weights.network, weights.options) == (NETWORK, {"modalities": 5})
        assert weights.inputs == GASP_INPUTS
        assert weights.preprocessing == find_entry(name).preprocessing
        assert same(weights.load(), model)


def test_published_weights_that_are_not_here_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gasp download gasp-damgmu --accept-license"):
        open_weights("damgmu", store=Store(tmp_path))
    with pytest.raises(WeightsError, match=r"Run `get dave`"):
        open_weights("dave", store=Store(tmp_path), command=lambda entry: f"get {entry.name}")
    absent = open_weights("damgmu", store=Store(tmp_path), must_be_here=False)
    assert absent.path is None
    assert absent.make() is not None
    with pytest.raises(WeightsError, match="are not here"):
        absent.load()


def test_names_that_ship() -> None:
    assert open_weights("glance").network == "glance"
    fusion = open_weights("fusion")
    assert fusion.inputs == ("captured", "glance", "faces", "speaking", "motion")
    assert (fusion.distribution, fusion.corrects) == (True, "glance")
    assert fusion.preprocessing == Preprocessing(128, 96, GASP_2021.mean, GASP_2021.std)
    assert not fusion.load().training


def test_unknown_names_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean: unisal"):
        open_weights("unisall")
    with pytest.raises(UsageError, match="choose one"):
        open_weights("stavis")
    with pytest.raises(WeightsError, match=r"none\.pt: no such file"):
        open_weights(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="no such user"):
        open_weights("~nobody-of-that-name/x.pt")


@pytest.mark.parametrize("text", ["a\0b.pt", "x" * 5000 + ".pt", "y" * 5000])
def test_texts_that_no_file_can_have_are_refused(text: str) -> None:
    with pytest.raises((UsageError, WeightsError)):
        open_weights(text)


def test_a_bare_file_needs_a_network(tmp_path: Path) -> None:
    model = create_model(NETWORK, modalities=2)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"w\.pt: nothing tells which network.*network.*options"):
        open_weights(tmp_path / "w.pt")
    weights = open_weights(str(tmp_path / "w.pt"), network=NETWORK, options={"modalities": 2})
    assert same(weights.load(), model)


def test_what_the_caller_says_goes_before_the_catalogue(tmp_path: Path) -> None:
    model = create_model(NETWORK, modalities=2)
    put("gasp-damgmu", model, tmp_path)
    weights = open_weights("damgmu", network=NETWORK, options={"modalities": 2}, store=Store(tmp_path))
    assert same(weights.load(), model)
    same_network = open_weights("damgmu", network=NETWORK, store=Store(tmp_path))
    assert same_network.options == {"modalities": 5}


def test_files_of_other_programs_are_found_and_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "face.onnx").write_bytes(b"1")
    weights = open_weights(tmp_path / "face.onnx")
    assert weights.path == tmp_path / "face.onnx"
    with pytest.raises(UsageError, match="another program"):
        weights.load()


# --- options that only the tensors tell ------------------------------------------------------------------


def test_modalities_and_context_of_the_further_run_are_read_from_its_tensors(tmp_path: Path) -> None:
    options = {"modalities": 3, "sequence_len": 6, "sequence_norm": True}
    model = create_model("SequenceGASPDAMEncALSTMGMUConv", **options)
    put(FURTHER, model, tmp_path)
    weights = open_weights(FURTHER, store=Store(tmp_path))
    assert weights.options is None
    assert weights.read_options() == options
    loaded = weights.load()
    assert (loaded.modalities, loaded.sequence_len) == (3, 6)
    assert same(loaded, model)
    with pytest.raises(UsageError, match=r"which 3 modalities .* give modalities"):
        make_fusion(weights)


def test_the_further_run_takes_the_usual_modalities_where_there_are_five(tmp_path: Path) -> None:
    options = {"modalities": 5, "sequence_len": 4, "sequence_norm": True}
    put(FURTHER, create_model("SequenceGASPDAMEncALSTMGMUConv", **options), tmp_path)
    assert make_fusion(open_weights(FURTHER, store=Store(tmp_path))).modalities == GASP_INPUTS


def test_other_tensors_are_not_taken_for_the_further_run(tmp_path: Path) -> None:
    file = put(FURTHER, create_model("GASPEncConv", modalities=2), tmp_path)
    with pytest.raises(WeightsError, match=str(file)):
        open_weights(FURTHER, store=Store(tmp_path)).load()


# --- headers that anybody may have written ---------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"modalities": 100_000_000},
        {"modalities": 250},
        {"modalities": "x"},
        {"modalities": 2.5},
        {"encoder_widths": 5},
        {"encoder_widths": [60_000, 60_000], "latent_channels": 60_000},
        {"latent_channels": 60_000},
        {"colour": 1},
    ],
)
def test_a_header_that_asks_for_too_much_is_refused_by_name(tmp_path: Path, options: dict[str, Any]) -> None:
    path = own(tmp_path / "large.safetensors", options=json.dumps(options))
    with pytest.raises(WeightsError, match=r"large\.safetensors"):
        open_weights(path).load()


def test_a_header_with_a_window_without_end_is_refused(tmp_path: Path) -> None:
    options = {"modalities": 2, "latent_channels": 4, "encoder_widths": [4, 4], "sequence_len": 3}
    name = "SequenceGASPEncRGMUConv"
    path = save_weights(
        create_model(name, **options), tmp_path / "a.safetensors", network=name, options=options
    )
    tensors = create_model(name, **options).state_dict()
    for length in (10**9, 1e9, 10**30):
        header = {"network": name, "options": json.dumps(options | {"sequence_len": length})}
        save_file(dict(tensors), path, metadata=header)
        with pytest.raises(WeightsError, match=r"a\.safetensors: its header .*sequence_len"):
            open_weights(path).load()


@pytest.mark.parametrize(
    "header",
    [
        {"options": "[1"},
        {"options": "[" * 100_000},
        {"options": "[1, 2]"},
        {"options": "7"},
        {"network": "nothing"},
        {"modalities": "7"},
        {"modalities": "[1, 2]"},
        {"modalities": json.dumps(["a"] * 1000)},
        {"preprocessing": "[]"},
        {"preprocessing": '{"height": 1e9}'},
        {"preprocessing": '{"height": 1000000000}'},
        {"preprocessing": '{"mean": 5}'},
        {"preprocessing": '{"mean": [1, 2]}'},
        {"preprocessing": '{"std": [0, 0, 0]}'},
        {"preprocessing": '{"std": [NaN, 1, 1]}'},
        {"preprocessing": '{"mean": ["a", "b", "c"]}'},
        {"preprocessing": '{"files": [1]}'},
        {"preprocessing": '{"pixels": 1}'},
    ],
)
def test_headers_that_make_no_sense_are_refused_by_name(tmp_path: Path, header: dict[str, str]) -> None:
    path = own(tmp_path / "odd.safetensors", **header)
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        open_weights(path).load()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".onnx"])
def test_pipes_and_devices_are_not_opened(tmp_path: Path, suffix: str) -> None:
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    device = tmp_path / f"device{suffix}"
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(WeightsError, match="is a device or a pipe"):
            open_weights(path, network="esr9")
