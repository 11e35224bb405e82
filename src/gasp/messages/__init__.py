"""Messages between processes and machines: a small header and raw buffers, over sockets or pipes."""

from gasp.messages.message import VERSION, Encoded, Limits, Message, ProtocolError, pack, unpack
from gasp.messages.pipes import read_message, write_message

__all__ = [
    "VERSION",
    "Encoded",
    "Limits",
    "Message",
    "ProtocolError",
    "pack",
    "read_message",
    "unpack",
    "write_message",
]
