"""Messages between processes and machines: a small header and raw buffers, over sockets or pipes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gasp.messages.link import Link, ProgramError
from gasp.messages.message import VERSION, Encoded, Limits, Message, ProtocolError, pack, unpack
from gasp.messages.pipes import read_message, write_message

if TYPE_CHECKING:
    from gasp.messages.serving import SeenFace, SeenFrame, serve_cue, serve_detector

__all__ = [
    "VERSION",
    "Encoded",
    "Limits",
    "Link",
    "Message",
    "ProgramError",
    "ProtocolError",
    "SeenFace",
    "SeenFrame",
    "pack",
    "read_message",
    "serve_cue",
    "serve_detector",
    "unpack",
    "write_message",
]


def __getattr__(name: str) -> Any:
    # Imported only where it is asked for: a program's standard output is taken then.
    if name in ("SeenFace", "SeenFrame", "serve_cue", "serve_detector"):
        return getattr(import_module("gasp.messages.serving"), name)
    raise AttributeError(f"module 'gasp.messages' has no attribute {name!r}")
