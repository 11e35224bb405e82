"""Nodes in processes of their own, and raw sockets to talk to them."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from gasp.messages import Message, pack, unpack
from helpers.command import start_gasp
from helpers.observations import texture


class RunningNode:
    """A node that is ready: its ``address``, its process, and the lines that it prints."""

    def __init__(self, *words: object) -> None:
        self.process = start_gasp("node", "--json", "--threads", 1, *words)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.communicate()[1])
        self.ready: dict[str, Any] = json.loads(line)
        self.address: str = self.ready["address"]

    def stop(self, how: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit status, and what else was printed on standard output and error."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            out, err = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, out, err


@contextmanager
def running_node(*words: object) -> Iterator[RunningNode]:
    """A node on a free port of this machine unless the words say otherwise."""
    where = () if "--address" in words else ("--address", "tcp://127.0.0.1:*")
    node = RunningNode(*where, *words)
    try:
        yield node
    finally:
        node.stop()


@contextmanager
def raw_socket(address: str, kind: int = zmq.DEALER) -> Iterator[zmq.Socket[bytes]]:
    """A socket of a client that knows nothing but the protocol."""
    context = zmq.Context()
    socket = context.socket(kind)
    socket.linger = 0
    socket.connect(address)
    try:
        yield socket
    finally:
        context.destroy(linger=0)


def send(socket: zmq.Socket[bytes], kind: str, body: dict[str, Any] | None = None, **arrays: Any) -> None:
    """Send a message."""
    socket.send_multipart(pack(Message(kind, body or {}, arrays)))


def receive(socket: zmq.Socket[bytes], seconds: float = 20) -> Message:
    """The next message; fails where none comes."""
    assert socket.poll(1000 * seconds), "no reply"
    return unpack(socket.recv_multipart())


def ask(socket: zmq.Socket[bytes], kind: str, body: dict[str, Any] | None = None, **arrays: Any) -> Message:
    """Send a message and wait for the reply."""
    send(socket, kind, body, **arrays)
    return receive(socket)


def pictures(count: int, height: int = 90, width: int = 160) -> list[np.ndarray]:
    """A camera that moves over a landscape of noise."""
    wide = texture(height, width + 4 * count, smooth=3)
    return [np.ascontiguousarray(wide[:, 4 * index : 4 * index + width]) for index in range(count)]


def key_folder_of(folder: Path, other: Path) -> Path:
    """A folder with the server's public key of one folder and a client's secret key of another."""
    mixed = folder.parent / "mixed"
    mixed.mkdir()
    (mixed / "server.key").write_bytes((folder / "server.key").read_bytes())
    (mixed / "client.key_secret").write_bytes((other / "client.key_secret").read_bytes())
    return mixed
