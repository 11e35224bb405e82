"""The progress bar of every command, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gasp.work.progress import Progress, Report, silent

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def progress_bar(quiet: bool = False, total: float = 0, unit: str = "frames") -> Iterator[Report]:
    """A bar per unfinished task: how much is done, how fast, the time left, and the latest values.

    Nothing is drawn where standard error is no terminal.

    Args:
        quiet: draw nothing.
        total: of all tasks together in ``unit``; above 0, another bar is over those.
        unit: what the bar over all tasks counts.
    """
    if quiet:
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    texts = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("count", "rate", "values")]
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *texts[:2], TimeRemainingColumn())
    console = Console(stderr=True)
    with Bars(*columns, texts[2], console=console, disable=not console.is_terminal, transient=True) as bars:
        ids: dict[str, TaskID] = {}
        done: dict[str, float] = {}

        def draw(event: Progress) -> None:
            if event.task not in ids:
                ids[event.task] = bars.add_task(event.task, total=None, count="", rate="", values="")
            one = ids[event.task]
            # A container may promise fewer frames than it holds.
            expected = None if not event.total else max(event.done, event.total)
            bars.update(
                one,
                completed=event.done,
                total=expected,
                visible=expected is None or event.done < expected,
                count=_count(event.done, expected, event.unit),
                rate=_rate(next(task.speed for task in bars.tasks if task.id == one), event.unit),
                values=", ".join(f"{name} {_value(value)}" for name, value in event.values.items()),
            )

        def report(event: Progress) -> None:
            if total > 0 and event.unit == unit:
                done[event.task] = event.done
                draw(Progress(f"all {unit}", min(total, sum(done.values())), total, unit=unit))
            draw(event)

        yield report


def _count(done: float, total: float | None, unit: str) -> str:
    if unit == "bytes":
        return _bytes(done) if total is None else f"{_bytes(done)} of {_bytes(total)}"
    return f"{done:,.0f} {unit}" if total is None else f"{done:,.0f}/{total:,.0f} {unit}"


def _rate(speed: float | None, unit: str) -> str:
    if not speed:
        return ""
    return f"{_bytes(speed)}/s" if unit == "bytes" else f"{speed:.1f} {unit}/s"


def _bytes(count: float) -> str:
    from rich.filesize import decimal

    return decimal(int(count))


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
