"""The report of a run: one self-contained page that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2

from gasp.pipeline.prediction import Prediction
from gasp.results.key_frames import KeyFrame, KeyFrames, join_key_frames
from gasp.results.sink import Pieces, Sink
from gasp.results.summary import Summary
from gasp.video import VideoSource
from gasp.visualize.charts import Series, clock, legend, line_chart, stacked_chart
from gasp.visualize.colours import css, modality_colour, person_colour
from gasp.visualize.overlay import OverlayStyle, draw_overlay, shrink_prediction
from gasp.visualize.page import definitions, facts, figure, meter, page, percent, table

_KEYS, _KEYS_OF_A_PIECE = 12, 12
_KEY_WIDTH = 480
_MOST_BANDS = 7
_MOST_ROWS = 20
_ELSEWHERE = "#8d9199"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A key frame: ``frame`` from 0, ``time`` in seconds, ``jpeg`` the picture's file."""

    frame: int
    time: float
    jpeg: bytes


def render_report(manifest: Mapping[str, Any], summary: Summary, thumbnails: Sequence[Thumbnail]) -> str:
    """The page as HTML text.

    ``manifest``: what ``run.json`` holds. Sections without content (no faces, no contributions, one frame) say so in
    a sentence or are left out.
    """
    sections = (
        _header(manifest, summary),
        _key_frames(thumbnails),
        _people(summary),
        _cues(summary, manifest.get("cues", {}), manifest.get("contributions")),
        _focus(summary, manifest["input"]),
        _run(manifest),
    )
    return page(str(manifest["input"]["name"]), sections)


def _header(manifest: Mapping[str, Any], summary: Summary) -> str:
    source = manifest["input"]
    tiles = [(f"{summary.frames:,}", "frame predicted" if summary.frames == 1 else "frames predicted")]
    tiles.append((str(len(summary.people)), "person found" if len(summary.people) == 1 else "people found"))
    on_faces = sum(person.attention for person in summary.people.values()) / summary.frames
    if summary.people:
        tiles.append((percent(min(1.0, on_faces)), "of attention on faces"))
        track, most = summary.ranking()[0]
        tiles.append((f"person {track}", f"draws most: {percent(most.attention / summary.frames)}"))
    if summary.mean_why():
        name, value = max(summary.mean_why().items(), key=lambda item: item[1])
        tiles.append((name, f"decides most: moves {percent(value)} of the map"))
    partial = ' <span class="badge">partial</span>' if manifest["status"] == "partial" else ""
    about = [f"{source['width']} × {source['height']} pixels", f"{source['fps']:.4g} frames per second"]
    if source.get("duration"):
        about.insert(0, clock(source["duration"]))
    about.append("with sound" if source.get("has_sound") else "without sound")
    return (
        f"<h1>{escape(str(source['name']))}{partial}</h1>"
        f'<p class="soft">Where people are predicted to look · {escape(" · ".join(about))} · '
        f"gasp {escape(str(manifest['versions']['gasp']))}</p>" + facts(tiles)
    )


def _key_frames(thumbnails: Sequence[Thumbnail]) -> str:
    if not thumbnails:
        return ""
    figures = "".join(
        figure(
            one.jpeg,
            f"Frame {one.frame} with the predicted heat map",
            f"{clock(one.time)} · frame {one.frame}",
        )
        for one in thumbnails
    )
    return (
        "<h2>Key frames</h2><p class='note'>Where the scene or the attention changes most. The more yellow, "
        f"the more attention. The ring marks the focus.</p><div class='frames'>{figures}</div>"
    )


def _people(summary: Summary) -> str:
    title = "<h2>Attention per person</h2>"
    if not summary.people:
        return title + "<p>No faces were found.</p>"
    note = "<p class='note'>Share of the predicted attention that falls on each face"
    if len(summary.points) < 2:
        return title + note + ".</p>" + _people_table(summary)
    ranking = summary.ranking()
    shown = sorted(track for track, _ in ranking[:_MOST_BANDS])
    series = [
        Series(
            f"person {track}",
            css(person_colour(track)),
            [point.attention.get(track, 0.0) / point.frames for point in summary.points],
        )
        for track in shown
    ]
    if len(ranking) > len(shown):
        others = [
            sum(value for track, value in point.attention.items() if track not in shown) / point.frames
            for point in summary.points
        ]
        series.append(Series(f"{len(ranking) - len(shown)} others", _ELSEWHERE, others))
    chart = stacked_chart(_times(summary), series, unit=percent)
    rest = " over time; the rest lies elsewhere in the picture. Colours are those of the overlay.</p>"
    return title + note + rest + chart + legend(series) + _people_table(summary)


def _people_table(summary: Summary) -> str:
    speaking = any(person.speaking is not None for person in summary.people.values())
    head = ["Person", "Seen", "Frames", "Of all attention", "While visible"] + ["Speaking"] * speaking
    rows = []
    for track, person in summary.ranking()[:_MOST_ROWS]:
        colour = css(person_colour(track))
        seen = clock(person.first) if person.frames == 1 else f"{clock(person.first)} – {clock(person.last)}"
        share = person.attention / summary.frames
        cells = [
            f'<td><i style="background:{colour}"></i>person {track}</td>',
            f'<td class="number">{seen}</td><td class="number">{person.frames:,}</td>',
            f'<td class="number">{meter(share, colour)}<span class="share">{percent(share)}</span></td>',
            f'<td class="number">{percent(person.attention / person.frames)}</td>',
        ]
        if speaking:
            value = "–" if person.speaking is None else f"{person.speaking / person.frames:.2f}"
            cells.append(f'<td class="number">{value}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = len(summary.people) - len(rows)
    note = f"<p class='note'>and {more} more in people.csv</p>" if more > 0 else ""
    return table(head, "".join(rows)) + note


_SHAPLEY = (
    "How much of the predicted attention each cue moves away from where it would be without cues, in the middle of the "
    "picture: the contributions (Shapley values) of all cues add up to the prediction. They say what this pipeline "
    "made of its cues, not what made anybody look."
)
_LEAVE_ONE_OUT = (
    "How much of the predicted attention moves when a cue is left out. That does not add up to the prediction: of two "
    "cues that say the same, neither is missed. It says what this pipeline made of its cues, not what made anybody "
    "look."
)


def _cues(summary: Summary, statements: Mapping[str, str], how: Mapping[str, Any] | None) -> str:
    means = summary.mean_why()
    names = list(dict.fromkeys([*means, *statements]))
    if not names:
        return ""
    html = "<h2>What the cues contribute</h2>"
    series = [
        Series(
            name,
            css(modality_colour(place)),
            [point.why.get(name, 0.0) / point.frames for point in summary.points],
        )
        for place, name in enumerate(means)
    ]
    if not series:
        html += "<p class='note'>Contributions were left out of this run (<code>--why 0</code>).</p>"
    else:
        note = _LEAVE_ONE_OUT if how and how["method"] == "leave one out" else _SHAPLEY
        html += f"<p class='note'>{note}</p>"
        if len(summary.points) > 1:
            most = max(max(one.values) for one in series)
            high = min(1.0, (int(10 * most) + 1) / 10)
            html += line_chart(_times(summary), series, low=0, high=high, unit=percent) + legend(series)
    colours = {one.name: one.colour for one in series}
    rows = "".join(
        f'<tr><td><i style="background:{colours.get(name, _ELSEWHERE)}"></i>{escape(name)}</td>'
        f'<td class="number">{percent(means[name]) if name in means else "–"}</td>'
        f"<td>{escape(statements.get(name, ''))}</td></tr>"
        for name in names
    )
    head = "<tr><th>Cue</th><th class=number>Mean share moved</th><th>What it says</th></tr>"
    return html + f'<div class="scroll"><table>{head}{rows}</table></div>' + _why_table(summary, list(means))


def _why_table(summary: Summary, cues: Sequence[str]) -> str:
    """What cues add to the attention on each person while that is visible."""
    ranking = [(track, person) for track, person in summary.ranking() if person.baseline is not None]
    if not cues or not ranking:
        return ""
    rows = []
    for track, person in ranking[:_MOST_ROWS]:
        assert person.baseline is not None
        points = [person.why.get(cue, 0.0) / person.frames for cue in cues]
        cells = "".join(f'<td class="number">{value:+.1f}</td>' for value in points)
        rows.append(
            f'<tr><td><i style="background:{css(person_colour(track))}"></i>person {track}</td>'
            f'<td class="number">{percent(person.attention / person.frames)}</td>'
            f'<td class="number">{percent(person.baseline / person.frames)}</td>{cells}</tr>'
        )
    note = (
        "<p class='note'>Attention on each person while visible, what of it is expected without cues, and what each "
        "cue adds or takes, in percentage points.</p>"
    )
    return note + table(["Person", "Attention", "Without cues", *cues], "".join(rows))


def _focus(summary: Summary, source: Mapping[str, Any]) -> str:
    if len(summary.points) < 2:
        return ""
    width, height = source["width"], source["height"]
    series = [
        Series(
            "from the left", css(modality_colour(0)), [p.focus_x / p.frames / width for p in summary.points]
        ),
        Series(
            "from the top", css(modality_colour(1)), [p.focus_y / p.frames / height for p in summary.points]
        ),
    ]
    spread = [point.entropy / point.frames for point in summary.points]
    low, high = int(min(spread)), int(max(spread)) + 1
    entropy = [Series("entropy", css(modality_colour(4)), spread)]
    return (
        "<h2>Focus over time</h2><p class='note'>Place of the most salient point, as a share of the "
        "picture's width and height.</p>"
        + line_chart(_times(summary), series, low=0, high=1, unit=percent)
        + legend(series)
        + "<h2>Spread of attention</h2><p class='note'>Entropy of the map in bits: low when all attention is "
        "in one place, high when it is scattered.</p>"
        + line_chart(_times(summary), entropy, low=low, high=high, unit=lambda value: f"{value:.4g}")
    )


def _run(manifest: Mapping[str, Any]) -> str:
    counts, timing, source = manifest["frames"], manifest["timing"], manifest["input"]
    entries = {
        "Input": source.get("path") or "pictures in memory",
        "SHA-256": source.get("sha256") or "–",
        "Frames": f"{counts['done']:,} done, {counts['skipped']:,} skipped, {counts['failed']:,} failed",
        "Time": f"{timing['seconds']:.1f} s, {timing['frames_per_second']} frames per second",
        "Finished": timing["finished"],
    }
    if events := manifest.get("events"):
        entries["Events"] = "; ".join(f"{count} × {event}" for event, count in events.items())
    weights = "".join(
        f"<tr><td>{escape(str(entry.get('name') or entry.get('file', '')))}</td>"
        f"<td>{escape(str(entry.get('licence', 'unknown')))}</td>"
        f"<td><code>{escape(str(entry.get('sha256', '')))}</code></td></tr>"
        for entry in manifest["weights"]
    )
    listed = (
        f"<table><tr><th>Weights</th><th>Licence</th><th>SHA-256</th></tr>{weights}</table>"
        if weights
        else ""
    )
    versions = {**manifest["versions"], **manifest["platform"]}
    return (
        f"<h2>This run</h2>{definitions(entries)}{listed}"
        f"<details open><summary>Settings</summary>{definitions(_settings(manifest))}</details>"
        f"<details><summary>Versions</summary>{definitions(versions)}</details>"
        "<footer>A prediction by a network, not a measurement of anybody's eyes.</footer>"
    )


def _settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, the pipeline by its name: all of it is in run.json."""
    settings = dict(manifest["settings"])
    pipeline = settings.get("pipeline")
    if isinstance(pipeline, Mapping):
        told = [str(pipeline[key]) for key in ("name", "title") if pipeline.get(key)]
        settings["pipeline"] = ": ".join(told) or "of your own"
    return settings


def _times(summary: Summary) -> list[float]:
    return [point.time for point in summary.points]


class ReportSink(Sink):
    """``report.html``: one page with key frames, and charts of the numbers that every run keeps of its frames."""

    name = "report"

    @property
    def files(self) -> tuple[str, ...]:
        """One page."""
        return ("report.html",)

    def begin(self, folder: Path, source: VideoSource) -> None:
        """A piece begins."""
        self._folder, self._keys = folder, KeyFrames(_KEYS_OF_A_PIECE)

    def write(self, prediction: Prediction) -> None:
        """Keeps an image of a frame that tells something new."""
        key, dropped = self._keys.look(prediction)
        for one in dropped:
            self._image(self._folder, one).unlink()
        if key is not None:
            small = draw_overlay(shrink_prediction(prediction, _KEY_WIDTH), OverlayStyle(legend="none"))
            _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
            self._image(self._folder, key).write_bytes(data.tobytes())

    def piece(self) -> dict[str, Any]:
        """The key frames."""
        return self._keys.plain()

    def join(self, pieces: Pieces) -> None:
        """Writes the page."""
        summary = Summary()
        for record in pieces.records():
            summary.add(record)
        thumbnails = [
            Thumbnail(key.frame, key.time, self._image(pieces[place].folder, key).read_bytes())
            for place, key in join_key_frames([piece.about for piece in pieces], _KEYS)
        ]
        page_text = render_report(pieces.manifest, summary, thumbnails)
        (pieces.into / "report.html").write_text(page_text, encoding="utf-8", errors="backslashreplace")

    @staticmethod
    def _image(folder: Path, key: KeyFrame) -> Path:
        return folder / f"key_{key.frame}.jpg"
