"""Generating many videos, in several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gasp.config.settings import PredictSettings
from gasp.datasets.video_set import VideoSet
from gasp.errors import GaspError, UsageError
from gasp.pipeline.pipeline import Networks
from gasp.results.grouped import Report, VideoSummary, generate_video
from gasp.results.grouped_settings import GenerateSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerateSummary:
    """How it went: videos that are in place, and those that failed with the reason."""

    done: list[VideoSummary] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def generate(
    videos: VideoSet,
    names: Sequence[str],
    root: str | Path,
    settings: PredictSettings | None = None,
    options: GenerateSettings | None = None,
    *,
    jobs: int = 1,
    overwrite: bool = False,
    networks: Networks | None = None,
    report: Report = lambda name, done, total: None,
) -> GenerateSummary:
    """Writes the maps of the videos ``names`` of a set below ``root`` (``datasets/processed``).

    ``jobs``: videos at a time, each in a process of its own. Results do not depend on it. ``networks``: those of the
    settings, where they are loaded already (several processes load their own). A video that fails is named;
    the others are still done. What was finished before an interruption is kept, and the same call goes on from there.
    """
    settings = settings or PredictSettings()
    if jobs < 1:
        raise UsageError(f"at least 1 job is needed, not {jobs}")
    if settings.every != 1:
        raise UsageError(f"every = {settings.every}: maps are generated of every frame")
    work = partial(
        generate_video,
        videos,
        root=Path(root),
        settings=settings,
        options=options or GenerateSettings(),
        overwrite=overwrite,
    )
    summary = GenerateSummary()
    if jobs == 1 or len(names) < 2:
        _one_by_one(work, videos, names, networks, report, summary)
    else:
        _in_processes(work, videos, names, min(jobs, len(names)), report, summary)
    return summary


def _one_by_one(
    work: Any,
    videos: VideoSet,
    names: Sequence[str],
    networks: Networks | None,
    report: Report,
    summary: GenerateSummary,
) -> None:
    networks = networks or Networks.load(work.keywords["settings"])
    for name in names:
        try:
            summary.done.append(work(name, networks=networks, report=report))
        except GaspError as error:
            _fail(summary, f"{videos.name}/{name}", error)


def _in_processes(
    work: Any, videos: VideoSet, names: Sequence[str], jobs: int, report: Report, summary: GenerateSummary
) -> None:
    Networks.load(work.keywords["settings"])  # says what is missing before processes are started
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, context, _start_worker, (work, messages, threads, os.getpid())) as pool:
        waiting = {pool.submit(_work_on, name): name for name in names}
        try:
            while waiting:
                _pass_on(messages, report)
                for future in [future for future in waiting if future.done()]:
                    _take(future, f"{videos.name}/{waiting.pop(future)}", summary)
        except BaseException:
            # What runs is stopped at once: unfinished segments are begun again anyway.
            for process in list(pool._processes.values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _take(future: Future[VideoSummary], label: str, summary: GenerateSummary) -> None:
    try:
        summary.done.append(future.result())
    except GaspError as error:
        _fail(summary, label, error)
    except BrokenProcessPool:
        _fail(summary, label, "a worker process died, perhaps for want of memory; run again, with fewer jobs")


def _fail(summary: GenerateSummary, label: str, error: GaspError | str) -> None:
    summary.failed[label] = str(error)
    logger.error("%s: %s", label, error)


def _pass_on(messages: Any, report: Report) -> None:
    """Reports what workers have sent; waits a little when there is nothing."""
    try:
        report(*messages.get(timeout=0.2))
        while True:
            report(*messages.get_nowait())
    except queue.Empty:
        return


# --- in a worker -----------------------------------------------------------------------------------------

_worker: dict[str, Any] = {}


def _start_worker(work: Any, messages: Any, threads: int, parent: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    networks = Networks.load(work.keywords["settings"])
    _worker["work"] = partial(work, networks=networks, report=lambda *state: messages.put(state))


def _end_with(parent: int) -> None:
    """A worker whose parent was killed has nobody to work for."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work_on(name: str) -> VideoSummary:
    done: VideoSummary = _worker["work"](name)
    return done
