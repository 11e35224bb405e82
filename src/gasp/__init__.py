"""gasp predicts where people look in video with people in it, and says why.

The names offered here are imported on first use, so that ``import gasp`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gasp import _renamed
from gasp._version import __version__

if TYPE_CHECKING:
    from gasp import metrics as metrics
    from gasp.networks import create_model as create_model
    from gasp.networks import list_models as list_models
    from gasp.node.client import NodeClient as NodeClient
    from gasp.pipeline.live import stream as stream
    from gasp.pipeline.predict import predict as predict
    from gasp.weights import load_checkpoint as load_checkpoint

_HOMES = {
    "NodeClient": "gasp.node.client",
    "create_model": "gasp.networks",
    "list_models": "gasp.networks",
    "load_checkpoint": "gasp.weights",
    "predict": "gasp.pipeline.predict",
    "stream": "gasp.pipeline.live",
}

__all__ = [
    "NodeClient",
    "__version__",
    "create_model",
    "list_models",
    "load_checkpoint",
    "metrics",
    "predict",
    "stream",
]


_renamed.install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "metrics":
        return import_module("gasp.metrics")
    raise AttributeError(f"module 'gasp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
