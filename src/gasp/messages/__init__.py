"""Messages between processes and machines: a small header and raw buffers, over sockets or pipes."""

from gasp.messages.link import Link, ProgramError
from gasp.messages.message import VERSION, Encoded, Limits, Message, ProtocolError, pack, unpack
from gasp.messages.pipes import read_message, write_message
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
