from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gasp.results.records import FrameRecord, PersonRecord
from gasp.results.report import Thumbnail, render_report
from gasp.results.summary import Summary
from gasp.visualize.charts import Series, clock, line_chart, stacked_chart
from gasp.visualize.colours import css, person_colour

VOID = {"meta", "img"}


class Balanced(HTMLParser):
    """Raises when a tag is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        "status": "complete",
        "input": {
            "name": "talk <1>",
            "path": "talk <1>.mp4",
            "sha256": "ab",
            "width": 640,
            "height": 360,
            "fps": 25.0,
            "duration": 4.0,
            "has_sound": True,
        },
        "settings": {"cues": ["captured", "faces"], "sound": True, "device": None},
        "cues": {"captured": "the frame", "faces": "where faces are"},
        "weights": [{"name": "glance", "sha256": "cd", "licence": "MIT"}],
        "frames": {"done": 100, "skipped": 1, "failed": 0},
        "events": {},
        "timing": {"seconds": 4.2, "frames_per_second": 23.8, "finished": "2026-01-01T00:00:00+00:00"},
        "versions": {"gasp": "0.1.0", "torch": None},
        "platform": {"system": "Linux"},
        **changes,
    }


def summary(frames: int = 100, people: int = 2, why: bool = True) -> Summary:
    made = Summary()
    for i in range(frames):
        points = {"captured": -2.5, "faces": 12.5} if why else {}
        expected = 0.1 if why else None
        faces = [
            PersonRecord(k + 1, (0, 0, 9, 9), 0.9, 0.2, {"speaking": 0.5}, expected, points)
            for k in range(people)
        ]
        shares = {"captured": 0.25, "faces": 0.73} if why else {}
        made.add(FrameRecord(i, i / 25, 320.0, 90.0, 1.0, 8.5, {}, faces, shares))
    return made


def check(page: str) -> str:
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower()
    return page


def test_page_is_self_contained_and_says_what_matters() -> None:
    page = check(render_report(manifest(), summary(), [Thumbnail(3, 0.12, b"\xff\xd8jpeg")]))
    for text in (
        *(
            "talk &lt;1&gt;",
            "person 1",
            "person 2",
            "where faces are",
            "MIT",
            "frame 3",
            "73 %",
            "20 %",
            "+12.5",
            "-2.5",
        ),
        *(css(person_colour(2)), "100 done, 1 skipped, 0 failed"),
    ):
        assert text in page
    assert "talk <1>" not in page
    assert page.count("<svg") == 4


@pytest.mark.parametrize("people", [0, 1, 30])
@pytest.mark.parametrize("why", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 50])
def test_any_run(people: int, why: bool, frames: int) -> None:
    page = check(render_report(manifest(), summary(frames, people, why), []))
    assert ("No faces were found" in page) == (people == 0)
    assert ("left out of this run" in page) == (not why)
    assert ("<svg" in page) == (frames > 1)
    assert ("and 10 more" in page) == (people == 30)


def test_partial_run_and_events() -> None:
    events = {"cue faces failed": 3}
    page = check(render_report(manifest(status="partial", events=events), summary(), []))
    assert ">partial<" in page
    assert "3 × cue faces failed" in page


def test_stacked_bands_never_leave_the_chart() -> None:
    bands = [Series(str(k), "#000", [0.8, 0.7]) for k in range(2)]
    heights = [float(y) for y in re.findall(r"\d,([\d.]+)", stacked_chart([0, 1], bands, unit=str))]
    assert min(heights) == 12


def test_lines_are_on_scale() -> None:
    chart = line_chart([0, 10], [Series("a", "#000", [0, 1])], low=0, high=1, unit=str)
    assert "52.0,200.0 948.0,12.0" in chart


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (0.5, "0:00.5"), (9, "0:09"), (62.4, "1:02"), (3723, "1:02:03"), (59.9, "1:00")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
