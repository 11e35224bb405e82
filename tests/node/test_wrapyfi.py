"""Frames and results over Wrapyfi, with real processes on this machine; nothing is left of its brokers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("wrapyfi", reason="Wrapyfi is not installed")

from gasp.messages import Encoded, Limits, Message, ProtocolError
from gasp.node.wrapyfi import from_native, to_native
from helpers.command import ENVIRONMENT
from helpers.nodes import pictures, running_node

EXAMPLE = Path(__file__).parents[2] / "examples" / "wrapyfi_node.py"

# A robot: it publishes frames until it has heard three results, and prints them.
ROBOT = """
import sys, time
import numpy as np
from gasp.node.wrapyfi import FRAMES, RESULTS, NativeListener, NativePublisher, frame_message

pub, sub = int(sys.argv[1]), int(sys.argv[2])
image = np.load(sys.argv[3])
heard = 0
with NativeListener(RESULTS, pub_port=pub) as results, NativePublisher(FRAMES, pub_port=pub, sub_port=sub) as frames:
    print("ready", flush=True)
    for k in range(300):
        frames.publish(frame_message(image, sequence=k, stamp_ns=k * 10**9, frame_id="head"))
        result = results.receive(timeout=0.2)
        if result is not None:
            assert result.kind == "result", result.body
            assert result.body["stamp_ns"] == result.body["sequence"] * 10**9
            assert result.body["frame_id"] == "head"
            assert result.array("map").dtype == np.float32
            assert result.array("map").max() == 1
            heard += 1
            if heard == 3:
                break
print("heard", heard, flush=True)
"""


def test_native_objects_are_what_was_said():
    image = pictures(1)[0]
    message = Message(
        "frame",
        {"sequence": 2**63, "why": {"a": 0.5}},
        {"image": Encoded(image, "png"), "sound": np.ones((4, 2), np.float32)},
    )
    native = to_native(message)
    assert native["arrays"]["image"]["data"].tobytes().startswith(b"\x89PNG")
    got = from_native(native)
    assert (got.kind, got.body) == ("frame", message.body)
    np.testing.assert_array_equal(got.array("image"), image)
    np.testing.assert_array_equal(got.array("sound"), np.ones((4, 2), np.float32))


@pytest.mark.parametrize(
    "native",
    [
        None,
        {},
        {"protocol": "gasp", "version": 2, "kind": "frame"},
        {"protocol": "gasp", "version": 1, "kind": 3},
        {"protocol": "gasp", "version": 1, "kind": "frame", "arrays": {"image": 3}},
        {
            "protocol": "gasp",
            "version": 1,
            "kind": "frame",
            "arrays": {"image": {"encoding": "gif", "data": None}},
        },
        {
            "protocol": "gasp",
            "version": 1,
            "kind": "frame",
            "arrays": {"image": {"encoding": "jpeg", "data": np.zeros(9, np.uint8)}},
        },
    ],
)
def test_objects_that_are_no_messages(native):
    with pytest.raises(ProtocolError):
        from_native(native)


def test_pictures_that_unfold_are_not_unfolded():
    native = to_native(Message("frame", {}, {"image": Encoded(np.zeros((500, 500), np.uint8), "png")}))
    with pytest.raises(ProtocolError, match="500 x 500"):
        from_native(native, Limits(pixels=1000))


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.mark.slow
def test_a_robot_is_answered_and_nothing_is_left_of_the_broker(tmp_path):
    pub, sub = free_ports()
    np.save(tmp_path / "image.npy", pictures(1)[0])
    robot = [sys.executable, "-c", ROBOT, str(pub), str(sub), str(tmp_path / "image.npy")]
    with running_node() as node:
        relay = subprocess.Popen(
            [
                sys.executable,
                EXAMPLE,
                "--address",
                node.address,
                "--pub-port",
                str(pub),
                "--sub-port",
                str(sub),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        try:
            assert relay.stdout.readline().startswith("frames from")
            assert is_open(sub)
            done = subprocess.run(robot, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
            assert "heard 3" in done.stdout, done.stderr
            relay.send_signal(signal.SIGTERM)
            assert relay.wait(20) == 0
            assert_nothing_left(relay.pid, sub)
        finally:
            if relay.poll() is None:
                os.killpg(relay.pid, signal.SIGKILL)
                relay.wait()


@pytest.mark.slow
def test_nothing_is_left_of_a_broker_whose_program_was_killed(tmp_path):
    pub, sub = free_ports()
    np.save(tmp_path / "image.npy", pictures(1)[0])
    robot = subprocess.Popen(
        [sys.executable, "-c", ROBOT, str(pub), str(sub), str(tmp_path / "image.npy")],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    assert robot.stdout.readline()
    assert is_open(sub)
    robot.kill()
    robot.wait()
    assert_nothing_left(robot.pid, sub)


def assert_nothing_left(group: int, port: int) -> None:
    """No process of the group of a program lives, and nobody listens on its port."""
    deadline = time.monotonic() + 5
    while is_open(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_open(port)
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
