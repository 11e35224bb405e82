"""Telling from the names and shapes of a checkpoint's tensors which network it belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from gasp.networks import create_model, list_models
from gasp.networks.table import find_row


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of the patterns (``*`` stands for anything)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """A call that makes the fitting network, such as ``create_model('...', modalities=4)``; None if unknown.

    ``tensors`` carry the network's own names (no ``module.`` or the like). Meant for messages: each guess is
    checked against the names and shapes of a network made without memory.
    """
    for name in list_models():
        options = fitting_options(name, tensors)
        if options is not None:
            text = "".join(f", {key}={value!r}" for key, value in options.items())
            return f"create_model({name!r}{text})"
    return None


def fitting_options(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Options with which the network called ``name`` has exactly these tensors; None when there are none."""
    # A guess must never hide the failure that it is to explain with one of its own (a package that cannot be
    # imported, a shape that no network has).
    with contextlib.suppress(Exception):
        row = find_row(name)
        if row.landmark in tensors:
            shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
            for options in row.guesses(shapes):
                if _fits(name, options, tensors):
                    return options
    return None


def _fits(name: str, options: dict[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    with contextlib.suppress(Exception):
        with torch.device("meta"):
            model: nn.Module = create_model(name, **options)
        wanted = model.state_dict()
        unused = getattr(model, "unused_entries", ())
        extra = {key for key in tensors if key not in wanted and not matches(key, unused)}
        return not extra and all(
            key in tensors and tensors[key].shape == value.shape
            for key, value in wanted.items()
            if not key.endswith("num_batches_tracked")
        )
    return False
