"""Commands in processes of their own that need not import everything anew.

One process imports what commands need, and forks a child for each: real processes that can crash, be killed, run out of
memory or time, a hundred times as quick as new interpreters. Run as a program this file is that process; it takes and
gives lines of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMANDS = {
    "gasp": "gasp.cli.main",
    "gasp_infer": "gasp.published.commands.infer",
    "gasp_train": "gasp.published.commands.train",
    "gasp_scripts": "gasp.published.commands.scripts",
    "gasp_download_manager": "gasp.published.commands.downloads",
}

IMPORTED = (
    *COMMANDS.values(), "gasp.runs.inputs", "gasp.runs.generate", "gasp.evaluation.evaluate", "gasp.evaluation.folder",
    "gasp.pipeline.live", "gasp.datasets.store", "gasp.cues.speaking", "gasp.cues.motion", "gasp.cues.captured",
    "gasp.cues.faces",
    "gasp.cues.image_saliency", "gasp.cli.predict", "gasp.cli.generate", "gasp.cli.evaluate", "gasp.cli.pack",
    "gasp.cli.models", "gasp.cli.presets", "gasp.cli.download", "gasp.cli.doctor", "gasp.training.recipes",
    "rich.progress",
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status, or minus the number of a signal; None when its time was up."""

    status: int | None
    out: str
    err: str
    seconds: float


class ForkServer:
    """Runs commands; see the module."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def run(
        self,
        *words: object,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout: float = 60,
        memory: int = 0,
        kill_after: float | None = None,
        watch: Path | None = None,
    ) -> Done:
        """Runs ``gasp WORDS...``, or another command, named first, or Python code after ``-c``.

        Args:
            words: The command line; text, or paths.
            cwd: Where.
            env: Further environment variables.
            timeout: Seconds after which it is killed, and has no status.
            memory: Bytes of address space beyond those that it begins with, 0 for no limit.
            kill_after: Seconds after which it gets SIGKILL, counted from when ``watch`` is there.
            watch: A path.
        """
        line = [os.fsencode(str(word)).decode("latin-1") for word in words]
        job = {
            "words": line, "cwd": str(cwd) if cwd else None, "env": env or {}, "timeout": timeout, "memory": memory,
            "kill_after": kill_after, "watch": str(watch) if watch else None,
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def forking() -> Iterator[ForkServer]:
    """A server for the length of a block."""
    server = ForkServer()
    try:
        yield server
    finally:
        server.close()


# --- in the process that forks -------------------------------------------------------------------------------


def serve() -> None:
    """Takes jobs from standard input until that ends."""
    from importlib import import_module

    import cv2
    import torch

    for name in IMPORTED:
        import_module(name)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(job: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = os.fork()
        if not child:
            _be_the_command(job, out.fileno(), err.fileno())
        status = _wait(child, job, began)
        seconds = time.monotonic() - began
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(1 << 20).decode("utf-8", "backslashreplace"))
    return {"status": status, "out": texts[0], "err": texts[1], "seconds": seconds}


def _wait(child: int, job: dict[str, Any], began: float) -> int | None:
    seen = None
    while True:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code)
        now = time.monotonic()
        if seen is None and (job["watch"] is None or os.path.exists(job["watch"])):
            seen = now
        late = now - began > job["timeout"]
        if late or (job["kill_after"] is not None and seen is not None and now - seen >= job["kill_after"]):
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            _, code = os.waitpid(child, 0)
            return None if late else os.waitstatus_to_exitcode(code)
        time.sleep(0.002)


def _be_the_command(job: dict[str, Any], out: int, err: int) -> None:
    """The child: never returns."""
    import resource
    from importlib import import_module

    status = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(job["env"])
        if job["cwd"]:
            os.chdir(job["cwd"])
        if job["memory"]:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * os.sysconf("SC_PAGE_SIZE") + job["memory"]
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        words: Sequence[str] = [os.fsdecode(word.encode("latin-1")) for word in job["words"]]
        if words and words[0] == "-c":
            exec(compile(words[1], "<code>", "exec"), {"__name__": "__main__"})
            status = 0
        else:
            name = words[0] if words and words[0] in COMMANDS else "gasp"
            words = words[1:] if words and words[0] in COMMANDS else words
            status = import_module(COMMANDS[name]).main(words)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
