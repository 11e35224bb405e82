"""The command ``gasp`` in processes of its own, and clips for it."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from helpers.fork_server import ForkServer
from helpers.observations import texture
from helpers.videos import write_video

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def arguments(*words: object) -> list[str]:
    """The command line of ``gasp`` with these words."""
    return [sys.executable, "-m", "gasp", *map(str, words)]


def gasp(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``gasp`` to its end; with ``options`` of subprocess in a new interpreter, which takes longer."""
    if options or not hasattr(os, "fork"):
        return subprocess.run(
            arguments(*words), capture_output=True, text=True, env=ENVIRONMENT, check=False, **options
        )
    done = shared_server().run(*words, env={"COLUMNS": "120"}, timeout=600)
    assert done.status is not None, f"gasp {words} did not end: {done.err}"
    return subprocess.CompletedProcess([*map(str, words)], done.status, done.out, done.err)


@lru_cache(maxsize=1)
def shared_server() -> ForkServer:
    """The one of this test process."""
    server = ForkServer()
    atexit.register(server.close)
    return server


def start_gasp(*words: object) -> subprocess.Popen[str]:
    """Start ``gasp`` with these words, as a shell in the foreground would: Ctrl-C is heard."""
    return subprocess.Popen(
        arguments(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=_listen_to_interruptions if os.name == "posix" else None,
    )


def _listen_to_interruptions() -> None:
    # Tests that run in the background inherit that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def make_clip(path: Path, count: int) -> Path:
    """Pictures of 96 x 64 that differ, 25 per second, with a tone."""
    wide = texture(64, 96 + 2 * count, smooth=3)
    frames = np.stack([wide[:, 2 * index : 2 * index + 96] for index in range(count)])
    sound = 0.2 * np.sin(np.arange(round(48000 * count / 25)) * 0.1)[None].astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames, sound=sound)
