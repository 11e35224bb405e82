"""Capture in a process of its own: real streams over real sockets and pipes, and what goes wrong with them."""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gasp.errors import InputError
from gasp.video import VideoWriter, open_source
from gasp.video.live import Capture, CaptureSettings, FeedEndedError, read_address
from helpers.streams import MjpegServer, picture


def take(capture, count, timeout=15.0):
    frames, until = [], time.monotonic() + timeout
    while len(frames) < count and time.monotonic() < until:
        captured = capture.receive(0.2)
        if captured is not None:
            frames.append(captured)
    assert len(frames) == count, f"{len(frames)} of {count} frames; {capture.states}; {capture.reason}"
    return frames


def take_all(capture):
    frames = []
    try:
        while (captured := capture.receive(5)) is not None:
            frames.append(captured)
    except FeedEndedError:
        return frames
    raise AssertionError("the feed did not end")


def resources():
    """How many threads, open files and child processes this process has."""
    own = Path("/proc/self")
    children = (own / f"task/{os.getpid()}/children").read_text().split()
    names = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    captures = sum(b"gasp.video.live.child" in name for name in names)
    return len(list((own / "task").iterdir())), len(list((own / "fd").iterdir())), captures


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "clip.mp4"
    with VideoWriter(path, 160, 96, 25) as writer:
        for k in range(30):
            writer.write(picture(k), k / 25)
    return path


def opened(source, **settings):
    return Capture(read_address(source), CaptureSettings(**settings)).open()


def test_a_file_is_played_at_its_own_speed_and_whole(clip):
    capture = opened(clip)
    got = take_all(capture)
    stored = list(open_source(clip))
    assert len(got) == len(stored) == capture.received
    assert capture.dropped == 0
    for captured, frame in zip(got, stored, strict=True):
        np.testing.assert_array_equal(captured.frame.image, frame.image)
        assert captured.frame.time == frame.time
    stamps = [captured.stamp_ns for captured in got]
    assert stamps == sorted(stamps)
    assert 1.0 <= (stamps[-1] - stamps[0]) / 1e9 <= 2.5  # 29 steps of 40 ms
    assert capture.state == "ended"
    assert capture.clock == "media"
    capture.close()


def test_a_file_over_again_as_fast_as_can_be(clip):
    capture = opened(clip, loop=True, speed=0)
    times = [captured.frame.time for captured in take(capture, 75)]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert abs(times[74] - 74 / 25) < 1e-6
    capture.close()


def test_a_stream_arrives_and_old_pictures_are_dropped():
    with MjpegServer() as server:
        capture = opened(server.url)
        first = take(capture, 5)
        assert first[0].frame.image.shape == (96, 160, 3)
        age = (time.monotonic_ns() - first[-1].stamp_ns) / 1e9
        assert 0 <= age < 1
        assert capture.clock == "capture"
        time.sleep(0.6)  # nobody takes any
        later = capture.receive(1, newest=True)
        assert capture.dropped > 5
        assert later.sequence > first[-1].sequence + 5
        assert (time.monotonic_ns() - later.stamp_ns) / 1e9 < 0.5
        capture.close()


def test_a_stream_that_is_closed_is_opened_again():
    with MjpegServer(lambda n: "close" if n == 12 else "send") as server:
        capture = opened(server.url)
        sequences = [captured.sequence for captured in take(capture, 20)]
        assert sequences == sorted(sequences)
        assert server.connections == 2
        assert capture.states["reconnecting"] == 1
        assert capture.states["running"] == 2
        capture.close()


def test_a_stream_that_stalls_is_opened_again():
    hanging = threading.Event()
    hanging.set()
    with MjpegServer(lambda n: "hang" if n >= 10 and hanging.is_set() else "send") as server:
        capture = opened(server.url, stall=0.7)
        take(capture, 8)
        until = time.monotonic() + 10
        while not capture.states["stalled"] and time.monotonic() < until:
            capture.receive(0.1)
        assert capture.states["stalled"] == 1
        hanging.clear()
        take(capture, 10)
        assert capture.state == "running"
        capture.close()


def test_a_frozen_picture_counts_as_lost_where_that_is_asked_for():
    with MjpegServer(lambda n: "same" if 10 <= n < 40 else "send") as server:
        capture = opened(server.url, freeze=0.5)
        until = time.monotonic() + 10
        while not capture.states["stalled"] and time.monotonic() < until:
            capture.receive(0.1)
        assert capture.states["stalled"]
        capture.close()


def test_garbage_in_between_and_another_size():
    def behaviour(number):
        return "garbage" if number in (5, 6, 7) else (320, 192) if number > 15 else "send"

    with MjpegServer(behaviour) as server:
        capture = opened(server.url)
        shapes = {captured.frame.image.shape for captured in take(capture, 25)}
        assert shapes >= {(96, 160, 3), (192, 320, 3)}
        capture.close()


def test_a_stream_that_returns_is_soon_seen():
    with MjpegServer() as server:
        port = server.port
        capture = opened(server.url)
        take(capture, 3)
    until = time.monotonic() + 4
    while time.monotonic() < until:  # long enough for the waits to have grown
        capture.receive(0.1)
    with MjpegServer(port=port):
        returned = time.monotonic()
        take(capture, 1, timeout=8)
        assert time.monotonic() - returned < 4  # two seconds, and as much for a busy machine
    capture.close()


def test_a_killed_process_is_replaced():
    with MjpegServer() as server:
        capture = opened(server.url)
        take(capture, 3)
        capture._child.kill()
        take(capture, 20)
        assert capture.states["reconnecting"] == 1
        capture.close()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts what Linux tells of processes")
def test_nothing_is_left_of_many_reconnections():
    with MjpegServer(lambda n: "close" if n % 6 == 5 else "send", rate=100) as server:
        capture = opened(server.url)
        take(capture, 5)
        threads, files, _ = resources()
        until = time.monotonic() + 30
        while server.connections < 10 and time.monotonic() < until:
            capture.receive(0.1)
            capture._waits = -50  # do not wait long between them
        assert server.connections >= 10
        take(capture, 2)
        now = resources()
        assert now[0] <= threads
        assert now[1] <= files + 2  # the server's own connection may be open or not
        capture.close()
        assert resources()[2] == 0


def test_a_pipe_as_a_camera(tmp_path, clip):
    pipe = tmp_path / "camera"
    os.mkfifo(pipe)
    film = tmp_path / "film.ts"
    import av

    with av.open(str(clip)) as source, av.open(str(film), "w", format="mpegts") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    threading.Thread(target=lambda: pipe.write_bytes(film.read_bytes()), daemon=True).start()
    capture = opened(pipe, reconnect=False)
    take(capture, 3)
    take_all(capture)
    assert capture.state == "failed"
    capture.close()


def test_pausing_a_file(clip):
    capture = opened(clip, loop=True)
    take(capture, 3)
    capture.pause(True)
    time.sleep(0.3)
    while capture.receive(0.1) is not None:
        pass
    assert capture.state == "paused"
    assert capture.receive(0.3) is None
    capture.pause(False)
    take(capture, 3)
    assert capture.state == "running"
    capture.close()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [(lambda n: "hang", "cannot be opened"), (lambda n: "close", "cannot be opened")],
)
def test_a_stream_that_gives_nothing_is_named(behaviour, words):
    with MjpegServer(behaviour) as server, pytest.raises(InputError, match=words):
        opened(server.url, open_timeout=1.5)


def test_nobody_answers():
    with pytest.raises(InputError, match="Connection refused"):
        opened("http://127.0.0.1:9/live")


def test_not_a_video(tmp_path):
    (tmp_path / "notes.mp4").write_text("only words, and not few of them\n" * 40)
    with pytest.raises(InputError, match="cannot be opened"):
        opened(tmp_path / "notes.mp4")
