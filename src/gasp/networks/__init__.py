"""The networks, one file each, made by name: ``create_model("unisal")``."""

from __future__ import annotations

from gasp.networks.table import create_model as create_model
from gasp.networks.table import list_models as list_models

__all__ = ["create_model", "list_models"]
