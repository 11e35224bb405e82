"""The report of a run: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gasp.results.summary import Summary


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A key frame: ``frame`` from 0, ``time`` in seconds, ``jpeg`` the picture's file."""

    frame: int
    time: float
    jpeg: bytes


def render_report(manifest: Mapping[str, Any], summary: Summary, thumbnails: Sequence[Thumbnail]) -> str:
    """The page as text."""
    return f"<!doctype html><title>{len(thumbnails)} {summary.frames} {len(manifest)}</title>\n"
