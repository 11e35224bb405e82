"""CURVE keys: who may reach a node from another machine, and how a client knows that it is this node.

A folder of keys:

    server.key_secret   stays with the node
    server.key          for clients: how they know the node
    clients/NAME.key    of every client that is let in
    client.key_secret   of the first client, to be moved to its machine

The files are those of ZeroMQ's own tools (zmq.auth), so that keys made elsewhere fit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gasp.errors import InputError, OutputError, UsageError
from gasp.messages.zeromq import load_zmq

SERVER, CLIENT = "server", "client"
CLIENTS = "clients"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """In ZeroMQ's text form. ``secret`` is empty where only the public half is known."""

    public: bytes
    secret: bytes = b""

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"


def make_keys(folder: Path) -> list[Path]:
    """Write the keys of a node and of one client; the files, which only their owner may read.

    Raises:
        OutputError: One of the files is there already; then none is written.
    """
    zmq = load_zmq()
    if not zmq.has("curve"):
        raise UsageError(
            "this ZeroMQ was built without CURVE (libsodium): pip install --force-reinstall pyzmq"
        )
    files: dict[Path, str] = {}
    for name, public_folder in ((SERVER, folder), (CLIENT, folder / CLIENTS)):
        public, secret = (key.decode() for key in zmq.curve_keypair())
        files[public_folder / f"{name}.key"] = _key_file(public)
        files[folder / f"{name}.key_secret"] = _key_file(public, secret)
    for path in files:
        if path.exists() or path.is_symlink():
            raise OutputError(f"{path} is there already and is not overwritten: name another folder.")
    try:
        (folder / CLIENTS).mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in files.items():
            _write_new(path, text)
    except OSError as error:
        raise OutputError(f"Keys cannot be written to {folder}: {error.strerror or error}.") from error
    return list(files)


def read_key(path: Path, *, secret: bool) -> KeyPair:
    """The keys in a file. Raises :class:`InputError`."""
    zmq = load_zmq()
    try:
        public, hidden = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no file of a CURVE key: gasp node --make-keys FOLDER makes them."
        ) from error
    if secret and not hidden:
        raise InputError(f"{path} holds no secret key; name the file that ends in .key_secret.")
    if any(len(key) != 40 for key in (public, hidden) if key):
        raise InputError(f"{path}: a CURVE key has 40 characters.")
    return KeyPair(public, hidden or b"")


def allowed_clients(folder: Path) -> Path:
    """The folder of the keys of clients that are let in. Raises :class:`InputError` where there is none."""
    clients = folder / CLIENTS
    if not any(clients.glob("*.key")):
        raise InputError(f"There is no key of a client in {clients}: nobody could reach the node.")
    for path in clients.glob("*.key"):
        read_key(path, secret=False)
    return clients


def _key_file(public: str, secret: str = "") -> str:
    lines = [
        "# A CURVE key of ZeroMQ" + (": keep it secret." if secret else ", the public half."),
        "metadata",
        "curve",
        f'    public-key = "{public}"',
    ]
    if secret:
        lines.append(f'    secret-key = "{secret}"')
    return "\n".join(lines) + "\n"


def _write_new(path: Path, text: str) -> None:
    """Never over another file, whoever else writes just now, and never readable by others."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
