"""Weights: what is published where, downloading and checking it, and loading it into networks."""

from __future__ import annotations

from gasp.weights.loading import load_checkpoint
from gasp.weights.own import describe, load_packaged, load_weights, packaged, packaged_names, save_weights

__all__ = [
    "describe",
    "load_checkpoint",
    "load_packaged",
    "load_weights",
    "packaged",
    "packaged_names",
    "save_weights",
]
