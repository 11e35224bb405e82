"""A web server on this computer that misbehaves on request, for tests of downloads.

The first part of a path says how: ``/truncated/file.pt`` is cut short, ``/plain/file.pt`` is served properly.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """``files``: content by name; ``requests``: how often a path was asked for; ``ranges``: as asked."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.stop = threading.Event()
        self.address = ""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    server = Server(files)

    class Handler(_Handler):
        state = server

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign] # clients hang up on purpose
    server.address = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        self.state.requests[self.path] += 1
        asked = self.headers.get("Range", "")
        self.state.ranges.append(asked)
        _, how, name = self.path.split("/", 2)
        data = self.state.files.get(name)
        if data is None:
            self.send(b"<html>not found</html>", status=404)
            return
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", asked)) else 0
        getattr(self, f"answer_{how}")(data, start)

    # Each method is one way to answer; ``start`` is the first byte asked for.

    def answer_plain(self, data: bytes, start: int) -> None:
        self.send_rest(data, start)

    def answer_without_ranges(self, data: bytes, start: int) -> None:
        self.send(data)

    def answer_breaks_once(self, data: bytes, start: int) -> None:
        self.send_rest(data, start, stop_after=len(data) // 2 if start == 0 else None)

    def answer_breaks_always(self, data: bytes, start: int) -> None:
        self.send_rest(data, start, stop_after=10)

    def answer_truncated(self, data: bytes, start: int) -> None:
        self.send(data, stop_after=len(data) // 2)

    def answer_breaks_and_restarts(self, data: bytes, start: int) -> None:
        """Breaks once, then ignores the asked range and says so (200)."""
        self.send(data, stop_after=None if start else len(data) // 2, etag=True)

    def answer_wrong_range(self, data: bytes, start: int) -> None:
        """Breaks once; claims to send another range than asked for."""
        if start == 0:
            self.send_rest(data, 0, stop_after=None if self.seen > 1 else len(data) // 2)
        else:
            self.send(data, status=206, headers={"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"})

    def answer_lying_range(self, data: bytes, start: int) -> None:
        """Breaks once; says it sends the asked range but sends the file's beginning."""
        if start == 0:
            self.send_rest(data, 0, stop_after=None if self.seen > 1 else len(data) // 2)
        else:
            self.send_rest(data[: len(data) - start].rjust(len(data), b"?"), start)

    def answer_short_range(self, data: bytes, start: int) -> None:
        """Breaks once; then sends less than the rest and declares that as all there is."""
        if start == 0:
            self.send_rest(data, 0, stop_after=None if self.seen > 1 else len(data) // 2)
        else:
            part = data[start : start + 5000]
            span = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
            self.send(part, status=206, headers={"Content-Range": span}, etag=True)

    def answer_changed_file(self, data: bytes, start: int) -> None:
        """Breaks once; then has another version of the file, with another ETag."""
        if self.seen == 1:
            self.send_rest(data, 0, stop_after=len(data) // 2)
        else:
            self.send_rest(data[::-1], start)

    def answer_html(self, data: bytes, start: int) -> None:
        self.send(b"<!DOCTYPE html><html>Please log in</html>", headers={"Content-Type": "text/html"})

    def answer_cut_chunks(self, data: bytes, start: int) -> None:
        """Does not say how long the file is, and breaks off within a chunk."""
        self.head(200, {"Transfer-Encoding": "chunked"})
        self.wfile.write(b"ffff\r\n" + data[:1000])
        self.close_connection = True

    def answer_chunks(self, data: bytes, start: int) -> None:
        self.head(200, {"Transfer-Encoding": "chunked"})
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

    def answer_empty(self, data: bytes, start: int) -> None:
        self.send(b"")

    def answer_forbidden(self, data: bytes, start: int) -> None:
        self.send(b"no", status=403)

    def answer_busy_once(self, data: bytes, start: int) -> None:
        if self.seen == 1:
            self.send(b"later", status=503, headers={"Retry-After": "0"})
        else:
            self.send_rest(data, start)

    def answer_loop(self, data: bytes, start: int) -> None:
        self.send(b"", status=302, headers={"Location": self.path})

    def answer_gzipped(self, data: bytes, start: int) -> None:
        self.send(data, headers={"Content-Encoding": "gzip"})

    def answer_silent(self, data: bytes, start: int) -> None:
        """Takes the request and never answers."""
        self.state.stop.wait(20)
        self.close_connection = True

    def answer_stalled(self, data: bytes, start: int) -> None:
        """Sends the beginning and then nothing more."""
        self.send_rest(data, start, stop_after=100, linger=True)

    def answer_drips(self, data: bytes, start: int) -> None:
        """Sends a byte every now and then: never silent for long, never done."""
        self.head(200, {"Content-Length": str(len(data))})
        for byte in data:
            if self.state.stop.wait(0.05):
                break
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
        self.close_connection = True

    def answer_drips_head(self, data: bytes, start: int) -> None:
        """Sends a byte of the answer's head every now and then, without end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.state.stop.wait(0.05):
            self.wfile.write(b"x")
            self.wfile.flush()
        self.close_connection = True

    def answer_busy_for_years(self, data: bytes, start: int) -> None:
        self.send(b"later", status=503, headers={"Retry-After": "99999999"})

    def answer_odd_numbers(self, data: bytes, start: int) -> None:
        """Asks once to wait for a number that Python's own check takes for one, then says how long the file is so."""
        if self.seen == 1:
            self.send(b"later", status=503, headers={"Retry-After": "\u00b2"})
        else:
            self.head(200, {"Content-Length": "\u00b2", "Connection": "close"})
            self.wfile.write(data)
            self.close_connection = True

    def answer_slow(self, data: bytes, start: int) -> None:
        """Serves properly, but takes half a second."""
        time.sleep(0.5)
        self.send_rest(data, start)

    # Helpers

    @property
    def seen(self) -> int:
        return self.state.requests[self.path]

    def send_rest(self, data: bytes, start: int, stop_after: int | None = None, linger: bool = False) -> None:
        """A proper answer with an ETag, optionally broken off after ``stop_after`` bytes."""
        etag = f'"{hashlib.sha256(data.lstrip(b"?")).hexdigest()[:8]}"'
        if "?" in self.path or data.startswith(b"?"):
            etag = self.headers.get("If-Range", etag)
        if start and self.headers.get("If-Range") not in (None, etag):
            start = 0
        headers = {"ETag": etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send(data[start:], 206 if start else 200, headers, stop_after=stop_after, linger=linger)

    def send(
        self,
        body: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        stop_after: int | None = None,
        linger: bool = False,
        etag: bool = False,
    ) -> None:
        extra = {"ETag": '"fixed"'} if etag else {}
        self.head(status, {"Content-Length": str(len(body))} | extra | (headers or {}))
        self.wfile.write(body if stop_after is None else body[:stop_after])
        self.wfile.flush()
        if linger:
            self.state.stop.wait(20)
        if stop_after is not None:
            self.close_connection = True

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass
