"""Servers of streams, with the faults that real ones have."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import cv2
import numpy as np


def picture(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """RGB with a moving bar; its column tells the number."""
    image = np.full((height, width, 3), 40, np.uint8)
    x = 4 * number % (width - 16)
    image[:, x : x + 16] = (220, 180, 60)
    return image


class MjpegServer:
    """HTTP MJPEG on a local port, as network cameras offer it.

    ``behaviour(number)``: of each picture, "send", "hang" (until told otherwise), "close" (the connection), "garbage",
    "same" (the picture before again), or (width, height).
    """

    def __init__(self, behaviour=lambda number: "send", rate: float = 25.0, port: int = 0) -> None:
        self.behaviour = behaviour
        self.rate = rate
        self.connections = 0
        self.number = 0
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.2)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/live.mjpg"

    def close(self) -> None:
        self._stop.set()
        self._listener.close()
        self._thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except (TimeoutError, OSError):
                continue
            with connection, suppress(OSError):
                connection.settimeout(5)
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        if not connection.recv(4096):
            return  # somebody who only looked whether we are here
        self.connections += 1
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n"
            b"Connection: close\r\n\r\n"
        )
        shown = picture(0)
        while not self._stop.is_set():
            does = self.behaviour(self.number)
            self.number += 1
            if does == "close":
                return
            if does == "hang":
                while self.behaviour(self.number) == "hang" and not self._stop.is_set():
                    time.sleep(0.02)
                continue
            if does != "same":
                shown = picture(self.number, *(does if isinstance(does, tuple) else ()))
            data = cv2.imencode(".jpg", shown[:, :, ::-1])[1].tobytes()
            if does == "garbage":
                data = bytes(np.random.default_rng(self.number).integers(0, 256, 2000, np.uint8))
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.sendall(head.encode() + data + b"\r\n")
            time.sleep(1 / self.rate)
