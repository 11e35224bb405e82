from __future__ import annotations

import collections
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gasp import create_model, load_checkpoint
from gasp.errors import WeightsError
from gasp.weights.checkpoints import find_checkpoints

NETWORK = "GASPDAMEncGMUConv"
OPTIONS = {"modalities": 2}
State = dict[str, Tensor]


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return create_model(NETWORK, **OPTIONS)


@pytest.fixture
def state() -> State:
    torch.manual_seed(1)
    return dict(create_model(NETWORK, **OPTIONS).state_dict())


def _equal(model: nn.Module, state: State) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def _prefixed(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def _tar_of(state: State, path: Path) -> None:
    torch.save(state, path.with_name("inner.pt"))
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(path.with_name("inner.pt"), "folder/inner.pt")
        archive.add(__file__, "folder/readme.txt")


def _zip_of(state: State, path: Path) -> None:
    torch.save(state, path.with_name("inner.pt"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_name("inner.pt"), "inner.pt")


class _OfLightning(dict):  # type: ignore[type-arg]
    """Pickles under the name of Lightning's dictionary of settings."""


_OfLightning.__module__, _OfLightning.__qualname__ = "pytorch_lightning.utilities.parsing", "AttributeDict"


def _lightning(state: State) -> dict[str, Any]:
    return {
        "epoch": 3,
        "pytorch-lightning_version": "1.3.8",
        "state_dict": _prefixed(state, "model.") | {"loss.weight": torch.zeros(2)},
        "optimizer_states": [
            {"state": {0: {"step": 1, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]}
        ],
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "dirpath": "somewhere"}},
        "best": [np.float64(0.25), np.float32(1), np.int64(4)],
    }


WRITERS: dict[str, Callable[[State, Path], object]] = {
    "bare": torch.save,
    "ordered": lambda s, p: torch.save(collections.OrderedDict(s), p),
    "parameters": lambda s, p: torch.save({n: nn.Parameter(t) for n, t in s.items()}, p),
    "before 1.6": lambda s, p: torch.save({"state_dict": s}, p, _use_new_zipfile_serialization=False),
    "nested and parallel": lambda s, p: torch.save(
        {"epoch": 1, "best_prec1": 0.5, "state_dict": _prefixed(s, "module.")}, p
    ),
    "partly prefixed": lambda s, p: torch.save(
        {("module." if i % 2 else "") + n: t for i, (n, t) in enumerate(s.items())}, p
    ),
    "other key": lambda s, p: torch.save({"epoch": 1, "generator_weights": s}, p),
    "compiled": lambda s, p: torch.save({"model": _prefixed(s, "module._orig_mod.")}, p),
    "unknown prefix": lambda s, p: torch.save(_prefixed(s, "net.student."), p),
    "lightning": lambda s, p: torch.save(_lightning(s), p),
    "double": lambda s, p: torch.save({n: t.double() for n, t in s.items()}, p),
    "safetensors": lambda s, p: save_file(_prefixed(s, "module."), p),
    "tar": _tar_of,
    "zip": _zip_of,
}


@pytest.mark.parametrize("layout", WRITERS)
def test_layouts_load(model: nn.Module, state: State, tmp_path: Path, layout: str) -> None:
    path = tmp_path / "checkpoint.pth"
    WRITERS[layout](state, path)
    assert load_checkpoint(model, path) is model
    assert _equal(model, state)


def test_settings_of_lightning_load(model: nn.Module, state: State, tmp_path: Path) -> None:
    import sys
    import types

    module = types.ModuleType("pytorch_lightning.utilities.parsing")
    module.AttributeDict = _OfLightning  # type: ignore[attr-defined]
    _OfLightning.__name__ = "AttributeDict"
    names = ("pytorch_lightning", "pytorch_lightning.utilities", module.__name__)
    sys.modules |= dict.fromkeys(names, module)
    try:
        torch.save(_lightning(state) | {"hyper_parameters": _OfLightning(lr=1)}, tmp_path / "a.ckpt")
    finally:
        for name in names:
            del sys.modules[name]
    assert _equal(load_checkpoint(model, tmp_path / "a.ckpt"), state)


def test_python_2_pickles_load(model: nn.Module, state: State, tmp_path: Path) -> None:
    """Python 2 wrote names as byte strings, and numpy numbers with bytes that are no text."""
    torch.save(state, tmp_path / "new.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "new.pt").read_bytes()
    for name in state:
        text = name.encode()
        content = content.replace(
            b"X" + len(text).to_bytes(4, "little") + text, b"U" + bytes([len(text)]) + text
        )
    assert b"U" in content
    (tmp_path / "old.pt").write_bytes(content)
    assert _equal(load_checkpoint(model, tmp_path / "old.pt"), state)


def test_a_folder_with_one_checkpoint_loads(model: nn.Module, state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "last_model.pt")
    (tmp_path / "last_model.pt.download.json").write_text("{}")
    assert _equal(load_checkpoint(model, tmp_path), state)


def test_among_several_the_only_one_that_fits_is_taken(
    model: nn.Module, state: State, tmp_path: Path
) -> None:
    torch.save({"other": torch.zeros(1)}, tmp_path / "a.pt")
    torch.save(state, tmp_path / "b.pt")
    assert _equal(load_checkpoint(model, tmp_path), state)
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match=r"several checkpoints that fit \(b.pt, c.pt\)"):
        load_checkpoint(model, tmp_path)
    (tmp_path / "b.pt").unlink()
    (tmp_path / "c.pt").unlink()
    torch.save({"more": torch.zeros(1)}, tmp_path / "d.pt")
    with pytest.raises(WeightsError, match="none of its 2 checkpoints fits"):
        load_checkpoint(model, tmp_path)


def test_an_incomplete_ensemble_names_what_is_missing(tmp_path: Path) -> None:
    for name in ("Net-Base-Shared_Representations.pt", "Net-Branch_1.pt"):
        torch.save({"x": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(WeightsError, match=r"missing here: Net-Branch_2.pt, .*Net-Branch_9.pt"):
        load_checkpoint(nn.Linear(1, 1), tmp_path)


def test_the_base_of_esr9_alone_names_the_branches(tmp_path: Path) -> None:
    model = create_model("esr9")
    base = {
        name.removeprefix("base."): t for name, t in model.state_dict().items() if name.startswith("base.")
    }
    for name in ("Net-Base-Shared_Representations.pt", "esr9_base.pt"):
        folder = tmp_path / name.removesuffix(".pt")
        folder.mkdir()
        torch.save(base, folder / name)
        for path in (folder, folder / name):
            with pytest.raises(
                WeightsError, match=r"ten files; missing.*: Net-Branch_1.pt, .*Net-Branch_9.pt"
            ):
                load_checkpoint(model, path)
    branch = {
        name.removeprefix("branches.0."): t
        for name, t in model.state_dict().items()
        if name.startswith("branches.0.")
    }
    torch.save(branch, tmp_path / "one.pt")
    with pytest.raises(WeightsError, match=r"a branch of ESR-9 alone.*Net-Base-Shared"):
        load_checkpoint(model, tmp_path / "one.pt")


def test_counters_may_be_missing_or_of_old_shape(tmp_path: Path) -> None:
    model = nn.Sequential(nn.BatchNorm2d(3))
    state = {name: t + 1 for name, t in model.state_dict().items()}
    del state["0.num_batches_tracked"]
    torch.save(state, tmp_path / "old.pt")
    load_checkpoint(model, tmp_path / "old.pt")
    assert torch.equal(model[0].weight, torch.full((3,), 2.0))
    torch.save(state | {"0.num_batches_tracked": torch.tensor([7])}, tmp_path / "older.pt")
    load_checkpoint(model, tmp_path / "older.pt")
    assert model[0].num_batches_tracked == 7


# --- what does not fit -----------------------------------------------------------------------------------


def _fails(model: nn.Module, path: Path) -> str:
    """The message of the failure; the model must be unchanged."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError) as error:
        load_checkpoint(model, path)
    assert _equal(model, before)
    return str(error.value)


def test_the_message_lists_what_does_not_fit(model: nn.Module, state: State, tmp_path: Path) -> None:
    del state["gmu.W_h"]
    state["dam.fc1.weight"] = torch.zeros(4, 6)
    state |= {f"extra.{i}": torch.zeros(1) for i in range(40)}
    torch.save(state, tmp_path / "a.pt")
    message = _fails(model, tmp_path / "a.pt")
    assert "1 missing: gmu.W_h" in message
    assert "40 unexpected: extra.0, " in message
    assert "and 32 more" in message
    assert "dam.fc1.weight: file 4x6, network 3x6" in message
    assert len(message) < 1500


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("GASPDAMEncGMUConv", {"modalities": 4}),
        ("GASPDAMEncGMUConv", {"encoder": "Deep", "modalities": 3}),
        ("GASPEncConv", {"encoder": None, "modalities": 3}),
        ("GASPSEEncConv", {"modalities": 5}),
        ("GASPEncALSTMConv", {"modalities": 2}),
        ("SequenceGASPEncRGMUConv", {"modalities": 2}),
        ("SequenceGASPDAMEncGMUALSTMConv", {"modalities": 2, "sequence_len": 7, "sequence_norm": True}),
    ],
)
def test_a_checkpoint_of_another_network_is_recognised(
    model: nn.Module, tmp_path: Path, network: str, options: dict[str, Any]
) -> None:
    other = create_model(network, **options).state_dict()
    torch.save({"state_dict": _prefixed(other, "module.")}, tmp_path / "a.pt")
    message = _fails(model, tmp_path / "a.pt")
    assert f"looks like create_model({network!r}" in message
    for key, value in options.items():
        assert f"{key}={value!r}" in message


def test_all_in_one_prefix_is_not_taken_for_the_network(tmp_path: Path) -> None:
    """A part of a bigger network must not load as if it were the whole."""
    torch.save(
        _prefixed(dict(nn.Linear(2, 2).state_dict()), "head.") | {"b.x": torch.zeros(1)}, tmp_path / "a"
    )
    assert "unexpected" in _fails(nn.Linear(2, 2), tmp_path / "a")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(
    model: nn.Module, state: State, tmp_path: Path, bad: float
) -> None:
    state["gmu.gate_bias"] = torch.full_like(state["gmu.gate_bias"], bad)
    torch.save(state, tmp_path / "a.pt")
    assert "gmu.gate_bias" in _fails(model, tmp_path / "a.pt")


def test_numbers_that_become_infinite_in_the_networks_type_are_refused(
    model: nn.Module, state: State, tmp_path: Path
) -> None:
    state["gmu.gate_bias"] = torch.full_like(state["gmu.gate_bias"], 1e300, dtype=torch.float64)
    torch.save(state, tmp_path / "a.pt")
    assert "gmu.gate_bias" in _fails(model, tmp_path / "a.pt")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_numbers_of_eight_bits_are_converted(tmp_path: Path, dtype: torch.dtype, form: str) -> None:
    model, path = nn.Linear(2, 2), tmp_path / ("a.pt" if form == "torch" else "a.safetensors")
    state = {"weight": torch.eye(2).to(dtype), "bias": torch.full((2,), 0.5).to(dtype)}
    torch.save(state, path) if form == "torch" else save_file(state, path)
    load_checkpoint(model, path)
    assert torch.equal(model.weight, torch.eye(2))
    assert model.bias.dtype == torch.float32
    state["bias"] = torch.full((2,), float("nan")).to(dtype)
    torch.save(state, path) if form == "torch" else save_file(state, path)
    assert "bias" in _fails(model, path)


def test_packed_numbers_are_refused(tmp_path: Path) -> None:
    packed = torch.zeros(2, 2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    torch.save({"weight": packed, "bias": torch.zeros(2)}, tmp_path / "a.pt")
    assert "weight" in _fails(nn.Linear(2, 2), tmp_path / "a.pt")


@pytest.mark.parametrize("dtype", [torch.complex64, "sparse"])
def test_unusable_tensors_are_refused(tmp_path: Path, dtype: Any) -> None:
    model = nn.Linear(2, 2)
    weight = torch.eye(2).to_sparse() if dtype == "sparse" else torch.eye(2).to(dtype)
    torch.save({"weight": weight, "bias": torch.zeros(2)}, tmp_path / "a.pt")
    assert "weight" in _fails(model, tmp_path / "a.pt")


# --- hostile and broken files ----------------------------------------------------------------------------


class _Command:
    """Unpickling this runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain", "in tar", "in key"])
def test_a_hostile_pickle_is_refused_and_not_run(
    model: nn.Module, state: State, tmp_path: Path, form: str
) -> None:
    path, proof = tmp_path / "a.pt", tmp_path / "ran"
    content: Any = {"state_dict": state, "extra": _Command(proof)}
    if form == "plain":
        path.write_bytes(pickle.dumps(content["extra"], protocol=2))
    elif form == "in tar":
        torch.save(content, tmp_path / "inner.pt")
        with tarfile.open(path, "w") as archive:
            archive.add(tmp_path / "inner.pt", "inner.pt")
    elif form == "in key":
        torch.save({(_Command(proof), 1): 1, **state}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    message = _fails(model, path)
    assert "refused" in message
    assert "posix.system" in message
    assert not proof.exists()


def test_whole_modules_are_refused_in_words(model: nn.Module, tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "a.pt")
    message = _fails(model, tmp_path / "a.pt")
    assert "torch.nn.modules.linear.Linear" in message
    assert "state_dict" in message


@pytest.mark.parametrize("kind", [b"O", b"V", b"f3", b"q", b"<"])
def test_strange_numpy_numbers_do_no_harm(
    model: nn.Module, state: State, tmp_path: Path, kind: bytes
) -> None:
    number = pickle.dumps(np.float64(0.5), protocol=2)
    torch.save(
        {"state_dict": state, "x": np.float64(0.5)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False
    )
    assert b"f8" in number
    content = (
        (tmp_path / "a.pt")
        .read_bytes()
        .replace(b"X\x02\x00\x00\x00f8", b"X%c\x00\x00\x00%s" % (len(kind), kind))
    )
    (tmp_path / "a.pt").write_bytes(content)
    assert _equal(load_checkpoint(model, tmp_path / "a.pt"), state)


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "tar"])
@pytest.mark.parametrize("keep", [0.1, 0.6, 0.999])
def test_truncated_files_are_refused(
    model: nn.Module, state: State, tmp_path: Path, form: str, keep: float
) -> None:
    path = tmp_path / "a.pt"
    if form == "safetensors":
        save_file(state, path)
    elif form == "tar":
        _tar_of(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    assert str(path) in _fails(model, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n <!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "not a PyTorch checkpoint"),
        (b"\x80\x02", "damaged"),
        (pickle.dumps({"a": 1}, protocol=2), "damaged|no named tensors"),
        (bytes(600), "holds no checkpoint"),
    ],
)
def test_files_of_other_kinds_are_explained(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_checkpoint(nn.Linear(1, 1), tmp_path / "a.pt")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3), {"a": {1: 2}}])
def test_files_without_named_tensors_are_explained(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="named tensors"):
        load_checkpoint(nn.Linear(1, 1), tmp_path / "a.pt")


def test_a_zip_that_grows_when_unpacked_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(600_000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(WeightsError, match="bomb"):
        find_checkpoints(tmp_path / "bomb.pt")


@pytest.mark.parametrize("inner", ["inner.pt", "data.pkl", "text.txt"])
def test_a_zip_with_a_password_is_refused_by_name(tmp_path: Path, inner: str) -> None:
    path = tmp_path / "locked.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(inner, b"secret")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"locked\.pt: is locked with a password"):
        load_checkpoint(nn.Linear(1, 1), path)


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.pt", b"\x80\x02" + bytes(100))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 3] = 9  # no longer the beginning of a member
    content[:4] = b"PK\x03\x04"
    content[content.index(b"PK\x01\x02") + 10] = 99  # packed in an unknown way
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.zip"):
        load_checkpoint(nn.Linear(1, 1), path)


@pytest.mark.parametrize("place", ["pipe", "device", "device in a folder"])
def test_pipes_and_devices_are_not_read(tmp_path: Path, place: str) -> None:
    path = tmp_path / "weights.pt"
    if place == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(WeightsError, match=r"device or a pipe|holds no checkpoint"):
        load_checkpoint(nn.Linear(1, 1), tmp_path if place == "device in a folder" else path)


def test_a_path_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("a\0b.pt", "x" * 5000):
        with pytest.raises(WeightsError, match="no such file"):
            load_checkpoint(nn.Linear(1, 1), tmp_path / name)


def test_missing_files_and_empty_folders_are_explained(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        load_checkpoint(nn.Linear(1, 1), tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        load_checkpoint(nn.Linear(1, 1), tmp_path)
