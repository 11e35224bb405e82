"""A node answers everybody with what the pipeline itself would say, over real sockets and processes."""

from __future__ import annotations

import json
import re
import socket as sockets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

import gasp
from gasp.config.settings import PredictSettings
from gasp.messages import Encoded
from gasp.node.client import ConnectionLostError, NodeClient, NodeError, NodeResult
from gasp.node.outcome import result_message
from gasp.node.protocol import Tag
from gasp.pipeline.live import SPREAD
from gasp.pipeline.pipeline import Pipeline, find_focus
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.predictor import Predictor
from gasp.results.records import record_of
from gasp.video.frames import Frame
from helpers.command import ENVIRONMENT, make_clip
from helpers.nodes import RunningNode, ask, pictures, raw_socket, receive, running_node, send

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    with running_node("--limit", "2", "--idle", "600", "--clients", "64", "--status", "0.5") as node:
        yield node
        assert ask_status(node)["gasp"] == gasp.__version__
        status, out, err = node.stop()
        assert status == 0
        events = [json.loads(line) for line in out.splitlines()]
        assert {event["event"] for event in events} == {"status", "ended"}
        assert events[-1]["results"] > 0
        assert "Traceback" not in err
        assert "fault" not in err


def ask_status(node: RunningNode) -> dict:
    with raw_socket(node.address) as socket:
        return ask(socket, "status").body


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(PredictSettings.read({"threads": 1}))


def in_process(predictor: Predictor, images: list, sounds: list | None = None) -> list[Prediction]:
    pipeline = Pipeline(predictor.settings, predictor.networks, step=0.04, spread=SPREAD)
    sounds = sounds or [None] * len(images)
    return [
        prediction
        for index, (image, sound) in enumerate(zip(images, sounds, strict=True))
        for prediction in pipeline.step([Frame(index, index * 0.04, image)], [sound])
    ]


def test_results_are_those_of_the_pipeline_itself(node, predictor):
    images = pictures(20)  # a look at contributions is spread over so many at most
    with NodeClient(node.address, arrays=("map", "contributions", "cues")) as client:
        assert client.welcome["latency"] == 0
        assert client.welcome["cues"] == list(predictor.settings.cues)
        results = [
            client.step(image, sequence=100 + k, stamp_ns=7 * 10**18 + k, time=k * 0.04, frame_id="head/eyes")
            for k, image in enumerate(images)
        ]
    for k, (got, wanted) in enumerate(zip(results, in_process(predictor, images), strict=True)):
        assert (got.sequence, got.stamp_ns, got.frame_id) == (100 + k, 7 * 10**18 + k, "head/eyes")
        assert got.time == pytest.approx(k * 0.04)
        np.testing.assert_array_equal(got.map, wanted.saliency)
        assert ("contributions" in got.arrays) == (wanted.contributions is not None)
        if wanted.contributions is not None:
            np.testing.assert_array_equal(got.arrays["contributions"], wanted.contributions.maps)
            np.testing.assert_array_equal(got.arrays["baseline"], wanted.contributions.baseline)
            assert got.contribution_names == wanted.contributions.names
        for name, drawn in wanted.cues.items():
            np.testing.assert_array_equal(got.arrays[f"cue:{name}"], drawn)
        assert got.focus == pytest.approx((wanted.focus.x, wanted.focus.y))
        assert got.why == (None if wanted.why is None else pytest.approx(wanted.why))
        record = record_of(wanted)
        assert got.entropy == pytest.approx(record.entropy, abs=1e-4)
        assert [face.attention for face in got.faces] == pytest.approx(
            [person.attention for person in record.people], abs=1e-4
        )
        assert got.cut == wanted.cut == (k == 0)


def test_axes_are_as_stated():
    saliency = np.zeros((10, 20), np.float32)
    saliency[2, 15] = 1  # to the right of the middle, and above it
    prediction = Prediction(
        0, 0.0, saliency, None, {}, [], find_focus(saliency, 100, 400), np.zeros((100, 400, 3), np.uint8)
    )
    result = NodeResult.from_message(result_message(prediction, Tag(5, time=0.0), ("map",), {}))
    assert result.focus == (310, 25)
    assert result.focus_unit == pytest.approx((0.775, 0.25))
    assert result.focus_centred == pytest.approx((0.55, 0.5))


def test_compressed_pictures(node, predictor):
    [image] = pictures(1)
    with NodeClient(node.address, quality=95) as client:
        near = client.step(image)
    assert np.corrcoef(near.map.ravel(), in_process(predictor, [image])[0].saliency.ravel())[0, 1] > 0.9
    with raw_socket(node.address) as socket:
        ask(socket, "hello")
        exact = ask(socket, "frame", {"sequence": 0}, image=Encoded(image, "png"))
    np.testing.assert_array_equal(exact.array("map"), in_process(predictor, [image])[0].saliency)


def test_sound_is_heard_at_any_rate_and_with_any_channels(node, predictor):
    images, rng = pictures(3), np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, 640).astype(np.float32) for _ in images]
    with NodeClient(node.address) as client:
        got = [
            client.step(i, time=k * 0.04, sound=s)
            for k, (i, s) in enumerate(zip(images, sounds, strict=True))
        ]
    for result, wanted in zip(got, in_process(predictor, images, sounds), strict=True):
        np.testing.assert_array_equal(result.map, wanted.saliency)
    with NodeClient(node.address) as client:
        stereo = rng.normal(0, 0.1, (1764, 2)).astype(np.float32)
        stereo[3] = np.nan
        for image in images:
            assert client.step(image, sound=stereo, sound_rate=44100).map is not None
        with pytest.raises(NodeError, match="sound_rate must be"):
            client.step(images[0], sound=stereo, sound_rate=7)


def test_each_client_has_a_stream_of_its_own(node, predictor):
    images = pictures(6)
    alone = [prediction.saliency for prediction in in_process(predictor, images[:3])]
    with NodeClient(node.address) as one, NodeClient(node.address) as other:
        for k in range(3):
            np.testing.assert_array_equal(one.step(images[k], time=k * 0.04).map, alone[k])
            other.step(images[5 - k])


def test_two_clients_that_push_get_the_same_share(node):
    [image] = pictures(1, 45, 80)
    counts: Counter[str] = Counter()
    end = threading.Event()

    def push(name: str, pause: float) -> None:
        with NodeClient(node.address, name=name, timeout=60) as client:
            sent = 0
            while not end.is_set():
                client.send(image)
                sent += 1
                time.sleep(pause)
                while sent > 4 or (end.is_set() and sent):
                    counts[f"{name} {client.receive().kind}"] += 1
                    sent -= 1

    # One pushes much faster than the other, both faster than anybody computes.
    threads = [threading.Thread(target=push, args=args) for args in (("calm", 0.01), ("eager", 0.0))]
    for thread in threads:
        thread.start()
    time.sleep(4)
    end.set()
    for thread in threads:
        thread.join()
    shares = [counts["calm result"], counts["eager result"]]
    assert sum(shares) >= 8
    assert counts["eager dropped"] > 0
    assert min(shares) + 1 >= 0.45 * sum(shares), counts


def test_every_frame_is_answered_whatever_the_policy(node):
    [image] = pictures(1, 45, 80)
    for policy, refusal in (("newest", "dropped"), ("every", "busy")):
        with NodeClient(node.address, policy=policy) as client:
            sent = [client.send(image) for _ in range(8)]
            replies = [client.receive() for _ in sent]
        assert sorted(reply.answers for reply in replies) == sent
        answers = {kind: [r.answers for r in replies if r.kind == kind] for kind in ("result", refusal)}
        assert len(answers["result"]) + len(answers[refusal]) == 8
        assert answers[refusal]
        # What is dropped is old, what is refused is new.
        assert (7 in answers["result"]) == (policy == "newest")
        assert all(r.result.sequence == r.answers for r in replies if r.kind == "result")


def test_replies_that_come_early_are_kept(node):
    [image] = pictures(1, 45, 80)
    with NodeClient(node.address) as client:
        sent = [client.send(image) for _ in range(2)]
        while client.status()["clients"][-1]["results"] < 2:
            time.sleep(0.01)
        assert [client.receive().answers for _ in sent] == sent
        sent = [client.send(image) for _ in range(2)]
        assert [result.sequence for result in client.flush()] == sent
        assert client.step(image).cut


def test_req_sockets_are_served(node):
    with raw_socket(node.address, zmq.REQ) as socket:
        assert ask(socket, "hello", {"name": "req"}).kind == "welcome"
        reply = ask(socket, "frame", {"sequence": 3}, image=pictures(1)[0])
        assert (reply.kind, reply.body["sequence"]) == ("result", 3)
        assert ask(socket, "flush").kind == "done"
        assert ask(socket, "bye").kind == "bye"
        assert ask(socket, "frame", {}, image=pictures(1)[0]).body["code"] == "hello"


def test_a_picture_of_another_size_begins_anew(node, predictor):
    large, small = pictures(2, 90, 160), pictures(1, 48, 64)
    with NodeClient(node.address) as client:
        results = [client.step(image) for image in (*large, *small, *large, np.zeros((1, 1, 3), np.uint8))]
    assert [result.diagnostics["began_anew"] for result in results] == [False, False, True, True, False, True]
    assert results[2].size == (64, 48)
    np.testing.assert_array_equal(results[2].map, in_process(predictor, small)[0].saliency)


def test_time_goes_forward(node):
    [image] = pictures(1)
    with NodeClient(node.address) as client:
        results = [client.step(image, time=t) for t in (5.0, 5.04, 5.02, 5.06, -(10**9), 10**9, 10**9 + 0.04)]
        stamps = [client.step(image, stamp_ns=s).time for s in (3 * 10**18, 3 * 10**18 + 50_000_000)]
    times = [result.time for result in results]
    assert times[:2] == [5.0, 5.04]
    assert np.all(np.diff(times) > 0)
    assert np.all(np.diff(times) < 1)
    assert [result.diagnostics["time_shifted"] for result in results] == [False, False] + 5 * [True]
    assert stamps[1] - stamps[0] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("body", "arrays", "reason"),
    [
        ({}, {}, "needs an array 'image'"),
        ({}, {"image": np.zeros((4, 4, 3), np.float32)}, "must be uint8 RGB"),
        ({}, {"image": np.zeros((4, 4, 4), np.uint8)}, "must be uint8 RGB"),
        ({}, {"image": np.zeros((0, 4, 3), np.uint8)}, "must be uint8 RGB"),
        ({"sequence": -1}, {"image": np.zeros((4, 4, 3), np.uint8)}, "sequence must be"),
        ({"sequence": [1]}, {"image": np.zeros((4, 4, 3), np.uint8)}, "sequence must be"),
        ({"time": float("nan")}, {"image": np.zeros((4, 4, 3), np.uint8)}, "time must be"),
        ({"frame_id": 3}, {"image": np.zeros((4, 4, 3), np.uint8)}, "frame_id must be"),
        (
            {},
            {"image": np.zeros((4, 4, 3), np.uint8), "sound": np.zeros(4, np.int16)},
            "sound must be float32",
        ),
        ({}, {"image": np.zeros((4, 4, 3), np.uint8), "sound": np.zeros((4, 0), np.float32)}, "no channels"),
    ],
)
def test_frames_that_cannot_be_used_are_refused_in_words(node, body, arrays, reason):
    with raw_socket(node.address) as socket:
        ask(socket, "hello")
        reply = ask(socket, "frame", body, **arrays)
        assert reply.kind == "error"
        assert reply.body["code"] == "frame"
        assert reason in reply.body["reason"]
        reply = ask(socket, "frame", {"sequence": 5}, image=pictures(1)[0])
        assert (reply.kind, reply.body["answers"]) == ("result", 5)


def test_status_is_told_while_frames_are_computed(node):
    with NodeClient(node.address, name="busy one", timeout=60) as client:
        for _ in range(3):
            client.send(pictures(1)[0])
        began = time.monotonic()
        status = ask_status(node)
        assert time.monotonic() - began < 1
        assert any(entry["name"] == "busy one" for entry in status["clients"])
        assert [client.receive().kind for _ in range(3)].count("result") >= 1
    assert {"results_per_second", "latency_median", "latency_p95", "load"} <= set(status)


def test_a_message_over_the_limit_is_not_sent_and_one_that_is_costs_the_connection_only(node):
    large = np.zeros((1000, 1000, 3), np.uint8)
    with NodeClient(node.address) as client:
        with pytest.raises(gasp.errors.InputError, match="the node takes at most 2097152"):
            client.step(large)
        client.welcome["limits"]["message"] = 2**30
        with pytest.raises(ConnectionLostError, match="was lost"):
            client.step(np.zeros((6000, 6000, 3), np.uint8))  # 100 MB
        assert client.step(pictures(1)[0]).sequence == 2


def test_parts_that_together_exceed_the_limit_are_refused(node):
    with raw_socket(node.address) as socket:
        ask(socket, "hello")
        reply = ask(socket, "frame", {}, **{f"a{k}": np.zeros(2**20, np.uint8) for k in range(3)})
        assert (reply.kind, reply.body["code"]) == ("error", "message")
        assert "at most 2097152" in reply.body["reason"]


def test_pictures_that_unfold_are_not_unfolded(node):
    bomb = Encoded(np.zeros((6000, 6000), np.uint8), "png")  # 35 KB that become 100 MB
    with raw_socket(node.address) as socket:
        ask(socket, "hello")
        reply = ask(socket, "frame", {"sequence": 9}, image=bomb)
        assert (reply.kind, reply.body["sequence"]) == ("error", 9)
        assert "6000 x 6000" in reply.body["reason"]


def test_a_client_that_vanishes_in_the_middle_of_a_message_harms_nobody(node):
    host, port = node.address.removeprefix("tcp://").split(":")
    greeting = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00NULL" + bytes(16 + 32)
    hello = b"\x05READY\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
    for _ in range(3):
        with sockets.create_connection((host, int(port))) as wire:
            wire.sendall(greeting)
            wire.sendall(b"\x04" + bytes([len(hello)]) + hello)
            heard = b""
            while b"READY" not in heard:
                heard += wire.recv(1000)
            # A frame of a megabyte is told of, half of it comes.
            wire.sendall(b"\x02" + (2**20).to_bytes(8, "big") + bytes(2**19))
    with NodeClient(node.address) as client:
        assert client.step(pictures(1)[0]) is not None


@pytest.mark.parametrize("place", [0, 1])
def test_the_clients_of_the_page_run(node, place, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "node.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 2
    make_clip(tmp_path / "talk.mp4", 5)
    code = blocks[place].replace("tcp://127.0.0.1:5577", node.address)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert ("4 " if place == 0 else "result [") in done.stdout


def test_the_client_needs_no_torch():
    code = "import gasp, sys; gasp.NodeClient; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT).returncode == 0


def test_results_that_are_none_are_refused():
    from gasp.messages import Message, ProtocolError

    for body in ({}, {"faces": 3}, {"size": None}):
        with pytest.raises(ProtocolError):
            NodeResult.from_message(Message("result", body))


def test_flush_begins_a_new_stream(node, predictor):
    [image] = pictures(1)
    fresh = in_process(predictor, [image])[0]
    with raw_socket(node.address) as socket:
        ask(socket, "hello")
        for _ in range(2):
            send(socket, "frame", {}, image=image)
            send(socket, "flush")
            result, done = receive(socket), receive(socket)
            assert (result.kind, done.kind) == ("result", "done")
            np.testing.assert_array_equal(result.array("map"), fresh.saliency)
