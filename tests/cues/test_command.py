"""Cues that are programs of their own: what they are told, and every way in which they can fail."""

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gasp.cues.command import CommandCue
from gasp.cues.cue import CueResult
from gasp.cues.observation import Observation
from gasp.errors import UsageError
from gasp.messages.program import KEPT
from gasp.pipeline.cue_runner import CueRunner, Events
from helpers.observations import face, observe, texture

PICTURES = [texture(24, 40, seed) for seed in range(12)]

FAITHFUL = """
    from gasp.messages import serve_cue
    serve_cue(lambda frame: frame.image[..., 0])
"""

SPEAKING = """
    import os, sys, time
    import numpy as np
    from gasp.messages.message import Message
    from gasp.messages.pipes import read_message, write_message
    def hear():
        return read_message(sys.stdin.buffer)
    def say(*what):
        write_message(sys.stdout.buffer, Message(*what))
    def result(frame, number=None, **arrays):
        number = frame.body["number"] if number is None else number
        say("result", {"number": number}, arrays or {"map": np.ascontiguousarray(frame.array("image")[..., 0])})
    hear()
    say("ready")
"""
"""A program that greets, and then does what follows."""

FAULTS = {
    "ends": (
        "ended",
        "result(hear()); hear(); print('no licence', file=sys.stderr); sys.exit(3)",
        "status 3.*no licence",
    ),
    "is killed": ("ended", "hear(); os.kill(os.getpid(), 9)", "signal 9"),
    "hangs": ("does not answer", "result(hear()); time.sleep(60)", "no answer within"),
    "never reads": ("does not answer", "time.sleep(60)", "no answer within"),
    "closes its output": ("closed its output", "hear(); os.close(1); time.sleep(60)", "closed its output"),
    "prints": (
        "writes no messages",
        "hear(); print('here comes your result:', flush=True); time.sleep(60)",
        "here comes",
    ),
    "floods its output": (
        "writes no messages",
        "hear()\nwhile True: os.write(1, b'y' * 65536)",
        "no message",
    ),
    "answers another shape": (
        "wrong answer",
        "result(hear(), map=np.zeros((3, 4, 5), np.uint8))",
        "uint8 .3, 4, 5.",
    ),
    "answers another type": ("wrong answer", "result(hear(), map=np.zeros((3, 4)))", "float64"),
    "answers nothing": ("wrong answer", "result(hear(), other=np.zeros((3, 4)))", 'no array "map"'),
    "answers something else": ("wrong answer", "hear(); say('hello')", "'hello'"),
    "answers out of order": (
        "out of order",
        "a = hear(); b = hear(); result(b); result(a)",
        "frame 1 in place of frame 0",
    ),
    "answers twice": (
        "out of order",
        "a = hear(); result(a); hear(); result(a)",
        "frame 0 in place of frame 1",
    ),
    "answers for another": ("out of order", "result(hear(), 77)", "frame 77"),
    "answers without number": ("out of order", "hear(); say('result', {})", "frame None"),
    "says too much": (
        "answers unasked",
        "a = hear()\nfor n in (0, 1, 2, 3, 3): result(a, n)\ntime.sleep(60)",
        "nobody asked|in place of",
    ),
    "is too large": ("writes no messages", "hear(); os.write(1, b'GASP' + bytes([255] * 12))", "at most"),
    "goes in the middle": (
        "writes no messages",
        "hear(); os.write(1, b'GASP'); sys.exit()",
        "middle of a message",
    ),
    "finds nonsense": (
        "wrong answer",
        "f = hear(); say('result', {'number': 0, 'found': {'x': 1}}, {'map': np.zeros((2, 2), np.uint8)})",
        "no face's id",
    ),
}


def program(tmp_path: Path, code: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    return ["python", str(path)]


def observations(count: int, **values: Any) -> list[Observation]:
    return [replace(observe(PICTURES[n], **values), number=n) for n in range(count)]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def eventually(happened: Callable[[], bool], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def children() -> set[int]:
    own = str(os.getpid())
    stats = [(p.name, p / "stat") for p in Path("/proc").iterdir() if p.name.isdigit()]
    found = set()
    for pid, stat in stats:
        try:
            if stat.read_text().rpartition(")")[2].split()[1] == own:
                found.add(int(pid))
        except OSError:
            pass
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before, threads, files = children(), threading.active_count(), len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert children() <= before, "a process or a zombie is left"
    assert eventually(lambda: threading.active_count() <= threads), "a thread is left"
    assert len(os.listdir("/proc/self/fd")) <= files, "a pipe is left open"


def run(runner: CueRunner, frames: list[Observation], batch: int = 3) -> list[CueResult]:
    for start in range(0, len(frames), batch):
        runner.submit(frames[start : start + batch])
        runner.collect()
    runner.finish()
    runner.close()
    return list(runner.ready)


def test_a_faithful_program_draws_every_frame(tmp_path: Path) -> None:
    command = program(tmp_path, FAITHFUL)
    events = Events()
    for batch in (1, 5):
        results = run(CueRunner(CommandCue("red", command), events), observations(12), batch)
        assert len(results) == 12
        for picture, result in zip(PICTURES, results, strict=True):
            np.testing.assert_array_equal(result.map, picture[..., 0])
    assert not events


def test_what_is_told_and_what_is_found(tmp_path: Path) -> None:
    code = """
        import sys
        from gasp.messages import serve_cue
        print("loading")
        def look(frame):
            print("looking")
            [seen] = frame.faces
            left, top, right, bottom = seen.box
            assert frame.image.shape == (48, 80, 3) and not frame.image.flags.writeable
            return frame.image[..., 1], {seen.id: {
                "left": left, "bottom": bottom, "score": seen.score, "cut": str(frame.cut), "time": frame.time,
                "step": frame.step, "samples": frame.sound.size, "rate": frame.sound_rate, "number": frame.number,
                "torch": str("torch" in sys.modules), "loudest": float(frame.sound.max()),
            }}
        serve_cue(look)
    """
    sound = np.linspace(0, 0.5, 640, dtype=np.float32)
    seen = observe(PICTURES[0], [face((2.0, 3.0, 10.0, 12.0), track_id=7)], cut=True, sound=sound, number=300)
    cue = CommandCue("any", program(tmp_path, code), size=(80, 48), sound_rate=16000)
    [result] = cue.push([replace(seen, step=0.5)])
    cue.close()
    assert result.map.shape == (48, 80)
    assert result.found == {
        7: {
            "left": 4.0,
            "bottom": 24.0,
            "score": 0.9,
            "cut": "True",
            "time": 0.0,
            "step": 0.5,
            "samples": 640,
            "rate": 16000,
            "number": 300,
            "torch": "False",
            "loudest": 0.5,
        }
    }


@pytest.mark.parametrize("batch", [1, 4])
def test_a_program_that_looks_ahead_lags_and_loses_nothing(tmp_path: Path, batch: int) -> None:
    code = """
        from gasp.messages import serve_cue
        serve_cue(lambda f: f.image[..., 0] // 4 + sum(a.image[..., 0] // 4 for a in f.ahead), past=0, future=2)
    """
    runner = CueRunner(CommandCue("ahead", program(tmp_path, code), future=2), Events())
    assert runner.future == 2
    results = run(runner, observations(7), batch)
    quarter = [picture[..., 0] // 4 for picture in PICTURES[:7]]
    for n, result in enumerate(results):
        np.testing.assert_array_equal(result.map, sum(quarter[n : n + 3]))
    assert len(results) == 7


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_named_and_costs_what_it_touched(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault, code, said = FAULTS[name]
    command = program(tmp_path, textwrap.dedent(SPEAKING) + code)
    events = Events()

    def make() -> CommandCue:
        return CommandCue("odd", command, timeout=0.4, start_timeout=4, restarts=0)

    started = time.monotonic()
    results = run(CueRunner(make(), events, make), observations(9), batch=4)
    assert time.monotonic() - started < 8
    assert len(results) == 9
    assert not results[-1].map.any()
    counted = {event: count for event, count in events.items() if event != "cue odd failed"}
    if name == "says too much":  # which of the two is noticed first is a race
        assert set(counted) <= {"cue odd failed: answers unasked", "cue odd failed: out of order"}
    else:
        assert set(counted) == {f"cue odd failed: {fault}"}
    assert sum(events.values()) + sum(bool(r.map.any()) for r in results) == 9
    [line] = [r.getMessage() for r in caplog.records if "cue odd failed:" in r.getMessage()]
    assert re.search(said, line, re.S), line
    assert "black from now on" in caplog.text


def test_it_is_started_again_as_often_as_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = program(tmp_path, textwrap.dedent(SPEAKING) + "result(hear()); sys.exit(1)")
    events = Events()

    def make() -> CommandCue:
        return CommandCue("short", command, restarts=2)

    results = run(CueRunner(make(), events, make), observations(12), batch=2)
    # Each of the three lives draws one frame, and costs the other one of its batch.
    assert [bool(result.map.any()) for result in results] == [True, False] * 3 + [False] * 6
    assert sum(events.values()) == 9
    assert sum("black from now on" in record.getMessage() for record in caplog.records) == 1


def test_floods_of_standard_error_hold_nothing_up(tmp_path: Path) -> None:
    code = (
        SPEAKING
        + """
    os.write(2, b"x" * 2**18 + b"last words")
    result(hear())
    os.write(2, b"y" * 2**18)
    sys.exit("the end")
"""
    )
    cue = CommandCue("loud", program(tmp_path, code))
    [first, second] = observations(2)
    [result] = cue.push([first])
    np.testing.assert_array_equal(result.map, PICTURES[0][..., 0])
    with pytest.raises(Exception, match="the end") as failure:
        cue.push([second])
    assert KEPT / 2 < len(str(failure.value)) < 2 * KEPT
    cue.close()


def test_large_frames_and_maps_do_not_block_each_other(tmp_path: Path) -> None:
    # Many times what a pipe holds in both directions, and the program writes much before it reads on.
    code = """
        import numpy as np
        from gasp.messages import serve_cue
        serve_cue(lambda frame: np.repeat(np.repeat(frame.image, 2, 0), 2, 1))
    """
    large = texture(360, 640, 1)
    frames = [replace(observe(large), number=n) for n in range(30)]
    results = run(CueRunner(CommandCue("large", program(tmp_path, code)), Events()), frames, batch=30)
    assert all(result.map.shape == (720, 1280, 3) for result in results)
    assert len(results) == 30


def test_a_program_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cue 'mine'.*no program 'no-such-program'"):
        CommandCue("mine", ["no-such-program", "-v"])
    plain = tmp_path / "notes.txt"
    plain.write_text("nothing to run")
    with pytest.raises(UsageError, match="cue 'mine'"):
        CommandCue("mine", [str(plain)])


def test_a_program_that_the_system_cannot_run_is_a_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF and nothing else")
    broken.chmod(0o755)
    results = run(CueRunner(CommandCue("broken", [str(broken)]), Events()), observations(2))
    assert len(results) == 2
    assert "cannot be run" in caplog.text or "cannot be started" in caplog.text


@pytest.mark.parametrize(("needs", "said"), [("past=5", "past: 5"), ("future=3", "future: 3")])
def test_a_program_that_needs_more_than_the_pipeline_says_is_refused(
    tmp_path: Path, needs: str, said: str
) -> None:
    code = f"""
        from gasp.messages import serve_cue
        serve_cue(lambda frame: frame.image[..., 0], {needs})
    """
    cue = CommandCue("needy", program(tmp_path, code), past=4, future=2)
    with pytest.raises(UsageError, match=rf"needy: .* needs {said}, but the pipeline says"):
        cue.push(observations(4))
    cue.close()


def test_its_work_overlaps_with_ours(tmp_path: Path) -> None:
    code = """
        import time
        from gasp.messages import serve_cue
        serve_cue(lambda frame: time.sleep(0.3) or frame.image[..., 0])
    """
    cue = CommandCue("slow", program(tmp_path, code))
    first, second = observations(2)
    cue.push([first])
    receive = cue.submit([second])
    time.sleep(0.4)  # our own work
    started = time.monotonic()
    receive()
    assert time.monotonic() - started < 0.2
    cue.close()


def test_the_whole_group_ends_when_it_is_closed_or_forgotten(tmp_path: Path) -> None:
    code = (
        SPEAKING
        + """
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    frame = hear()
    say("result", {"number": 0, "found": {1: {"pid": child.pid}}}, {"map": np.zeros((2, 2), np.uint8)})
    time.sleep(60)
"""
    )
    for forget in (False, True):
        cue = CommandCue("parent", program(tmp_path, code))
        [result] = cue.push(observations(1))
        grandchild = int(result.found[1]["pid"])
        assert alive(grandchild)
        if forget:
            del cue
            gc.collect()
        else:
            cue.close()
            cue.close()
        assert eventually(lambda pid=grandchild: not alive(pid))  # type: ignore[misc]


@pytest.mark.parametrize("how", ["leave", signal.SIGKILL])
def test_it_ends_with_us(tmp_path: Path, how: Any) -> None:
    command = program(tmp_path, textwrap.dedent(SPEAKING) + "result(hear()); time.sleep(60)")
    ours = f"""
        import time, numpy as np
        from gasp.cues.command import CommandCue
        from gasp.cues.observation import Observation
        from gasp.video.frames import Frame
        cue = CommandCue("x", {command})
        picture = np.zeros((8, 8, 3), np.uint8)
        cue.push([Observation(Frame(0, 0.0, picture), picture, (2, 2))])
        print(cue._conversation._link.pid, flush=True)
        {"" if how == "leave" else "time.sleep(60)"}
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ours)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    if how != "leave":
        assert alive(pid)
        parent.send_signal(how)
    parent.wait(20)
    parent.stdout.close()
    assert eventually(lambda: not alive(pid))


def test_a_program_may_leave_by_itself_at_the_end(tmp_path: Path) -> None:
    code = (
        FAITHFUL
        + f"""
    import pathlib, time
    time.sleep(0.2)
    pathlib.Path({str(tmp_path / "saved")!r}).write_text("all")
"""
    )
    run(CueRunner(CommandCue("polite", program(tmp_path, code)), Events()), observations(2))
    assert (tmp_path / "saved").read_text() == "all"
