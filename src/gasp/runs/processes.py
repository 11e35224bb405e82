"""The same work on many things, in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from gasp.config.settings import PredictSettings
from gasp.errors import GaspError
from gasp.pipeline.predictor import Predictor
from gasp.work.progress import Report

Work = Callable[..., Any]
"""Called as ``work(name, predictor=..., report=...)``; must be picklable, as must be what it returns."""


def run_in_processes(
    work: Work, names: Sequence[str], settings: PredictSettings, jobs: int, report: Report
) -> Iterator[tuple[str, Any]]:
    """The results of ``work`` on each name as they come; a text where one failed, which says why.

    Args:
        work: What is done.
        names: On what.
        settings: Those of the predictor that every process loads for itself.
        jobs: Processes; the cores are shared out among them unless the settings say how many threads each has.
        report: Is told of the progress of all.
    """
    Predictor.load(settings)  # says what is missing before processes are started
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    threads = settings.threads or max(1, (os.cpu_count() or 1) // jobs)
    shared = (work, settings, messages, threads, os.getpid())
    with ProcessPoolExecutor(jobs, context, _start_worker, shared) as pool:
        waiting = {pool.submit(_work_on, name): name for name in names}
        try:
            while waiting:
                _pass_on(messages, report)
                for future in [future for future in waiting if future.done()]:
                    yield waiting.pop(future), _result(future)
        except BaseException:
            # What runs is stopped at once: unfinished pieces are begun again anyway.
            for process in list(pool._processes.values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except GaspError as error:
        return str(error)
    except BrokenProcessPool:
        return "a worker process died, perhaps for want of memory; run again, with fewer jobs"


def _pass_on(messages: Any, report: Report) -> None:
    """Reports what workers have sent; waits a little when there is nothing."""
    try:
        report(messages.get(timeout=0.2))
        while True:
            report(messages.get_nowait())
    except queue.Empty:
        return


# --- in a worker -----------------------------------------------------------------------------------------

_worker: dict[str, Any] = {}


def _start_worker(work: Work, settings: PredictSettings, messages: Any, threads: int, parent: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _worker["work"] = partial(work, predictor=Predictor.load(settings), report=messages.put)


def _end_with(parent: int) -> None:
    """A worker whose parent was killed has nobody to work for."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work_on(name: str) -> Any:
    return _worker["work"](name)
