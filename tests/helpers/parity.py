"""Published expected values: cases under tests/data/parity/<family>/<case>.{json,npz}.

Weights and inputs follow from names, shapes and seeds (:mod:`helpers.synthetic`); only outputs are stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers import synthetic

FOLDER = Path(__file__).parent.parent / "data" / "parity"


def case_names(family: str, pattern: str = "*") -> list[Any]:
    """Cases of a family as pytest parameters; those of full published size are marked slow."""
    names = sorted(path.stem for path in (FOLDER / family).glob(f"{pattern}.json"))
    assert names, f"no parity case {family}/{pattern}"
    return [pytest.param(n, marks=pytest.mark.slow) if "full" in n.split("_") else n for n in names]


class Case:
    """One parity case: what to build, what to feed it, what must come out."""

    def __init__(self, family: str, name: str) -> None:
        self.about: dict[str, Any] = json.loads((FOLDER / family / f"{name}.json").read_text())
        self.network: str = self.about["network"]
        self.options: dict[str, Any] = self.about.get("options", {})
        with np.load(FOLDER / family / f"{name}.npz") as arrays:
            self.expected = {key: arrays[key] for key in arrays.files}

    def state_dict(self) -> dict[str, Tensor]:
        """The checkpoint of the case, in published order."""
        weights = self.about["weights"]
        state = fill(self.about["checkpoint"], weights.get("seed", 0), weights.get("gain", 1))
        for entry, index, value in weights.get("set", []):
            state[entry].view(-1)[index] = value
        return state

    def load_into(self, model: nn.Module) -> nn.Module:
        """Load the checkpoint, strictly and in the published order; old files lack batch counters."""
        prefix = self.about.get("layout", {}).get("prefix", "")
        unused = getattr(model, "unused_entries", ())
        state = {
            name.removeprefix(prefix): value
            for name, value in self.state_dict().items()
            if not any(fnmatchcase(name.removeprefix(prefix), pattern) for pattern in unused)
        }
        own = [
            name for name in model.state_dict() if name in state or not name.endswith("num_batches_tracked")
        ]
        assert own == list(state)
        model.load_state_dict(state)
        return model

    def inputs(self) -> list[Tensor]:
        """The input arrays as tensors, in the order of the case."""
        arrays = (
            synthetic.array(i["name"], tuple(i["shape"]), i["kind"], i["seed"]) for i in self.about["inputs"]
        )
        return [torch.from_numpy(array) for array in arrays]

    def check(self, **outputs: Tensor) -> None:
        """Compare the named outputs with the expected ones, within the case's tolerance."""
        descriptions = {output["name"]: output for output in self.about["outputs"]}
        for name, actual in outputs.items():
            tolerance = descriptions[name].get("tolerance", self.about["tolerance"])
            expected = self.expected[name].astype(np.float32)
            np.testing.assert_allclose(
                actual.detach().float().numpy(), expected, **tolerance, err_msg=f"output {name}"
            )


def fill(entries: Iterable[tuple[str, list[int]]], seed: int = 0, gain: float = 1) -> dict[str, Tensor]:
    """Tensors for the ``(name, shape)`` entries of a checkpoint; ``gain`` scales all but vectors."""
    state = {}
    for name, shape in entries:
        value = synthetic.tensor(name, tuple(shape), seed)
        state[name] = torch.from_numpy(value * np.float32(gain) if value.ndim > 1 else value)
    return state
