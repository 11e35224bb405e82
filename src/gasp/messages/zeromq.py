"""ZeroMQ, which is installed only where messages go over sockets."""

from __future__ import annotations

import os
import socket as sockets
import stat
from types import ModuleType
from typing import Any

from gasp.errors import GaspError, UsageError


def load_zmq() -> ModuleType:
    """The module ``zmq``. Raises :class:`UsageError` where it is not installed."""
    try:
        import zmq
        import zmq.auth
    except ImportError as error:
        raise UsageError("ZeroMQ is not installed: pip install 'gasp-saliency[node]'") from error
    return zmq


def set_options(socket: Any, **options: Any) -> None:
    """Set options of a socket by their names in ZeroMQ, in small letters."""
    for name, value in options.items():
        setattr(socket, name, value)


def is_local(address: str) -> bool:
    """Whether only programs on this machine reach a socket that is bound to this address."""
    if address.startswith(("ipc://", "inproc://")):
        return True
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)


def check_address(address: str) -> str:
    """The address, if it is of a kind that is served. Raises :class:`UsageError`."""
    kind, found, rest = address.partition("://")
    port = rest.rpartition(":")[2]
    if found and kind == "ipc" and rest:
        return address
    if found and kind == "tcp" and ":" in rest and ((port.isdigit() and int(port) < 65536) or port == "*"):
        return address
    raise UsageError(f"{address!r} is no address; use tcp://127.0.0.1:5577 or ipc:///path/of/a/socket")


def check_free(address: str) -> None:
    """ZeroMQ takes the place of whatever file lies where it makes a socket. Raises :class:`GaspError`."""
    if not address.startswith("ipc:///"):
        return
    path = address.removeprefix("ipc://")
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise GaspError(f"{path} is there already and is no socket.")
    with sockets.socket(sockets.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise GaspError(f"{address} is in use: end the other program, or choose another address.")


def check_reachable(address: str) -> str:
    """The address, if something can be connected to it. Raises :class:`UsageError`."""
    host, _, port = check_address(address).removeprefix("tcp://").rpartition(":")
    if address.startswith("tcp://") and (host in ("", "*", "0.0.0.0", "[::]") or port in ("*", "0")):
        raise UsageError(f"{address!r} names no machine and port; use such as tcp://127.0.0.1:5580")
    return address
