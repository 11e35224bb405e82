"""Weights in the project's own form: safetensors whose header names the network and its options.

Keys of the header (all values are text): ``format`` ("gasp-1"), ``network`` (a name of
:func:`gasp.list_models`), ``options`` (JSON object), and whatever the writer adds: ``licence`` at least, for
files that are passed on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import nn

from gasp.errors import UsageError, WeightsError
from gasp.fetching.records import licence_of
from gasp.networks import create_model
from gasp.weights.checkpoints import CHECKPOINT_SUFFIXES
from gasp.weights.open import open_weights
from gasp.weights.shipped import packaged, read_metadata
from gasp.work.files import replacing, require_regular, sha256

FORMAT = "gasp-1"


def load_packaged(name: str) -> nn.Module:
    """The network of weights that ship with the package, filled, in evaluation mode, on the CPU."""
    return open_weights(packaged(name)).load()


def load_weights(path: str | Path) -> nn.Module:
    """The network that a file of :func:`save_weights` names in its header, filled, in evaluation mode."""
    if "network" not in read_metadata(path):
        raise WeightsError(
            f"{path}: its header does not name a network. Make the network with gasp.create_model and use "
            "gasp.load_checkpoint."
        )
    return open_weights(Path(path)).load()


def save_weights(
    model: nn.Module,
    path: str | Path,
    *,
    network: str,
    options: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write ``model``'s weights with what is needed to make the network again; atomic.

    ``network`` and ``options`` are the arguments of :func:`gasp.create_model`; options must be expressible
    in JSON. ``metadata`` are further text pairs, such as ``licence``, ``training_data``, ``scores``. The
    weights keep their number type. Raises :class:`~gasp.errors.UsageError` when ``network`` and ``options``
    do not make a network with the model's tensors, :class:`~gasp.errors.OutputError` when the file cannot
    be written.
    """
    path, options = Path(path), dict(options or {})
    _check_description(model, network, options)
    header = {**(metadata or {}), "format": FORMAT, "network": network, "options": json.dumps(options)}
    if wrong := [key for key, value in header.items() if not isinstance(value, str)]:
        raise UsageError(f"Metadata of weights must be text; not so: {', '.join(wrong)}.")
    # Clones, because safetensors refuses tensors that share memory.
    tensors = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()
    }
    with replacing(path) as temporary:
        temporary.write_bytes(to_bytes(tensors, metadata=header))
    return path


def describe(path: str | Path) -> dict[str, str]:
    """What a run manifest records of a weights file: ``file`` (its name), ``sha256`` and ``licence``.

    The licence comes from the file's header or, for downloaded files, from the record beside it; "unknown"
    otherwise. Of a folder, the checksum is that of the sorted list of its files' checksums and names.
    """
    path = require_regular(Path(path), WeightsError)
    return {"file": path.name, "sha256": _checksum(path), "licence": _licence(path)}


def _checksum(path: Path) -> str:
    if path.is_file():
        return sha256(path)
    files = sorted(f for f in path.rglob("*") if f.is_file() and f.suffix in CHECKPOINT_SUFFIXES)
    lines = [f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _licence(path: Path) -> str:
    if path.suffix == ".safetensors" and (licence := read_metadata(path).get("licence")):
        return licence
    return licence_of(path)


def _check_description(model: nn.Module, network: str, options: dict[str, Any]) -> None:
    try:
        plain = json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        raise UsageError(f"Options of weights must be expressible in JSON: {error}.") from None
    with torch.device("meta"):
        described = create_model(network, **plain).state_dict()
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in described.items()}:
        raise UsageError(f"The model is not what create_model({network!r}, **{options!r}) makes.")
