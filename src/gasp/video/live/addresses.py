"""What a live source is called on the command line, and how FFmpeg opens it."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from gasp.errors import InputError, UsageError
from gasp.naming import printable
from gasp.video.containers import check_file

Kind = Literal["camera", "stream", "screen", "pipe", "file"]

SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp", "srt")
"""Of streams."""

_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}
"""Of those streams to which one can connect."""

# What was read to find out what a stream is comes as a burst, of which older pictures are dropped. (With "nobuffer" it
# would be thrown away, and the first picture would have to wait for the next key frame.)
_QUICK = {"flags": "low_delay", "analyzeduration": "1000000"}


@dataclass(frozen=True, slots=True)
class Address:
    """A live source.

    ``kind``: what it is. ``url``: what FFmpeg opens, with the input ``format`` (None: FFmpeg finds out) and
    ``options``. ``label``: its name for messages, without a password. ``paced``: pictures come faster than they are
    shown (files, segments of HLS) and are held back to their time. ``slug``: a name for folders.
    """

    kind: Kind
    url: str
    label: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    paced: bool = False

    @property
    def slug(self) -> str:
        """Letters, digits, dots and dashes."""
        base = Path(self.url).stem if self.kind in ("file", "pipe") else self.label
        return re.sub(r"[^\w.-]+", "-", base, flags=re.ASCII).strip("-.")[:60] or self.kind


def read_address(
    source: str | int | os.PathLike[str], *, size: tuple[int, int] | None = None, rate: float | None = None
) -> Address:
    """What ``source`` means.

    Args:
        source: The number of a camera (0), its device (``/dev/video0``), the address of a stream (rtsp://, http:// and
            so on), ``screen`` or ``screen:X,Y,WIDTHxHEIGHT``, a named pipe, or a video file, which is played at its own
            speed.
        size: Width and height to ask a camera for.
        rate: Pictures per second to ask a camera or the screen for.

    Raises:
        InputError: There is no such file or device.
        UsageError: The name means nothing.
    """
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    asked = {} if size is None else {"video_size": f"{size[0]}x{size[1]}"}
    asked |= {} if rate is None else {"framerate": f"{rate:g}"}
    if text.isascii() and text.isdigit():
        return _camera(int(text), asked)
    if text == "screen" or text.startswith("screen:"):
        return _screen(text, asked)
    scheme = text.split("://", 1)[0].lower() if "://" in text else ""
    if scheme in SCHEMES:
        return _stream(text, scheme)
    if scheme:
        raise UsageError(f"{without_password(text)}: addresses begin with {', '.join(SCHEMES)}")
    return _path(Path(text), asked)


def without_password(url: str) -> str:
    """An address as it may be shown and written down."""
    return printable(re.sub(r"(://[^/:@]*):[^/@]*@", r"\1:***@", url))


def is_there(address: Address, timeout: float = 1.0) -> bool:
    """Whether a device exists, or something answers at the address of a stream; True where that cannot be told."""
    if address.kind in ("camera", "pipe", "file") and address.format != "avfoundation":
        return Path(address.url).exists()
    parts = urlsplit(address.url)
    port = parts.port or _PORTS.get(parts.scheme.lower())
    if address.kind != "stream" or port is None or parts.hostname is None:
        return True
    try:
        socket.create_connection((parts.hostname, port), timeout).close()
    except OSError:
        return False
    return True


def _camera(number: int, asked: dict[str, str]) -> Address:
    if sys.platform == "darwin":
        return Address("camera", f"{number}:none", f"camera {number}", "avfoundation", asked)
    if sys.platform == "win32":
        raise UsageError(
            "On Windows a camera is named by its stream; play it to http:// and give that address."
        )
    return _device(Path(f"/dev/video{number}"), f"camera {number}", asked)


def _device(path: Path, label: str, asked: dict[str, str]) -> Address:
    if not path.exists():
        there = sorted(str(one) for one in Path("/dev").glob("video*"))
        found = f"there are {', '.join(there)}" if there else "no camera is connected"
        raise InputError(f"{label}: {path} does not exist; {found}.")
    if not os.access(path, os.R_OK | os.W_OK):
        raise InputError(
            f"{label}: no permission to use {path}; being in the group 'video' usually gives it."
        )
    return Address("camera", str(path), label, "v4l2", asked)


def _screen(text: str, asked: dict[str, str]) -> Address:
    region = re.fullmatch(r"screen(?::(\d+),(\d+)(?:,(\d+)x(\d+))?)?", text, re.ASCII)
    if region is None:
        raise UsageError(
            f"{text}: a part of the screen is written screen:X,Y,WIDTHxHEIGHT, such as screen:0,0,640x480"
        )
    x, y, width, height = region.groups()
    options = {"framerate": "25", "draw_mouse": "0", **asked}
    if width:
        options["video_size"] = f"{width}x{height}"
    display = os.environ.get("DISPLAY")
    if sys.platform.startswith("linux") and display:
        return Address("screen", f"{display}+{x or 0},{y or 0}", text, "x11grab", options)
    if sys.platform == "darwin":
        return Address("screen", "Capture screen 0:none", text, "avfoundation", options)
    if sys.platform == "win32":
        return Address(
            "screen", "desktop", text, "gdigrab", {**options, "offset_x": x or "0", "offset_y": y or "0"}
        )
    raise InputError("There is no screen to look at: the variable DISPLAY is not set.")


def _stream(url: str, scheme: str) -> Address:
    label = without_password(url)
    options = dict(_QUICK)
    if scheme in ("rtsp", "rtsps"):
        # Over UDP, lost packets smear the picture for seconds.
        options["rtsp_transport"] = "tcp"
    segments = url.split("?", 1)[0].lower().endswith((".m3u8", ".mpd"))
    return Address("stream", url, label, None, {} if segments else options, paced=segments)


def _path(path: Path, asked: dict[str, str]) -> Address:
    label = printable(str(path))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        mode = 0
    if stat.S_ISFIFO(mode):
        return Address("pipe", str(path), label, None, dict(_QUICK))
    if stat.S_ISCHR(mode):
        return _device(path, label, asked)
    check_file(path)
    return Address("file", str(path), label, paced=True)
