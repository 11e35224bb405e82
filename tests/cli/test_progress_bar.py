"""One bar for every command: what it shows of the events that work tells."""

from __future__ import annotations

import io
import pickle
import re
import sys

import pytest

from gasp.cli.progress import progress_bar
from gasp.work.progress import Progress, silent


class Terminal(io.StringIO):
    """Standard error as a terminal would be."""

    def isatty(self) -> bool:
        return True


def make_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called in the test itself: pytest sets standard error anew after fixtures."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "160", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def shown(screen: Terminal) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())


def test_tasks_show_how_much_and_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = make_terminal(monkeypatch)
    with progress_bar() as report:
        report(Progress("a.mp4", 3, 10))
        report(Progress("weights [x]", 1_500_000, 3_000_000, unit="bytes"))
        report(Progress("training", 7, None, {"train_loss": 0.123456, "now": "first"}, unit="steps"))
    text = shown(terminal)
    for part in (
        "a.mp4",
        "3/10 frames",
        "weights [x]",
        "1.5 MB of 3.0 MB",
        "7 steps",
        "train_loss 0.1235, now first",
    ):
        assert part in text, part


def test_a_bar_over_all_tasks_counts_what_it_is_told_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = make_terminal(monkeypatch)
    with progress_bar(total=20) as report:
        report(Progress("a", 10, 10))
        report(Progress("b", 4, 10))
        report(Progress("fetching", 99, 100, unit="bytes"))
    last = shown(terminal).replace("\r", "\n").splitlines()
    assert any("all frames" in line and "14/20 frames" in line for line in last)
    assert not any("113" in line for line in last)


def test_more_frames_than_were_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = make_terminal(monkeypatch)
    with progress_bar() as report:
        report(Progress("a", 12, 10))
        report(Progress("b", 5, None))
    assert "5 frames" in shown(terminal)


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_drawn_for_nobody(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(quiet) as report:
        report(Progress("a", 1, 2))
        assert not quiet or report is silent
    assert capsys.readouterr().err.strip() == ""


def test_events_travel_between_processes() -> None:
    event = Progress("a", 1, 2, {"loss": 0.5}, unit="steps")
    assert pickle.loads(pickle.dumps(event)) == event
