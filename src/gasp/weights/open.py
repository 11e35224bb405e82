"""The one place that turns a name or a path into what is needed to make a network and fill it.

A name is that of a published checkpoint (``gasp models``) or of weights that ship with the package; a path leads to a
file of our own form, whose header tells its network, or to any other file or folder, whose network the caller tells.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gasp.errors import UsageError, WeightsError
from gasp.networks.row import NO_OPTIONS, Options
from gasp.weights.catalogue import Entry, find_entry
from gasp.weights.preprocessing import Preprocessing
from gasp.weights.shipped import packaged, packaged_names, read_metadata
from gasp.work.files import expand_user, require_regular

if TYPE_CHECKING:
    from torch import nn

    from gasp.weights.download import Store

    Network = TypeVar("Network", bound=nn.Module)

OTHER_PROGRAMS = (".onnx",)
"""Endings of files that other programs run."""

MOST_INPUTS = 256


@dataclass(frozen=True)
class Weights:
    """Weights on this computer, and what is known of their network.

    Attributes:
        name: As it was asked for.
        path: The file or folder; None when it is not here (only where the caller allows that).
        network: A name of :func:`gasp.list_models`, or None for files that other programs run.
        options: Those of the network; None when they have to be read from the tensors.
        inputs: Names of the modalities in order, of a GASP network; empty when unknown.
        preprocessing: How the input is prepared; None when unknown.
        distribution: The logits were trained as a distribution over the image (softmax), not per pixel (sigmoid).
        corrects: The modality whose map the network corrects, see :mod:`gasp.fusion.correction`.
        entry: The entry of the catalogue, if it is a published checkpoint.
        by_header: Network and options come from the header of the file, which anybody may have written.
    """

    name: str
    path: Path | None
    network: str | None = None
    options: Options | None = field(default_factory=lambda: NO_OPTIONS)
    inputs: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    distribution: bool = False
    corrects: str | None = None
    entry: Entry | None = None
    by_header: bool = False

    @property
    def file(self) -> Path:
        """The file or folder. Raises :class:`gasp.errors.WeightsError` when it is not here."""
        if self.path is None:
            raise WeightsError(f"The weights {self.name} are not here.")
        return self.path

    def load(self) -> nn.Module:
        """The network, filled, in evaluation mode, on the CPU.

        Raises:
            UsageError: The file is one that another program runs.
            WeightsError: The file is damaged, or does not fit the network.
        """
        return self.fill(self.make())

    def make(self) -> nn.Module:
        """The network with random weights, in evaluation mode."""
        from gasp.networks import create_model

        if self.network is None:
            raise UsageError(f"{self.name}: is a file that another program runs, not a checkpoint.")
        options = self.read_options()
        if not self.by_header:
            return create_model(self.network, **options)
        try:
            _check_size(self.network, options, self.file)
            return create_model(self.network, **options)
        except UsageError as error:
            raise WeightsError(f"{self.path}: its header does not describe a network: {error}") from error

    def fill(self, model: Network) -> Network:
        """``model``, filled with these weights; strict, see :func:`gasp.load_checkpoint`."""
        from gasp.weights.loading import load_checkpoint  # here, because it imports torch

        return load_checkpoint(model, self.file)

    def read_options(self) -> Options:
        """The network's options, read from the tensors where nothing else tells them."""
        if self.options is not None or self.network is None:
            return self.options or NO_OPTIONS
        from gasp.weights.loading import read_options  # here, because it imports torch

        return read_options(self.network, self.file)


def open_weights(
    name_or_path: str | Path,
    *,
    network: str | None = None,
    options: Mapping[str, Any] | None = None,
    inputs: tuple[str, ...] | None = None,
    preprocessing: Preprocessing | None = None,
    store: Store | None = None,
    command: Callable[[Entry], str] | None = None,
    must_be_here: bool = True,
) -> Weights:
    """What is needed to make and fill the network of ``name_or_path``; nothing of it is read yet but a header.

    Args:
        name_or_path: A name of ``gasp models``, of weights that ship with the package, or the path of a file or folder.
        network: The network that the caller takes them for. Needed for files that do not tell it.
        options: Those of the network; where they are given, what catalogue or header say of it does not count.
        inputs: Names of the modalities, likewise.
        preprocessing: How the input is prepared, likewise.
        store: Where published files lie; that of the environment if None.
        command: The command that fetches a published checkpoint, for the message that it is not here.
        must_be_here: Whether weights that are not here are an error; otherwise their ``path`` is None.

    Raises:
        UsageError: An unknown name, or nothing tells which network the weights are for.
        WeightsError: The weights are not here (the message names the command that fetches them), or their header is
            damaged.
    """
    found = _find(name_or_path, store, command, must_be_here)
    if options is not None or (network is not None and network != found.network):
        found = Weights(found.name, found.path, network, options or NO_OPTIONS, entry=found.entry)
    if found.network is None and not _of_other_programs(found):
        raise UsageError(
            f"{found.path}: nothing tells which network these weights are for; give its name (network) and options, "
            "and for a fusion its modalities."
        )
    changes: dict[str, Any] = {"inputs": inputs, "preprocessing": preprocessing}
    return replace(found, **{key: value for key, value in changes.items() if value is not None})


def check_loading(names: Iterable[str], store: Store | None = None) -> None:
    """Loads each of these weights into its network; files for other programs are left alone.

    Raises:
        WeightsError: weights are damaged, or do not fit.
    """
    for name in names:
        weights = open_weights(name, store=store)
        if weights.network is not None:  # of other programs' files the checksum is known
            weights.load()


def find_named(weights: str | Path) -> Entry | None:
    """The entry of the catalogue that a text names, or None for shipped weights and the path of a file or folder.

    Raises :class:`gasp.errors.UsageError` for a text that is none of these.
    """
    text = str(weights)
    if isinstance(weights, Path) or Path(text).suffix or text in packaged_names():
        return None
    try:
        return find_entry(text)
    except UsageError:
        if "/" in text or "\\" in text or os.path.exists(text):
            return None
        raise


def _find(
    name_or_path: str | Path, store: Store | None, command: Callable[[Entry], str] | None, must_be_here: bool
) -> Weights:
    name = str(name_or_path)
    entry = find_named(name_or_path)
    if entry is not None:
        path = _published(entry, store, command, must_be_here)
        options = None if entry.options_from_file else entry.options
        return Weights(
            name, path, entry.network, options, entry.inputs, entry.preprocessing, entry=entry
        )  # fmt: skip
    shipped = not isinstance(name_or_path, Path) and name in packaged_names()
    path = packaged(name) if shipped else expand_user(name_or_path, WeightsError)
    require_regular(path, WeightsError)
    return _described(name, path)


def _published(
    entry: Entry, store: Store | None, command: Callable[[Entry], str] | None, must_be_here: bool
) -> Path | None:
    from gasp.weights.download import find_downloaded, require  # here, because it takes a while

    if not must_be_here and find_downloaded(entry, store) is None:
        return None
    return require(entry.name, store, command=command)


def _of_other_programs(weights: Weights) -> bool:
    if weights.entry is not None:
        return weights.entry.network is None
    return weights.path is not None and weights.path.suffix.lower() in OTHER_PROGRAMS


# --- our own form ----------------------------------------------------------------------------------------


def _described(name: str, path: Path) -> Weights:
    """What a file's header says of it; only files of our own form have one that does."""
    header = read_metadata(path) if path.suffix == ".safetensors" and path.is_file() else {}
    if "network" not in header:
        return Weights(name, path)
    options = _from_json(header, "options", path) or {}
    if not isinstance(options, dict):
        raise WeightsError(f"{path}: the options in its header are not a JSON object.")
    return Weights(
        name,
        path,
        header["network"],
        options,
        _inputs(header, path),
        _preprocessing(header, path),
        distribution=header.get("output") == "distribution",
        corrects=header.get("corrects"),
        by_header=True,
    )


def _inputs(header: Mapping[str, str], path: Path) -> tuple[str, ...]:
    names = _from_json(header, "modalities", path) if "modalities" in header else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WeightsError(f"{path}: the modalities in its header are not a list of names.")
    if len(names) > MOST_INPUTS:
        raise WeightsError(
            f"{path}: its header names {len(names)} modalities; at most {MOST_INPUTS} are possible."
        )
    return tuple(names)


def _preprocessing(header: Mapping[str, str], path: Path) -> Preprocessing | None:
    if "preprocessing" not in header:
        return None
    values = _from_json(header, "preprocessing", path)
    try:
        return Preprocessing.from_plain(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path}: its header does not describe the input of a network ({error})."
        ) from error


def _from_json(header: Mapping[str, str], key: str, path: Path) -> Any:
    try:
        return json.loads(header.get(key, "null"))
    except (ValueError, RecursionError):
        what = "a list of names" if key == "modalities" else "a JSON object"
        raise WeightsError(f"{path}: the {key} in its header are not {what}.") from None


def _check_size(network: str, options: Options, path: Path) -> None:
    """Refuse a header that asks for a larger network than the file can hold, before its memory is taken."""
    import torch

    from gasp.networks import create_model

    with torch.device("meta"):
        numbers = sum(tensor.numel() for tensor in create_model(network, **options).state_dict().values())
    # A number takes at least a byte. The rest is for counters, which files may lack.
    if numbers > path.stat().st_size + 100_000:
        raise WeightsError(
            f"{path}: its header describes a network of {numbers} numbers, more than the file can hold."
        )
