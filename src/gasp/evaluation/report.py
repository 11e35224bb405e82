"""The report of an evaluation: one self-contained page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from gasp.evaluation import diagnostics
from gasp.evaluation.diagnostics import Group, Variant
from gasp.evaluation.examples import Example
from gasp.evaluation.results import Evaluation
from gasp.evaluation.score_tables import SHOWN_DIAGNOSTIC, notes, written
from gasp.evaluation.scoring import KEYS, METRICS, Metric
from gasp.evaluation.statistics import Interval
from gasp.visualize.charts import Series, legend, line_chart
from gasp.visualize.colours import css, modality_colour
from gasp.visualize.distributions import DotRow, dot_chart
from gasp.visualize.page import definitions, facts, figure, meter, page, table

_BASELINE = "#8d9199"
_EXAMPLES = 6  # of the best and of the worst
_CHANGES = 4  # metrics of which the tables of variants show differences

_STYLE = """
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 6px 28px; }
.charts h3 { font-size: .98rem; margin: .9rem 0 0; }
.wide { display: grid; grid-template-columns: repeat(auto-fill, minmax(480px, 1fr)); gap: 14px 22px; }
.scores th, .scores td { padding-right: 14px; }
.scores small, .plain small { display: block; color: var(--soft); font-size: .8em; }
.scores tr.first td { border-top: 2px solid var(--line); }
td b { font-weight: 650; }
@media (max-width: 560px) { .charts, .wide { grid-template-columns: 1fr; } }
"""


def render_evaluation(evaluation: Evaluation) -> str:
    """The page as HTML text. Sections without content are left out."""
    return page(
        f"{evaluation.dataset}: evaluation",
        (
            _header(evaluation),
            _scores(evaluation),
            _differences(evaluation),
            _distributions(evaluation),
            _examples(evaluation),
            _variants(evaluation, "ablation", "Each cue left out"),
            _variants(evaluation, "sound", "Sensitivity to the sound"),
            _groups(evaluation),
            _gates(evaluation),
            _left_out(evaluation),
            _run(evaluation),
        ),
        extra_style=_STYLE,
    )


def _header(evaluation: Evaluation) -> str:
    count, reference = len(evaluation.videos), evaluation.reference
    tiles = [(f"{count:,}", evaluation.unit)]
    if evaluation.frame_count != count:
        tiles.append((f"{evaluation.frame_count:,}", "frames scored"))
    if reference is not None:
        for key in ("nss", "cc", "aucj"):
            m = KEYS.index(key)
            value = evaluation.overall(reference, m)
            mean, interval = written(value)
            tiles.append((mean, f"{METRICS[m].title} of {evaluation.names[reference]} {interval}"))
    version = escape(str(evaluation.about.get("versions", {}).get("gasp", "")))
    return (
        f"<h1>{escape(evaluation.dataset)}</h1>"
        f'<p class="soft">Predictions against recorded fixations · gasp {version}</p>' + facts(tiles)
    )


def _scores(evaluation: Evaluation) -> str:
    best = {m: evaluation.best(m) for m in range(len(METRICS))}
    bold = " Bold: the best system." if any(place is not None for place in best.values()) else ""
    rows = []
    for place, system in enumerate(evaluation.systems):
        new = place and system.kind != evaluation.systems[place - 1].kind
        cells = [_cell(evaluation.overall(place, m), strong=place == best[m]) for m in range(len(METRICS))]
        mark = f'<i style="background:{_colour(evaluation, place)}"></i>'
        rows.append(
            f"<tr{' class=first' if new else ''}><td>{mark}{escape(system.name)}</td>{''.join(cells)}</tr>"
        )
    return f"<h2>Scores</h2><p class='note'>{escape(notes(evaluation))}{bold}</p>" + table(
        ["", *map(_title, METRICS)], "".join(rows), "scores"
    )


def _differences(evaluation: Evaluation) -> str:
    reference = evaluation.reference
    if reference is None:
        return ""
    rows = [
        f"<tr><td>{escape(name)}</td>"
        + "".join(_cell(evaluation.difference(place, reference, m), signed=True) for m in range(len(METRICS)))
        + "</tr>"
        for place, name in enumerate(evaluation.names)
        if place != reference
    ]
    return (
        f"<h2>Paired differences to {escape(evaluation.names[reference])}</h2>"
        "<p class='note'>Mean over videos of the difference on the same video. An interval without 0 is a difference "
        "that another draw of videos would most likely show too.</p>"
        + table(["", *map(_title, METRICS)], "".join(rows), "scores")
    )


def _distributions(evaluation: Evaluation) -> str:
    shown = [p for p, system in enumerate(evaluation.systems) if system.kind in ("system", "baseline")]
    charts = []
    for m, metric in enumerate(METRICS):
        rows = []
        for place in shown:
            value = evaluation.overall(place, m)
            values = evaluation.per_video[:, place, m].tolist()
            colour = _colour(evaluation, place)
            rows.append(DotRow(evaluation.names[place], colour, values, value.mean, value.low, value.high))
        charts.append(f"<div><h3>{escape(_title(metric))}</h3>{dot_chart(rows)}</div>")
    return (
        "<h2>Distributions</h2><p class='note'>A dot per video (mean of its frames) or picture, the mean of all, and "
        f'its interval.</p><div class="charts">{"".join(charts)}</div>'
    )


def _examples(evaluation: Evaluation) -> str:
    html = ""
    for system in (s.name for s in evaluation.systems if s.kind == "system"):
        examples = [
            example for video in evaluation.videos for example in video.examples if example.system == system
        ]
        examples.sort(key=lambda example: example.scores[KEYS.index("cc")])
        worst, best = (
            examples[: min(_EXAMPLES, len(examples) // 2)],
            examples[::-1][: min(_EXAMPLES, -(-len(examples) // 2))],
        )
        if examples:
            html += (
                f"<h2>Best and worst frames of {escape(system)}</h2><p class='note'>By CC, at most two of a video. The "
                "frame with the fixations, the prediction, and the density of the fixations.</p>"
                f"<h3>Best</h3>{_figures(best)}"
            )
            html += f"<h3>Worst</h3>{_figures(worst)}" if worst else ""
    return html


def _figures(examples: Sequence[Example]) -> str:
    figures = []
    for example in examples:
        nss, cc = (example.scores[KEYS.index(key)] for key in ("nss", "cc"))
        place = f" · frame {example.frame}" if example.time else ""
        alt = f"Frame {example.frame} of {example.video}: fixations, prediction, truth"
        figures.append(figure(example.jpeg, alt, f"{example.video}{place} · CC {cc:.2f} · NSS {nss:.2f}"))
    return f'<div class="wide">{"".join(figures)}</div>'


def _variants(evaluation: Evaluation, kind: str, title: str) -> str:
    found = diagnostics.variants(evaluation, kind)
    if not found:
        return ""
    what = {
        "ablation": "The map of one cue is replaced by a black picture.",
        "sound": "The same pictures without sound, with the sound of the next video, and with their own sound moved. A "
        "prediction that uses the sound changes, and its scores fall.",
    }[kind]
    metrics = METRICS[:_CHANGES]
    heads = ["", "1 − CC", "Mass moved", *(f"Δ {_title(metric)}" for metric in metrics)]
    rows = "".join(_variant_row(variant) for variant in found)
    return (
        f"<h2>{title}</h2><p class='note'>{what} 1 − CC and the share of the map's mass that is elsewhere say how much "
        "the prediction changes; Δ is the score of the variant less that of the whole, paired by video.</p>"
        + table(heads, rows, "scores")
    )


def _variant_row(variant: Variant) -> str:
    changes = _cell(variant.changed) + _cell(variant.moved)
    scores = "".join(_cell(value, signed=True) for value in variant.differences[:_CHANGES])
    return f"<tr><td>{escape(variant.name)}</td>{changes}{scores}</tr>"


def _groups(evaluation: Evaluation) -> str:
    metric = next(metric for metric in METRICS if metric.key == SHOWN_DIAGNOSTIC)
    return _group_section(
        evaluation,
        diagnostics.by_scene_time,
        f"{metric.title} since the scene began",
        "Seconds since the latest cut, or since the beginning. Just after a cut people still look where they looked "
        "before.",
    ) + _group_section(
        evaluation, diagnostics.by_faces, f"{metric.title} by number of faces", "Marked faces, or found ones."
    )


def _group_section(
    evaluation: Evaluation,
    groups_of: Callable[[Evaluation, int, str], list[Group]],
    title: str,
    note: str,
) -> str:
    shown = [p for p, system in enumerate(evaluation.systems) if system.kind in ("system", "baseline")]
    tables = {place: groups_of(evaluation, place, SHOWN_DIAGNOSTIC) for place in shown}
    if not shown or len(tables[shown[0]]) < 2:
        return ""
    labels = [group.label for group in tables[shown[0]]]
    frames = "".join(f'<td class="number">{group.frames:,}</td>' for group in tables[shown[0]])
    rows = "".join(
        f'<tr><td><i style="background:{_colour(evaluation, place)}"></i>{escape(evaluation.names[place])}</td>'
        + "".join(_cell(group.score) for group in tables[place])
        + "</tr>"
        for place in shown
    )
    chart = ""
    if groups_of is diagnostics.by_scene_time:
        chart = _scene_chart(evaluation, tables)
    return f"<h2>{escape(title)}</h2><p class='note'>{escape(note)}</p>{chart}" + table(
        ["", *labels], f'<tr><td class="soft">frames</td>{frames}</tr>{rows}', "scores"
    )


def _scene_chart(evaluation: Evaluation, tables: dict[int, list[Group]]) -> str:
    """Lines over the middles of the groups, for systems with a value in each."""
    first = next(iter(tables.values()))
    times = [(g.low + g.high) / 2 if math.isfinite(g.high) else g.low + 2 for g in first]
    series = [
        Series(evaluation.names[place], _colour(evaluation, place), [g.score.mean for g in groups])
        for place, groups in tables.items()
        if all(g.score.count for g in groups)
    ]
    if not series:
        return ""
    values = [value for one in series for value in one.values]
    low, high = min(0.0, math.floor(min(values))), math.ceil(max(values))
    chart = line_chart(times, series, low=low, high=max(high, low + 1), unit=lambda value: f"{value:.2g}")
    return chart + legend(series)


def _gates(evaluation: Evaluation) -> str:
    means = diagnostics.gates(evaluation)
    if not means:
        return ""
    rows = "".join(
        f'<tr><td><i style="background:{css(modality_colour(place))}"></i>{escape(name)}</td>'
        f'<td class="number">{meter(value.mean, css(modality_colour(place)))}</td>{_cell(value)}</tr>'
        for place, (name, value) in enumerate(means.items())
    )
    return (
        "<h2>Gates</h2><p class='note'>How far the fusion opens its gate for each cue: 0 shuts it out, 1 lets all of "
        "it through. It does not say how much the prediction depends on the cue: leaving it out does (--ablation).</p>"
        + table(["Cue", "", "Mean over videos"], rows, "plain")
    )


def _left_out(evaluation: Evaluation) -> str:
    sentences = evaluation.problems.sentences()
    if not sentences:
        return "<h2>Left out or repaired</h2><p>Nothing: every frame had fixations and a usable map.</p>"
    entries = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>Left out or repaired</h2><ul>{entries}</ul>"


def _run(evaluation: Evaluation) -> str:
    about = evaluation.about
    settings = {name: value for name, value in about.get("settings", {}).items() if name != "pipeline"}
    parts = [f"<h2>This evaluation</h2>{definitions(settings)}"]
    if folders := about.get("systems"):
        parts.append(f"<details open><summary>Folders of maps</summary>{definitions(folders)}</details>")
    if pipeline := about.get("settings", {}).get("pipeline"):
        parts.append(f"<details><summary>Pipeline</summary>{definitions(pipeline)}</details>")
    parts.append(f"<details><summary>Versions</summary>{definitions(about.get('versions', {}))}</details>")
    return "".join(parts)


def _colour(evaluation: Evaluation, place: int) -> str:
    return _BASELINE if evaluation.systems[place].kind == "baseline" else css(modality_colour(place))


def _title(metric: Metric) -> str:
    return metric.title if metric.higher else f"{metric.title} ↓"


def _cell(value: Interval, *, signed: bool = False, strong: bool = False) -> str:
    mean, interval = written(value, signed=signed)
    mean = f"<b>{mean}</b>" if strong else mean
    small = f"<small>{interval}</small>" if interval else ""
    return f'<td class="number">{mean}{small}</td>'
