"""Streams of the Lab Streaming Layer, with an outlet and an inlet in two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pylsl")

INLET = """
    import json, sys
    import pylsl
    found = {}
    for name, wanted in (("NAME", 5), ("NAME-markers", 5)):
        streams = pylsl.resolve_byprop("name", name, timeout=20)
        if not streams:
            sys.exit(f"no stream {name}")
        found[name] = (pylsl.StreamInlet(streams[0], recover=False), wanted)
    for inlet, _ in found.values():
        inlet.open_stream(timeout=10)
    print("ready", flush=True)
    result = {}
    for name, (inlet, wanted) in found.items():
        about = inlet.info(timeout=10)
        taken = [inlet.pull_sample(timeout=10) for _ in range(wanted)]
        labels, channel = [], about.desc().child("channels").child("channel")
        while not channel.empty():
            labels.append(channel.child_value("label"))
            channel = channel.next_sibling()
        texts = {key: about.desc().child_value(key) for key in ("version", "pipeline", "content")}
        result[name] = {
            "samples": taken, "labels": labels, "type": about.type(), "rate": about.nominal_srate(),
            "format": about.channel_format(), **texts,
        }
    print(json.dumps(result), flush=True)
"""

OUTLET = """
    import sys, time
    from gasp.results.lsl import LslOutlet
    from helpers.predictions import predict_frame
    from dataclasses import replace
    from gasp.video.frames import Frame
    import numpy as np
    outlet = LslOutlet("default", name="NAME")
    sys.stdin.readline()
    for n in range(5):
        frame = Frame(n, n / 25, np.zeros((64, 96, 3), np.uint8))
        prediction = replace(predict_frame(frame, faces=[1, 1, 2, 2, 0][n]), cut=n == 3)
        outlet.push(prediction, 2**53 - 5 + n, 10**9 * 1000 + 40_000_000 * n)
    # Stays until the other side has everything.
    sys.stdin.readline()
    outlet.close()
"""


@pytest.mark.slow
def test_what_is_pushed_arrives_with_the_time_of_acquisition(tmp_path: Path) -> None:
    # Found on this machine alone, also where the network allows no multicast.
    settings = tmp_path / "lsl_api.cfg"
    settings.write_text(
        "[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n[log]\nlevel = -3\n"
    )
    name = f"gasp-test-{os.getpid()}"
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "LSLAPICFG": str(settings), "PYTHONPATH": paths}

    def start(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code).replace("NAME", name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    with start(OUTLET) as outlet, start(INLET) as inlet:
        try:
            assert inlet.stdout is not None
            assert outlet.stdin is not None
            assert inlet.stdout.readline() == "ready\n"
            outlet.stdin.write("go\n")
            outlet.stdin.flush()
            result = json.loads(inlet.stdout.readline())
            outlet.communicate("done\n", timeout=20)
        finally:
            inlet.kill()
            outlet.kill()
    numbers, markers = result[name], result[f"{name}-markers"]
    assert numbers["labels"] == ["focus_x", "focus_y", "value", "entropy", "sequence"]
    assert (numbers["type"], numbers["rate"], numbers["format"]) == ("Gaze", 0, 2)
    assert numbers["pipeline"] == "default"
    assert "not measured" in numbers["content"]
    values = np.array([values for values, _ in numbers["samples"]])
    stamps = np.array([stamp for _, stamp in numbers["samples"]])
    np.testing.assert_array_equal(values[:, 4], 2**53 - 5 + np.arange(5))
    assert values[0, 1] == pytest.approx(30 / 64)
    assert ((values[:, :3] >= 0) & (values[:, :3] <= 1)).all()
    assert (values[:, 3] > 1).all()
    assert abs(stamps - (1000 + 0.04 * np.arange(5))).max() < 1e-3
    texts = [text for [text], _ in markers["samples"]]
    assert texts == ["face 1 appears", "face 2 appears", "cut", "face 1 leaves", "face 2 leaves"]
    assert [round(25 * (stamp - 1000)) for _, stamp in markers["samples"]] == [0, 2, 3, 4, 4]


def test_stamps_are_those_of_acquisition_on_the_clock_of_lsl() -> None:
    import pylsl

    from gasp.results.lsl import LslOutlet

    outlet = LslOutlet("default", name=f"gasp-clock-{os.getpid()}")
    differences = []
    for _ in range(50):
        lsl, acquired = pylsl.local_clock(), time.monotonic_ns()
        differences.append(abs(outlet.on_lsl_clock(acquired) - lsl))
    outlet.close()
    assert np.median(differences) < 1e-3


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from gasp.errors import UsageError
    from gasp.results.lsl import LslOutlet

    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(UsageError, match=r"gasp-saliency\[lsl\]"):
        LslOutlet("default")
