"""Weights: what is published where, downloading and checking it, and loading it into networks.

The names offered here are imported on first use, so that looking into the catalogue does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gasp.weights.catalogue import Entry as Entry
    from gasp.weights.catalogue import find_entries as find_entries
    from gasp.weights.catalogue import find_entry as find_entry
    from gasp.weights.catalogue import list_entries as list_entries
    from gasp.weights.download import Store as Store
    from gasp.weights.download import ensure as ensure
    from gasp.weights.download import ensure_all as ensure_all
    from gasp.weights.download import find_downloaded as find_downloaded
    from gasp.weights.download import require as require
    from gasp.weights.loading import load_checkpoint as load_checkpoint
    from gasp.weights.open import Weights as Weights
    from gasp.weights.open import open_weights as open_weights
    from gasp.weights.own import describe as describe
    from gasp.weights.own import load_packaged as load_packaged
    from gasp.weights.own import load_weights as load_weights
    from gasp.weights.own import save_weights as save_weights
    from gasp.weights.shipped import packaged as packaged
    from gasp.weights.shipped import packaged_names as packaged_names

_HOMES = {
    "catalogue": ("Entry", "find_entries", "find_entry", "list_entries"),
    "download": ("Store", "ensure", "ensure_all", "find_downloaded", "require"),
    "loading": ("load_checkpoint",),
    "open": ("Weights", "open_weights"),
    "own": ("describe", "load_packaged", "load_weights", "save_weights"),
    "shipped": ("packaged", "packaged_names"),
}

__all__ = [*sorted(name for names in _HOMES.values() for name in names)]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"gasp.weights.{home}"), name)
    raise AttributeError(f"module 'gasp.weights' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
