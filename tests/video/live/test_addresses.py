"""What a live source is called."""

from __future__ import annotations

import os

import pytest

from gasp.errors import GaspError, InputError, UsageError
from gasp.video.live import read_address


def test_streams():
    address = read_address("rtsp://admin:secret@camera.local:554/live")
    assert (address.kind, address.url) == ("stream", "rtsp://admin:secret@camera.local:554/live")
    assert address.label == "rtsp://admin:***@camera.local:554/live"
    assert "secret" not in address.slug
    assert address.options["rtsp_transport"] == "tcp"
    assert not address.paced
    assert read_address("https://example.org/live/index.m3u8?key=1").paced


def test_files_and_pipes(tmp_path):
    (tmp_path / "a talk.mp4").write_bytes(b"something")
    address = read_address(tmp_path / "a talk.mp4")
    assert (address.kind, address.paced, address.slug) == ("file", True, "a-talk")
    os.mkfifo(tmp_path / "camera")
    assert read_address(str(tmp_path / "camera")).kind == "pipe"


def test_the_screen(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":7")
    address = read_address("screen:10,20,640x480", rate=15)
    assert (address.format, address.url) == ("x11grab", ":7+10,20")
    assert address.options["video_size"] == "640x480"
    assert address.options["framerate"] == "15"
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(InputError, match="DISPLAY"):
        read_address("screen")


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (97, InputError, "camera 97: /dev/video97 does not exist"),
        ("97", InputError, "camera 97"),
        ("/dev/video98", InputError, "does not exist"),
        ("nothing.mp4", InputError, "nothing.mp4 does not exist"),
        ("gopher://host/x", UsageError, "addresses begin with rtsp"),
        ("screen:1", UsageError, "screen:X,Y"),
        ("", GaspError, "folder"),
    ],
)
def test_faults_are_named(source, kind, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=words):
        read_address(source)
