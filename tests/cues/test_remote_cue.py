"""Cues that are reached at an address: what they are told, and every way in which they can fail."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gasp.cues.command import CommandCue
from gasp.cues.cue import CueResult
from gasp.cues.observation import Observation
from gasp.errors import GaspError, UsageError
from gasp.faces.command import CommandFaceDetector
from gasp.messages import Message, ProgramError, pack, serve_cue, unpack
from gasp.messages.message import Limits
from gasp.pipeline.cue_runner import CueRunner, Events
from helpers.observations import face, observe, texture

zmq = pytest.importorskip("zmq")

PICTURES = [texture(24, 40, seed) for seed in range(12)]

FAITHFUL = """
    import sys
    from gasp.messages import serve_cue
    def look(frame):
        found = {face.id: {"left": face.box[0], "number": frame.number} for face in frame.faces}
        return frame.image[..., 0] // 2 + sum(a.image[..., 0] // 8 for a in frame.ahead), found
    serve_cue(look, future=2, address=sys.argv[1] if len(sys.argv) > 1 else None)
"""

COUNTING = """
    import sys
    import numpy as np
    from gasp.messages import serve_cue
    class Look:
        def __init__(self):
            self.seen = 0
        def __call__(self, frame):
            self.seen += 1
            if frame.image[0, 0, 0] == 255:
                raise ValueError("no idea")
            return np.full((2, 2), self.seen, np.uint8)
    serve_cue(Look, address=sys.argv[1])
"""


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    address: str


@contextmanager
def served(tmp_path: Path, code: str, address: str = "tcp://127.0.0.1:*") -> Iterator[Server]:
    path = tmp_path / "served.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(path), address], **pipes) as process:
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        try:
            yield Server(process, said.removeprefix("serving ").strip())
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert threading.active_count() <= threads, "a thread is left"
    assert len(os.listdir("/proc/self/fd")) <= files, "a socket is left open"


def observations(count: int, **values: Any) -> list[Observation]:
    return [replace(observe(PICTURES[n], **values), number=n) for n in range(count)]


def run(runner: CueRunner, frames: list[Observation], batch: int = 3) -> list[CueResult]:
    for start in range(0, len(frames), batch):
        runner.submit(frames[start : start + batch])
        runner.collect()
    runner.finish()
    runner.close()
    return list(runner.ready)


@contextmanager
def peer(address: str) -> Iterator[Callable[..., Message]]:
    """A socket of our own; what it is called with is sent, and the answer returned."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger, socket.rcvtimeo = 0, 5000
        socket.connect(address)

        def ask(*parts: Any) -> Message:
            socket.send_multipart(parts)
            return unpack(socket.recv_multipart())

        yield ask


@contextmanager
def answering(answer: Callable[[Any, list[bytes], Message], None]) -> Iterator[str]:
    """A program made by hand, which does this with every message."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger, socket.rcvtimeo = 0, 50
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    identity, *parts = socket.recv_multipart()
                except zmq.Again:
                    continue
                answer(socket, [identity], unpack(parts))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_results_are_those_over_the_pipe(tmp_path: Path, scheme: str) -> None:
    address = "tcp://127.0.0.1:*" if scheme == "tcp" else f"ipc://{tmp_path}/socket"
    frames = observations(9, faces=[face((2.0, 3.0, 10.0, 12.0), track_id=7)])
    with served(tmp_path, FAITHFUL, address) as server:
        command = [sys.executable, str(tmp_path / "served.py")]
        events = Events()
        piped = run(CueRunner(CommandCue("x", command, future=2), events), frames)
        for batch in (1, 4):
            cue = CommandCue("x", address=server.address, future=2)
            remote = run(CueRunner(cue, events), frames, batch)
            assert len(remote) == len(piped) == 9
            for ours, theirs in zip(remote, piped, strict=True):
                np.testing.assert_array_equal(ours.map, theirs.map)
                assert ours.found == theirs.found
        assert not events
        assert remote[3].found == {7: {"left": 2.0, "number": 3}}


def test_every_stream_has_its_own_state(tmp_path: Path) -> None:
    with served(tmp_path, COUNTING) as server:
        cues = [CommandCue(name, address=server.address) for name in ("a", "b")]
        counted = [[], []]
        for observation in observations(4):
            for cue, seen in zip(cues, counted, strict=True):
                [result] = cue.push([observation])
                seen.append(int(result.map[0, 0]))
        for cue in cues:
            cue.close()
            cue.close()
        assert counted == [[1, 2, 3, 4], [1, 2, 3, 4]]


def test_what_fails_there_is_told_here_and_costs_its_stream_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = observations(6)
    bright = frames[2].small.copy()
    bright[0, 0] = 255
    frames[2] = replace(frames[2], small=bright)
    with served(tmp_path, COUNTING) as server:
        events = Events()

        def make() -> CommandCue:
            return CommandCue("odd", address=server.address)

        other = make()
        other.push(frames[:1])
        results = run(CueRunner(make(), events, make), frames, batch=1)
        assert [int(result.map.max()) for result in results] == [1, 2, 0, 1, 2, 3]
        assert events == {"cue odd failed: failed there": 1}
        assert "ValueError: no idea" in caplog.text
        assert other.push(frames[1:2])[0].map[0, 0] == 2
        other.close()


def test_nobody_at_the_address_costs_black_maps(caplog: pytest.LogCaptureFixture) -> None:
    address = "tcp://127.0.0.1:9"
    events = Events()

    def make() -> CommandCue:
        return CommandCue("away", address=address, timeout=0.1, start_timeout=0.3, restarts=1)

    started = time.monotonic()
    results = run(CueRunner(make(), events, make), observations(9))
    assert 0.5 < time.monotonic() - started < 4
    assert len(results) == 9
    assert not any(result.map.any() for result in results)
    assert events == {"cue away failed: does not answer": 6, "cue away failed": 3}
    assert f"{address}: nobody is there" in caplog.text
    assert caplog.text.count("black from now on") == 1


def test_a_server_that_is_killed_and_started_again(tmp_path: Path) -> None:
    events = Events()
    with served(tmp_path, COUNTING) as first:
        address = first.address

        def make() -> CommandCue:
            return CommandCue("mortal", address=address, timeout=10)

        runner = CueRunner(make(), events, make)
        frames = observations(6)
        runner.submit(frames[:2])
        runner.collect()
        first.process.kill()
        first.process.wait()
        started = time.monotonic()
        runner.submit(frames[2:4])
        runner.collect()
        # Noticed at once, not after the time for an answer.
        assert time.monotonic() - started < 3
    runner.submit(frames[4:])  # sent when somebody is there
    with served(tmp_path, COUNTING, address):
        runner.collect()
        runner.finish()
        runner.close()
    assert [int(result.map.max()) for result in runner.ready] == [1, 2, 0, 0, 1, 2]
    assert events == {"cue mortal failed: connection lost": 2}


def test_nonsense_gets_an_error_and_ends_nothing(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    nonsense: list[list[Any]] = [
        [b"hello?"],
        [b""],
        [b"\xff" * 70000],
        [b"x"] * 200,
        pack(Message("dance")),
        pack(Message("frame", {"number": 1}, {"image": image})),
        pack(Message("end")),
    ]
    wrong_frames = [
        Message("frame"),
        Message("frame", {}, {"image": image}),
        Message("frame", {"number": [1]}, {"image": image}),
        Message("frame", {"number": 1}, {"image": image[..., 0]}),
        Message("frame", {"number": 1}, {"image": image[:0]}),
        Message("frame", {"number": 1, "faces": [1]}, {"image": image}),
    ]
    with served(tmp_path, COUNTING) as server:
        cue = CommandCue("calm", address=server.address)
        cue.push(observations(1))
        with peer(server.address) as ask:
            for parts in nonsense:
                assert ask(*parts).kind == "error"
            for message in wrong_frames:
                assert ask(*pack(Message("hello"))).kind == "ready"
                assert ask(*pack(message)).kind == "error"
        assert cue.push(observations(1))[0].map[0, 0] == 2
        cue.close()
        server.process.terminate()
        assert server.process.wait(5) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_also_in_the_middle_of_a_frame(tmp_path: Path, number: int) -> None:
    code = """
        import sys, time
        from gasp.messages import serve_cue
        serve_cue(lambda frame: time.sleep(60), address=sys.argv[1])
        print("after", file=sys.stderr)
    """
    with served(tmp_path, code) as server:
        cue = CommandCue("slow", address=server.address, start_timeout=0.5, timeout=0.1)
        with pytest.raises(Exception, match=": it gave no answer"):
            cue.push(observations(1))
        cue.close()
        server.process.send_signal(number)
        out, said = server.process.communicate(timeout=5)
        assert (server.process.returncode, out) == (0, b"")
        assert said.decode().splitlines() == ["after"]


FAULTS: dict[str, tuple[str, Any, str]] = {
    "another kind": ("wrong answer", lambda n: [Message("hello")], "'hello'"),
    "out of order": ("out of order", lambda n: [Message("result", {"number": 7})], "frame 7 in place of frame 0"),
    "no map": ("wrong answer", lambda n: [Message("result", {"number": n})], 'no array "map"'),
    "unasked": ("answers unasked", lambda n: [Message("result", {"number": k}) for k in range(9)], "nobody asked"),
    "no message": ("writes no messages", lambda n: [[b"here it comes"]], "no msgpack"),
    "too large": (
        "connection lost",
        lambda n: [[bytes(Limits().message + 1)]],
        "more than 33554432 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_named(name: str, caplog: pytest.LogCaptureFixture) -> None:
    fault, make_answers, said = FAULTS[name]

    def answer(socket: Any, identity: list[bytes], message: Message) -> None:
        said = {"hello": [Message("ready")], "frame": make_answers(message.body.get("number"))}
        for reply in said.get(message.kind, []):
            socket.send_multipart([*identity, *(reply if isinstance(reply, list) else pack(reply))])

    events = Events()
    with answering(answer) as address:
        results = run(CueRunner(CommandCue("odd", address=address), events), observations(1))
    assert len(results) == 1
    expected = (
        {"answers unasked", "wrong answer"} if name == "unasked" else {fault}
    )  # which comes first is a race
    assert set(events) <= {f"cue odd failed: {one}" for one in expected}
    assert sum(events.values()) == 1
    assert name == "unasked" or re.search(said, caplog.text)


def test_it_never_waits_for_one_that_does_not_read_and_holds_little() -> None:
    made = []
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger, socket.rcvhwm = 0, 1
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        cue = CommandCue("deaf", address=f"tcp://127.0.0.1:{port}", timeout=0.3, start_timeout=0.3)
        large = [replace(observe(texture(360, 640, 1)), number=n) for n in range(60)]
        started = time.monotonic()
        receive = cue.submit(large)
        assert time.monotonic() - started < 0.2
        conversation = cue._conversation
        assert conversation is not None
        conversation._link.send(lambda: made.append(1) or Message("end"), answered=False)
        with pytest.raises(Exception, match="gave no answer"):
            receive()
        cue.close()
        assert time.monotonic() - started < 3
        assert not made


def test_one_that_is_forgotten_is_closed(tmp_path: Path) -> None:
    with served(tmp_path, COUNTING) as server:
        cue = CommandCue("gone", address=server.address)
        cue.push(observations(1))
        threads = threading.active_count()
        del cue
        gc.collect()
        assert threading.active_count() < threads


def test_a_detector_at_an_address(tmp_path: Path) -> None:
    code = """
        import sys
        from gasp.messages import serve_detector
        def detect(image):
            return [[1, 2, image.shape[1], 9]], [0.5]
        serve_detector(detect, address=sys.argv[1])
    """
    with served(tmp_path, code) as server:
        detector = CommandFaceDetector(address=server.address, size=(20, 10))
        [[found]] = detector.detect([texture(20, 40)])
        assert (tuple(found.box), found.score) == ((2, 4, 40, 18), 0.5)
        server.process.kill()
        with pytest.raises(ProgramError, match="connection is lost"):
            detector.detect([texture(20, 40)])
        detector.close()


def test_what_cannot_be_served_is_told(tmp_path: Path) -> None:
    for address in ("tcp://*:5580", "tcp://0.0.0.0:5580", "tcp://192.168.0.3:5580"):
        with pytest.raises(UsageError, match="trusted_network=True"):
            serve_cue(lambda frame: frame.image, address=address)
    with pytest.raises(UsageError, match="is no address"):
        serve_cue(lambda frame: frame.image, address="5580")
    with served(tmp_path, COUNTING) as server, pytest.raises(GaspError, match="in use"):
        serve_cue(lambda frame: frame.image, address=server.address)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(GaspError, match="is no socket"):
        serve_cue(lambda frame: frame.image, address=f"ipc://{tmp_path}/file")
    with pytest.raises(UsageError, match="either a command or an address"):
        CommandCue("none")
    with pytest.raises(UsageError, match=r"cue 'x': .* is no address"):
        CommandCue("x", address="there")
