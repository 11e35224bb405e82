"""Weights that ship with the package: files in the folder ``packaged`` beside this module."""

from __future__ import annotations

from pathlib import Path

import safetensors

from gasp.errors import WeightsError
from gasp.work.files import require_regular

FOLDER = Path(__file__).with_name("packaged")


def packaged_names() -> list[str]:
    """Names of the weights that ship with the package, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.safetensors"))


def packaged(name: str) -> Path:
    """The file of weights that ship with the package; :class:`WeightsError` lists the names there are."""
    if name not in packaged_names():
        there = ", ".join(packaged_names()) or "none"
        raise WeightsError(f"No weights called {name!r} ship with this package; there are: {there}.")
    return FOLDER / f"{name}.safetensors"


def read_metadata(path: str | Path) -> dict[str, str]:
    """Text pairs of a safetensors file's header; :class:`WeightsError` when it is damaged."""
    require_regular(Path(path), WeightsError)
    try:
        with safetensors.safe_open(str(path), framework="np") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: is a damaged or truncated safetensors file ({error}).") from None
