"""Programs that we start and speak to over their standard input and output.

Three threads serve each: one starts it and writes, one reads, and one keeps its standard error flowing. So neither a
program that does not read nor one that writes without end can hold us up, and what waits in memory is bounded by what
it was asked.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import BinaryIO, cast

from gasp.errors import UsageError
from gasp.messages.link import ProgramError
from gasp.messages.message import Message, ProtocolError
from gasp.messages.pipes import PROGRAM, read_message, write_message

KEPT = 8192
"""Bytes of a program's standard error that are kept, the latest."""

_LEAVING = 0.5
"""Seconds in which a program whose output is over should have ended, or a thread whose program has."""

_STARTING = 10.0
"""Seconds in which the system starts a process."""

# The kernel ends the program when we are killed ourselves (1: PR_SET_PDEATHSIG). What Python ignores, the program's
# own defaults must not, or it would outlive the end of its output.
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(ignored, signal.SIG_DFL)
if os.getppid() == int(sys.argv[1]):
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.exit(f"{sys.argv[2]} cannot be run: {error.strerror}")
"""


def find_program(command: Sequence[str], whose: str) -> list[str]:
    """The command with the path of its program; ``python`` is the Python that we run in ourselves.

    Raises :class:`gasp.errors.UsageError` naming ``whose`` program is missing.
    """
    name, *arguments = command
    if name == "python" and sys.executable:
        return [sys.executable, *arguments]
    found = shutil.which(name)
    if found is None:
        raise UsageError(
            f"{whose}: there is no program {name!r} that can be run; give its path (from the pipeline's file), "
            "make it executable, or install it"
        )
    return [found, *arguments]


class Program:
    """A running program, a :class:`~gasp.messages.link.Link` over pipes, in a process group of its own.

    It ends with us: when it is closed or forgotten, when we exit, and, on Linux, also when we are killed.

    Args:
        command: the program, as :func:`find_program` gives it, and its arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._running = _Running(list(command))
        threading.Thread(target=self._running.run, name="program's input", daemon=True).start()
        # The threads hold only what they share, so that a program that nobody asks any more is ended.
        self._end = weakref.finalize(self, self._running.end, 0.0)

    def send(self, make: Callable[[], Message], *, answered: bool = True) -> None:
        """Sends what ``make`` makes; never waits."""
        self._running.expect(int(answered))
        self._running.outgoing.put(make)

    def receive(self, timeout: float) -> Message:
        """The next answer."""
        try:
            answer = self._running.answers.get(timeout=max(0.0, timeout))
        except Empty:
            raise self.failure("does not answer", f"it gave no answer within {timeout:.3g} s") from None
        if isinstance(answer, ProgramError):
            raise answer
        return answer

    def failure(self, fault: str, details: str) -> ProgramError:
        """An error that names the program and shows what it wrote on its standard error last."""
        return self._running.failure(fault, details)

    def close(self, patience: float = 0.0) -> None:
        """Ends the program; may be called again."""
        if self._end.detach() is not None:
            self._running.end(patience)

    @property
    def pid(self) -> int | None:
        """Number of its process, None before it is started."""
        process = self._running.process
        return None if process is None else process.pid


class _Running:
    """What the threads of a program share."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.outgoing: SimpleQueue[Callable[[], Message] | None] = SimpleQueue()
        self.answers: SimpleQueue[Message | ProgramError] = SimpleQueue()
        self._owner = os.getpid()
        self._expected = 0
        self._lock = threading.Lock()
        self._said = b""
        self._started, self._over = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def expect(self, answers: int) -> None:
        """So many more answers are asked for."""
        with self._lock:
            self._expected += answers

    def failure(self, fault: str, details: str) -> ProgramError:
        """As :meth:`Program.failure`."""
        said = self._said.decode(errors="replace").strip()
        shown = f"; on its standard error it wrote:\n{said}" if said else ""
        return ProgramError(fault, f"{shlex.join(self.command)}: {details}{shown}")

    def run(self) -> None:
        """Starts the program, gives it what is sent, and stays until it is over.

        It must stay: what the kernel watches for us is this thread, which started the program.
        """
        try:
            self.process = _start(self.command)
        except OSError as error:
            self.answers.put(self.failure("cannot be started", f"it cannot be started ({error.strerror})"))
            self._started.set()
            return
        for serve in (self._read, self._drain):
            thread = threading.Thread(
                target=serve, args=(self.process,), name="program's output", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        self._started.set()
        self._write(cast("BinaryIO", self.process.stdin))
        self._over.wait()

    def _write(self, stdin: BinaryIO) -> None:
        try:
            while (make := self.outgoing.get()) is not None:
                write_message(stdin, make())
                make = None  # what it holds may be forgotten
        except OSError:
            pass  # it does not read any more; the thread that reads tells why
        except Exception as error:
            self.answers.put(self.failure("cannot be told", f"a message to it cannot be made: {error}"))
        with suppress(OSError):
            stdin.close()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        try:
            while (message := read_message(cast("BinaryIO", process.stdout))) is not None:
                with self._lock:
                    self._expected -= 1
                    unasked = self._expected < 0
                if unasked:
                    error = self.failure(
                        "answers unasked", f"an answer ({message.kind!r}) that nobody asked for"
                    )
                    break
                self.answers.put(message)
            else:
                error = self._ended(process)
        except ProtocolError as problem:
            hint = "; whatever it prints belongs on its standard error"
            error = self.failure("writes no messages", f"what it writes is no message: {problem}{hint}")
        except (OSError, ValueError) as problem:
            error = self.failure("cannot be read", f"its output cannot be read: {problem}")
        self.answers.put(error)

    def _ended(self, process: subprocess.Popen[bytes]) -> ProgramError:
        status = _exit_of(process, _LEAVING)
        self._threads[1].join(_LEAVING)
        if status is None:
            return self.failure("closed its output", "it closed its output")
        how = f"with status {status}" if status >= 0 else f"by signal {-status}"
        return self.failure("ended", f"it ended {how}")

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        stderr = cast("BinaryIO", process.stderr)
        with suppress(OSError, ValueError):
            while said := stderr.read(2**16):
                self._said = (self._said + said)[-KEPT:]

    def end(self, patience: float) -> None:
        """Closes its input, waits that it leaves, ends its whole group, and takes leave of it."""
        if os.getpid() != self._owner:
            return  # a fork of us, which is not the one that started it
        self.outgoing.put(None)
        self._started.wait(_STARTING)
        process = self.process
        if process is None:
            return
        _exit_of(process, patience)
        # Before the process is waited for, nobody else can have its number.
        _kill_group(process)
        process.wait()
        self._over.set()
        for thread, pipe in zip(self._threads, (process.stdout, process.stderr), strict=True):
            if thread is not threading.current_thread():
                thread.join(_LEAVING)
            # A grandchild that left the group may still hold the pipe; to close it while it is read is not safe.
            if pipe is not None and not thread.is_alive():
                pipe.close()


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    launched = command
    if sys.platform == "linux" and sys.executable:
        launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
    process = subprocess.Popen(
        launched,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
        env={**os.environ, PROGRAM: "1"},
    )
    # Unbuffered files may write less than they are given.
    process.stdin = io.BufferedWriter(cast("io.FileIO", process.stdin))
    return process


def _exit_of(process: subprocess.Popen[bytes], patience: float) -> int | None:
    """The exit status, or minus the signal, of a process that ends within so many seconds, else None.

    Where that can be asked so, the process is not taken leave of: its number stays its own.
    """
    if not hasattr(os, "waitid"):
        with suppress(subprocess.TimeoutExpired):
            return process.wait(patience)
        return None
    until = time.monotonic() + patience
    while True:
        try:
            found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return process.returncode
        if found is not None:
            return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        if time.monotonic() >= until:
            return None
        time.sleep(0.002)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
