from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gasp import create_model
from gasp.cli.main import main
from gasp.errors import GaspError, UsageError
from gasp.weights import export as exporting
from gasp.weights import find_entry
from gasp.weights.catalogue import ENTRIES, MODELS_FOLDER


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(entry.name in out for entry in ENTRIES)


def test_models_are_listed_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    entry = find_entry("unisal")
    file = tmp_path / "home" / MODELS_FOLDER / entry.folder / entry.checkpoint
    file.parent.mkdir(parents=True)
    file.touch()
    assert main(["models", "--json"]) == 0
    published = {about["name"]: about for about in json.loads(capsys.readouterr().out)["published"]}
    assert published["unisal"]["downloaded"] == str(file)
    assert published["dave"]["downloaded"] is None
    assert published["gaze360"]["licence"]["commercial"] is False


def test_listing_does_not_import_torch() -> None:
    program = "import sys; from gasp.cli.main import main; main(['models']); sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode
        == 0
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["download"], 2, "Name at least one"),
        (["download", "unisall"], 2, "Did you mean: unisal"),
        (["download", "gaze360"], 2, "--accept-license"),
        (["download", "unisal"], 1, "GASP_OFFLINE"),
        (["download", "unisal", "--jobs", "0"], 2, "--jobs"),
        (["models", "export", "unisal", "-o", "x"], 1, "gasp download unisal"),
        (["models", "export", "stavis", "-o", "x", "--random"], 2, "choose one"),
    ],
)
def test_mistakes_are_explained(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.setenv("GASP_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert not (tmp_path / "x").exists()


def test_download_prints_where_the_files_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    entry = find_entry("gasp-damgmu")
    file = tmp_path / "work" / MODELS_FOLDER / entry.folder / entry.checkpoint
    file.parent.mkdir(parents=True)
    torch.save(create_model(entry.network, **entry.options).state_dict(), file)
    command = ["download", "gasp-damgmu", "--into", str(tmp_path / "work"), "--check", "--quiet"]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"gasp-damgmu": str(file)}
    assert main(command) == 0
    assert capsys.readouterr().out == f"gasp-damgmu\t{file}\n"


@pytest.mark.slow
@pytest.mark.parametrize("form", exporting.FORMATS)
def test_a_network_is_exported_and_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
) -> None:
    pytest.importorskip("onnxruntime")
    torch.save(create_model("GASPDAMEncGMUConv", modalities=5).state_dict(), tmp_path / "weights.pt")
    out = tmp_path / "out" / "network"
    command = ["models", "export", "gasp-damgmu", "--format", form, "-o", str(out)]
    assert main([*command, "--checkpoint", str(tmp_path / "weights.pt")]) == 0
    assert str(out) in capsys.readouterr().out
    assert [file.name for file in out.parent.iterdir()] == ["network"]


def test_an_export_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(named: torch.nn.Module, inputs: object, path: Path, outputs: list[str]) -> exporting.Run:
        path.write_bytes(b"program")
        return lambda arrays: {k: v.numpy() + 0.01 for k, v in named(*arrays).items()}

    monkeypatch.setitem(exporting._WRITERS, "onnx", wrong)
    model, out = create_model("GASPEncAddConv", modalities=2), tmp_path / "network.onnx"
    with pytest.raises(GaspError, match="differs from the network in logits"), torch.no_grad():
        exporting.export(model, out, network="GASPEncAddConv", options={"modalities": 2})
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_for_export_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = create_model("GASPEncAddConv", modalities=2)
    with pytest.raises(UsageError, match=r"gasp-saliency\[export\]"):
        exporting.export(model, tmp_path / "x.onnx", network="GASPEncAddConv", options={"modalities": 2})
    with pytest.raises(UsageError, match="torch-export"):
        exporting.export(model, tmp_path / "x", network="GASPEncAddConv", form="tflite")


def test_example_inputs_fit_the_networks() -> None:
    """The light networks are run; the others share the shapes of their parity cases."""
    for name in ("gasp-seqdamgmualstm", "gasp-damgmu", "esr9"):
        entry = find_entry(name)
        with torch.device("meta"):
            model = create_model(entry.network, **entry.options)
            inputs = [torch.empty(i.shape) for i in exporting.example_inputs(entry.network, entry.options)]
            model(*inputs)
    for entry in ENTRIES:
        assert entry.network is None or exporting.example_inputs(entry.network, entry.options)
