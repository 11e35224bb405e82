"""A node takes nonsense, strangers, silence and requests to end as what they are."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp.config.settings import PredictSettings
from gasp.cues.cue import Cue, CueResult
from gasp.errors import InputError, UsageError
from gasp.messages import Message, unpack
from gasp.messages.zeromq import is_local
from gasp.node import stream as streams
from gasp.node.client import ConnectionLostError, NodeClient, NodeError
from gasp.node.keys import make_keys
from gasp.node.protocol import Hello, Tag
from gasp.node.server import NodeServer
from gasp.node.settings import NodeSettings
from gasp.node.turns import Job, Turns
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.predictor import Predictor
from helpers.command import ENVIRONMENT, gasp
from helpers.nodes import ask, key_folder_of, pictures, raw_socket, receive, running_node, send


class LooksAhead(Cue):
    """Its maps tell of the brightness of the frame after their own. Fails where that is all black."""

    name = "glance"
    past = 0
    future = 2

    def __init__(self) -> None:
        self._waiting: list = []

    def push(self, observations):
        self._waiting += observations
        return [self._map(self._waiting.pop(0)) for _ in range(max(0, len(self._waiting) - self.future))]

    def finish(self):
        return [self._map(self._waiting.pop(0)) for _ in range(len(self._waiting))]

    def _map(self, observation) -> CueResult:
        if not observation.frame.image.any():
            raise RuntimeError("all black")
        return CueResult(np.full(observation.grid, observation.frame.image.max(), np.uint8))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(PredictSettings.read({"threads": 1, "why": 0}))


@contextmanager
def served(predictor: Predictor, **options) -> Iterator[str]:
    """A node in a thread of this process; its address."""
    ended = threading.Event()
    with NodeServer(predictor, NodeSettings("tcp://127.0.0.1:*", **options)) as node:
        thread = threading.Thread(target=node.serve, args=(ended,))
        thread.start()
        try:
            yield node.address
        finally:
            ended.set()
            thread.join()


@pytest.fixture(scope="module")
def address(predictor) -> Iterator[str]:
    with served(predictor) as address:
        yield address


@pytest.fixture
def looking_ahead(predictor, monkeypatch) -> Iterator[str]:
    def begin(*arguments, **options):
        return Pipeline(*arguments, cues=[LooksAhead()], **options)

    monkeypatch.setattr(streams, "Pipeline", begin)
    with served(predictor) as address:
        yield address


def test_results_of_a_pipeline_that_looks_ahead_belong_to_their_own_frames(looking_ahead):
    images = pictures(5)
    with NodeClient(looking_ahead) as client:
        assert client.welcome["latency"] == 2
        results = [client.step(image, sequence=10 + k, stamp_ns=k) for k, image in enumerate(images)]
        rest = client.flush()
        assert results[:2] == [None, None]
        assert [(r.sequence, r.stamp_ns) for r in (*results[2:], *rest)] == [(10 + k, k) for k in range(5)]
        again = client.step(images[0])
        assert again is None
        assert [result.sequence for result in client.flush()] == [15]


def test_frames_that_waited_have_results_when_the_size_changes(looking_ahead):
    large, small = pictures(3), pictures(3, 48, 64)
    with NodeClient(looking_ahead) as client:
        results = [client.step(image) for image in (*large, *small)]
        rest = client.flush()
    # One reply for each request: results that are ready early wait for the next one.
    assert [None if r is None else r.sequence for r in results] == [None, None, 0, 1, 2, 3]
    assert [(result.sequence, result.size) for result in rest] == [(4, (64, 48)), (5, (64, 48))]


def test_what_cues_could_not_do_is_counted(looking_ahead):
    with NodeClient(looking_ahead) as client:
        for image in (np.zeros((90, 160, 3), np.uint8), *pictures(2)):
            result = client.step(image)
        assert result.sequence == 0
        assert list(result.diagnostics["events"]) == ["cue glance failed"]


def test_what_went_wrong_before_the_first_result_is_told_with_it(predictor, monkeypatch):
    class Complaining(Pipeline):
        def step(self, frames, *arguments):
            self.events.note("something odd")
            return super().step(frames, *arguments)

    monkeypatch.setattr(streams, "Pipeline", lambda *a, **o: Complaining(*a, cues=[LooksAhead()], **o))
    stream = streams.Stream(predictor, Hello())
    results = [stream.step(Message("frame", {}, {"image": i}), Tag(), 0, 0) for i in pictures(4)]
    counts = [result.body["diagnostics"]["events"] for result in results[2:]]
    assert counts == [{"something odd": 3}, {"something odd": 1}]
    # A stream that was flushed in part goes on all the same, anew.
    assert stream.flush().body["sequence"] == 2
    assert stream.step(Message("frame", {}, {"image": pictures(1)[0]}), Tag(), 0, 0).body["sequence"] == 3
    assert [stream.flush().body["sequence"], stream.flush()] == [4, None]


def test_a_failure_of_the_pipeline_is_told_and_survived(predictor, monkeypatch):
    class Broken(Pipeline):
        def step(self, frames, *arguments):
            if frames[0].image[0, 0, 0] == 77:
                raise RuntimeError("no memory for this")
            return super().step(frames, *arguments)

    monkeypatch.setattr(streams, "Pipeline", Broken)
    bad = np.full((90, 160, 3), 77, np.uint8)
    with served(predictor) as address, NodeClient(address) as client:
        assert client.step(pictures(1)[0]).sequence == 0
        with pytest.raises(NodeError, match=r"no memory for this.*without a result: \[1\]") as refused:
            client.step(bad)
        assert refused.value.code == "failed"
        assert client.step(pictures(1)[0]).sequence == 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40), max_size=4))
def test_nonsense_is_refused_in_words(address, parts):
    with raw_socket(address) as socket:
        socket.send_multipart(parts or [b""])
        assert socket.poll(20_000)
        answer = socket.recv_multipart()
        # An empty first part is taken for the delimiter of a REQ socket, and has one in the answer.
        reply = unpack(answer[1:] if not answer[0] else answer)
        assert (reply.kind, reply.body["code"]) == ("error", "message")
        assert reply.body["reason"]


plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5)
fields = st.sampled_from(
    ["sequence", "stamp_ns", "time", "frame_id", "sound_rate", "fps", "arrays", "policy", "name"]
)
bodies = st.dictionaries(
    fields | st.text(max_size=3),
    plain | st.lists(plain, max_size=3) | st.dictionaries(plain, plain, max_size=2),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["hello", "frame", "flush", "bye", "status", "result", "x"]), bodies)
def test_any_body_has_an_answer(address, kind, body):
    with raw_socket(address) as socket:
        assert ask(socket, "hello").kind == "welcome"
        image = {"image": np.full((8, 8, 3), 99, np.uint8)} if kind == "frame" else {}
        reply = ask(socket, kind, body, **image)
        assert reply.kind in ("welcome", "result", "done", "bye", "status", "error")
        assert ask(socket, "status").kind == "status"
        ask(socket, "bye")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"version": 2}, "Version 2 of the protocol; this is version 1"),
        ({"protocol": "gosp"}, "no map with"),
        ({"kind": "dance"}, "Unknown kind 'dance'"),
        ({"arrays": [{"name": "image", "dtype": "uint8", "shape": [4, 4, 3]}]}, "tells of 1 arrays, but 0"),
        ({"body": []}, "'body' is not a dict"),
    ],
)
def test_headers_that_are_none(address, header, reason):
    usual = {"protocol": "gasp", "version": 1, "kind": "frame", "body": {}, "arrays": []}
    with raw_socket(address) as socket:
        ask(socket, "hello")
        socket.send(msgpack.packb({**usual, **header}))
        reply = receive(socket)
        assert (reply.kind, reply.body["code"]) == ("error", "message")
        assert reason in reply.body["reason"]


@pytest.mark.parametrize(
    "body",
    [
        {"fps": 0},
        {"fps": "x"},
        {"arrays": ["everything"]},
        {"policy": "none"},
        {"name": 7},
        {"name": "x" * 300},
    ],
)
def test_a_hello_that_asks_for_what_there_is_not(address, body):
    with raw_socket(address) as socket:
        reply = ask(socket, "hello", body)
        assert (reply.kind, reply.body["code"]) == ("error", "hello")
        assert next(iter(body)) in reply.body["reason"]


def test_only_so_many_clients_and_the_silent_ones_are_forgotten(predictor):
    with served(predictor, clients=2, idle=0.5) as address:
        with NodeClient(address, name="silent") as silent, NodeClient(address):
            silent.step(pictures(1)[0])
            with pytest.raises(NodeError, match="2 clients are served already") as refused:
                NodeClient(address)
            assert refused.value.code == "full"
            time.sleep(0.9)
            with NodeClient(address) as third:
                assert len(third.status()["clients"]) == 1
                # It is greeted again on its own, with a new stream.
                result = silent.step(pictures(1)[0])
                assert (result.sequence, result.cut) == (1, True)
        with raw_socket(address) as socket:
            assert ask(socket, "status").body["clients"] == []


def test_a_client_that_reads_nothing_costs_nothing_but_its_own_results(address):
    with raw_socket(address) as deaf, NodeClient(address) as client:
        deaf.rcvhwm = 1
        for _ in range(3000):
            send(deaf, "status", {"x": "y" * 1000})
        began = time.monotonic()
        assert client.step(pictures(1)[0]) is not None
        assert time.monotonic() - began < 5


def test_a_client_connects_again_after_the_node_was_restarted(predictor, tmp_path):
    where = f"ipc://{tmp_path}/node"
    [image] = pictures(1)

    def serve(ended: threading.Event, ready: threading.Event) -> None:
        with NodeServer(predictor, NodeSettings(where)) as node:
            ready.set()
            node.serve(ended)

    def start() -> tuple[threading.Event, threading.Thread]:
        ended, ready = threading.Event(), threading.Event()
        thread = threading.Thread(target=serve, args=(ended, ready))
        thread.start()
        assert ready.wait(20)
        return ended, thread

    ended, thread = start()
    with NodeClient(where, timeout=5) as client:
        assert client.step(image).sequence == 0
        ended.set()
        thread.join()
        client._timeout = 0.3
        with pytest.raises(ConnectionLostError):
            client.step(image)
        ended, thread = start()
        client._timeout = 5
        assert client.step(image).sequence == 2
        ended.set()
        thread.join()


def test_turns_are_taken():
    turns: Turns[str] = Turns()
    jobs = {name: [Job([], Tag(k)) for k in range(4)] for name in "ab"}
    for job in jobs["a"][:2]:
        assert turns.offer("a", job, "every") is None
    assert turns.offer("a", jobs["a"][2], "every") is jobs["a"][2]
    for job in jobs["b"][:2]:
        turns.offer("b", job, "newest")
    assert turns.offer("b", jobs["b"][2], "newest") is jobs["b"][0]
    assert [turns.take() for _ in range(4)] == [
        ("a", jobs["a"][0]), ("b", jobs["b"][1]), ("a", jobs["a"][1]), ("b", jobs["b"][2])
    ]  # fmt: skip
    turns.offer("a", jobs["a"][3], "every")
    assert turns.close() == [("a", jobs["a"][3])]
    assert turns.take() is None


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("tcp://127.0.0.1:5577", True),
        ("tcp://127.1.2.3:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("ipc:///tmp/x", True),
        ("tcp://*:5577", False),
        ("tcp://0.0.0.0:5577", False),
        ("tcp://[::]:5577", False),
        ("tcp://eth0:5577", False),
        ("tcp://127.0.0.1.example.org:5577", False),
        ("tcp://192.168.0.3:5577", False),
    ],
)
def test_what_only_this_machine_reaches(address, local, tmp_path):
    assert is_local(address) == local
    if local:
        NodeSettings(address).check()
    else:
        with pytest.raises(UsageError, match="needs keys"):
            NodeSettings(address).check()


def test_the_command_refuses_what_cannot_be_served(tmp_path):
    refused = gasp("node", "--address", "tcp://*:5577")
    assert refused.returncode == 2
    assert "needs keys" in refused.stderr
    assert gasp("node", "--address", "udp://127.0.0.1:3").returncode == 2
    assert gasp("node", "--clients", "0").returncode == 2


def test_what_is_missing_is_named():
    code = "import sys; sys.modules['zmq'] = None; from gasp.cli.main import main; sys.exit(main(['node']))"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'gasp-saliency[node]'" in done.stderr


@pytest.mark.slow
def test_an_address_in_use(address, predictor, tmp_path):
    refused = gasp("node", "--address", address)
    assert (refused.returncode, "is in use" in " ".join(refused.stderr.split())) == (1, True)
    (tmp_path / "notes").write_text("mine")
    refused = gasp("node", "--address", f"ipc://{tmp_path}/notes")
    assert (refused.returncode, "no socket" in " ".join(refused.stderr.split())) == (1, True)
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_asked_and_says_so_to_those_who_wait(how):
    with running_node() as node, raw_socket(node.address) as socket:
        ask(socket, "hello", {"policy": "every"})
        for k in range(3):
            send(socket, "frame", {"sequence": k}, image=pictures(1)[0])
        time.sleep(0.5)  # what is still on its way cannot be answered
        status, out, err = node.stop(how)
        replies = [receive(socket) for _ in range(3)]
    assert status == 0
    assert err == ""
    assert '"event": "ended"' in out
    assert all(reply.kind in ("result", "error") for reply in replies)
    assert {reply.body["code"] for reply in replies if reply.kind == "error"} <= {"ending"}
    assert sorted(reply.body["answers"] for reply in replies) == [0, 1, 2]


def test_keys_are_secret_and_never_overwritten(tmp_path):
    folder = tmp_path / "keys"
    made = gasp("node", "--make-keys", folder)
    assert made.returncode == 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {str(path) for path in files} == set(made.stdout.split())
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == 4 * [0o600]
    before = {path: path.read_bytes() for path in files}
    again = gasp("node", "--make-keys", folder)
    assert (again.returncode, "not overwritten" in " ".join(again.stderr.split())) == (1, True)
    (folder / "server.key").unlink()
    assert gasp("node", "--make-keys", folder).returncode == 1
    assert all(path.read_bytes() == before[path] for path in files if path.name != "server.key")
    assert not (folder / "server.key").exists()


@pytest.mark.slow
def test_only_clients_with_keys_are_let_in(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    make_keys(ours)
    make_keys(theirs)
    with running_node("--address", "tcp://0.0.0.0:*", "--keys", ours) as node:
        address = node.address.replace("0.0.0.0", "127.0.0.1")
        with NodeClient(address, keys=ours) as client:
            assert client.step(pictures(1)[0]).sequence == 0
        with pytest.raises(ConnectionLostError):
            NodeClient(address, timeout=1)
        for keys in (key_folder_of(ours, theirs), theirs):
            with pytest.raises(ConnectionLostError):
                NodeClient(address, timeout=1, keys=keys)
        with NodeClient(address, keys=ours) as client:
            assert client.step(pictures(1)[0]).sequence == 0
        assert node.stop()[0] == 0


def test_a_client_of_nobody(tmp_path):
    with pytest.raises(ConnectionLostError, match="start one with gasp node"):
        NodeClient(f"ipc://{tmp_path}/nobody", timeout=0.2)
    with pytest.raises(UsageError, match="is no address"):
        NodeClient("127.0.0.1:5577")


def test_the_wrong_image_is_refused_before_it_is_sent(address):
    with NodeClient(address) as client:
        for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
            with pytest.raises(InputError, match="uint8 RGB"):
                client.step(image)
