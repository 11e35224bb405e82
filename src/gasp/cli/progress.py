"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from gasp.work.progress import Progress, Report, silent


@contextmanager
def download_progress(quiet: bool = False) -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A bar per file; what the block gets is called as (file, bytes so far, bytes in all or None)."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def report(name: str, done: int, total: int | None) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=total)
            progress.update(bars[name], completed=done, total=total)

        yield report


@contextmanager
def frame_progress(quiet: bool = False, total: int = 0) -> Iterator[Callable[[str, int, int], None]]:
    """A bar per video with the time left; what the block gets is called as (video, frames done, frames in all).

    ``total``: frames of all videos; above 0, another bar is over those.
    """
    if quiet:
        yield lambda name, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars: dict[str, TaskID] = {}
    counts: dict[str, int] = {}
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        everything = progress.add_task("all videos", total=total, visible=total > 0)

        def report(name: str, done: int, expected: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=expected)
            progress.update(bars[name], completed=done, total=expected, visible=done < expected)
            counts[name] = done
            progress.update(everything, completed=sum(counts.values()))

        yield report


@contextmanager
def training_progress(quiet: bool = False) -> Iterator[Callable[[int, int, Mapping[str, float]], None]]:
    """A bar over the steps of a training run with its latest losses; what the block gets is called as (steps done,
    steps in all or 0, values by name).
    """
    if quiet:
        yield lambda done, total, values: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[values]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("training", total=None, values="")

        def report(done: int, total: int, values: Mapping[str, float]) -> None:
            said = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            progress.update(bar, completed=done, total=total or None, values=said)

        yield report


@contextmanager
def progress_bar(quiet: bool = False) -> Iterator[Report]:
    """Bars on standard error, one per task: how far, how fast, and the time left."""
    if quiet:
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:

        def report(progress: Progress) -> None:
            if progress.task not in bars:
                bars[progress.task] = shown.add_task(progress.task, total=None, rate="")
            bar = bars[progress.task]
            speed = shown.tasks[list(bars).index(progress.task)].speed
            rate = f"{speed:.1f} {progress.unit}/s" if speed and progress.unit else ""
            finished = progress.total is not None and progress.done >= progress.total
            shown.update(bar, completed=progress.done, total=progress.total, rate=rate, visible=not finished)

        yield report
