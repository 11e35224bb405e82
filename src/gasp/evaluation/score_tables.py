"""What an evaluation leaves: CSV, JSON, Markdown, LaTeX, and the table of 2021."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gasp.evaluation import diagnostics
from gasp.evaluation.results import Evaluation
from gasp.evaluation.scoring import KEYS, METRICS
from gasp.evaluation.statistics import LEVEL, Interval
from gasp.evaluation.table2021 import Row2021, write_table_2021
from gasp.work.files import replacing

SHOWN_DIAGNOSTIC = "nss"
"""Metric of the tables over scene time and faces."""


OUTPUTS = ("summary.md", "summary.json", "table.tex", "videos.csv", "frames.csv", "metrics.csv")
"""Names of what :func:`write_outputs` writes; further systems have a ``metrics_<name>.csv`` of their own."""


def write_outputs(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Writes all tables into ``folder``, each atomically; the files, in the order of their interest."""
    texts = {
        "summary.md": markdown(evaluation),
        "summary.json": json.dumps(plain(evaluation), indent=2, ensure_ascii=False) + "\n",
        "table.tex": latex(evaluation),
    }
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    _write_videos(evaluation, folder / "videos.csv")
    _write_frames(evaluation, folder / "frames.csv")
    written = [folder / name for name in (*texts, "videos.csv", "frames.csv")]
    first = True
    for place, system in enumerate(evaluation.systems):
        if system.kind == "system":
            name = "metrics.csv" if first else f"metrics_{file_name(system.name)}.csv"
            (folder / name).unlink(missing_ok=True)  # an evaluation is whole: nothing of an older one goes on
            write_table_2021(folder / name, rows_2021(evaluation, place, gates=first))
            written.append(folder / name)
            first = False
    return written


def rows_2021(evaluation: Evaluation, system: int, *, gates: bool = True) -> list[Row2021]:
    """The rows of the table of 2021 for one system."""
    rows = []
    for place, video in enumerate(evaluation.videos):
        scores = dict(zip(KEYS, evaluation.per_video[place, system].tolist(), strict=True))
        known = (
            video.gates[np.isfinite(video.gates).all(1)] if gates and video.gates.size else video.gates[:0]
        )
        mean = known.mean(0).tolist() if known.size else []
        rows.append(Row2021(video.id, video.dataset, len(video.frames), scores, mean))
    return rows


def plain(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but the scores of single frames and videos, in values that JSON knows (NaN becomes null)."""
    summary: dict[str, Any] = {
        "dataset": evaluation.dataset,
        "videos": len(evaluation.videos),
        "frames": evaluation.frame_count,
        "level": LEVEL,
        "information_gain_over": evaluation.gain_over,
        "systems": {
            system.name: {
                "kind": system.kind,
                "frames_without_score": evaluation.undefined(place),
                "scores": {
                    metric.key: asdict(evaluation.overall(place, m)) for m, metric in enumerate(METRICS)
                },
            }
            for place, system in enumerate(evaluation.systems)
        },
    }
    reference = evaluation.reference
    if reference is not None:
        summary["differences"] = {
            "to": evaluation.names[reference],
            "systems": {
                name: {
                    metric.key: asdict(evaluation.difference(place, reference, m))
                    for m, metric in enumerate(METRICS)
                }
                for place, name in enumerate(evaluation.names)
                if place != reference
            },
        }
        summary["variants"] = {
            variant.name: {
                "kind": variant.kind,
                "changed": asdict(variant.changed),
                "moved": asdict(variant.moved),
                "differences": {k: asdict(d) for k, d in zip(KEYS, variant.differences, strict=True)},
            }
            for kind in ("ablation", "sound")
            for variant in diagnostics.variants(evaluation, kind)
        }
        groups = {
            "since_scene": diagnostics.by_scene_time(evaluation, reference, SHOWN_DIAGNOSTIC),
            "faces": diagnostics.by_faces(evaluation, reference, SHOWN_DIAGNOSTIC),
        }
        summary["groups"] = {name: [asdict(group) for group in found] for name, found in groups.items()}
    summary["gates"] = {name: asdict(mean) for name, mean in diagnostics.gates(evaluation).items()}
    summary["problems"] = evaluation.problems.plain()
    summary["about"] = evaluation.about
    return dict(_without_nan(summary))


def written(value: Interval, *, signed: bool = False) -> tuple[str, str]:
    """Mean and interval as text, with sign for differences; a dash where undefined, no interval for one video."""
    if not value.count:
        return "–", ""
    sign = "+" if signed else ""
    mean = f"{value.mean:{sign}.3f}"
    return mean, "" if value.count == 1 else f"[{value.low:{sign}.2f}, {value.high:{sign}.2f}]"


def sections(evaluation: Evaluation) -> list[tuple[str, list[str], list[list[str]]]]:
    """All tables as (title, head, rows of text), for Markdown."""
    titles = [metric.title + ("" if metric.higher else " ↓") for metric in METRICS]
    tables: list[tuple[str, list[str], list[list[str]]]] = []

    def cells(values: Iterable[Interval], signed: bool = False) -> list[str]:
        return [" ".join(written(value, signed=signed)).strip() for value in values]

    places = range(len(METRICS))
    rows = [
        [name, *cells(evaluation.overall(place, m) for m in places)]
        for place, name in enumerate(evaluation.names)
    ]
    count = f"{len(evaluation.videos)} {evaluation.unit}"
    if evaluation.frame_count != len(evaluation.videos):
        count += f", {evaluation.frame_count} frames"
    tables.append((f"Scores: {count}", ["", *titles], rows))
    reference = evaluation.reference
    if reference is None:
        return tables
    rows = [
        [name, *cells((evaluation.difference(place, reference, m) for m in places), signed=True)]
        for place, name in enumerate(evaluation.names)
        if place != reference
    ]
    tables.append((f"Paired differences to {evaluation.names[reference]}", ["", *titles], rows))
    for kind, title in (("ablation", "Each cue left out"), ("sound", "Sensitivity to the sound")):
        found = diagnostics.variants(evaluation, kind)
        if found:
            head = ["", "1 - CC of the predictions", "mass moved", *(f"Δ {title}" for title in titles[:4])]
            rows = [
                [v.name, *cells((v.changed, v.moved)), *cells(v.differences[:4], signed=True)] for v in found
            ]
            tables.append((title, head, rows))
    name = next(metric.title for metric in METRICS if metric.key == SHOWN_DIAGNOSTIC)
    for title, found_groups in (
        ("Time since the scene began", diagnostics.by_scene_time(evaluation, reference, SHOWN_DIAGNOSTIC)),
        ("Number of faces", diagnostics.by_faces(evaluation, reference, SHOWN_DIAGNOSTIC)),
    ):
        if found_groups:
            rows = [[g.label, str(g.frames), *cells([g.score])] for g in found_groups]
            tables.append((title, ["", "frames", f"{name} of {evaluation.names[reference]}"], rows))
    return tables


def markdown(evaluation: Evaluation) -> str:
    """The tables in Markdown."""
    lines = [f"# {evaluation.dataset}", "", notes(evaluation), ""]
    for title, head, rows in sections(evaluation):
        lines += [f"## {title}", "", _row(head), "|" + "---|" * len(head), *map(_row, rows), ""]
    if evaluation.problems.counts:
        lines += ["## Left out or repaired", "", *(f"* {s}" for s in evaluation.problems.sentences()), ""]
    return "\n".join(lines)


def notes(evaluation: Evaluation) -> str:
    """How to read the tables."""
    text = (
        f"Means over videos (a picture is a video of one frame) with {LEVEL:.0%} bootstrap intervals over videos. "
        "↓: lower is better. sAUC: against the fixations on the other videos. "
        f"IG: information gain in bits over the {evaluation.gain_over}."
    )
    if "other observers" in evaluation.names:
        text += (
            " Other observers: each observer is predicted from all others, with the kernel that predicts them best; "
            "for CC, SIM and KLD one half of the observers from the other half (CC corrected to the full number; SIM "
            "and KLD cannot be, and fall short of what can be reached)."
        )
        text += "".join(f" {sentence}" for sentence in _above_the_ceiling(evaluation))
    return text + "".join(f" {sentence}" for sentence in _scored_on_fewer(evaluation))


def _above_the_ceiling(evaluation: Evaluation) -> Iterable[str]:
    """For each system that does better than the other observers: where, and what that may mean."""
    ceiling = evaluation.names.index("other observers")
    for place, system in enumerate(evaluation.systems):
        if system.kind != "system":
            continue
        better = []
        for m, metric in enumerate(METRICS):
            ahead = evaluation.difference(place, ceiling, m).mean * (1 if metric.higher else -1)
            if ahead > 0:
                better.append(metric.title)
        if better:
            yield (
                f"{system.name} exceeds the other observers in {', '.join(better)}: with few observers, or a system "
                "that was fitted to these recordings, that is no sign of being right."
            )


def _scored_on_fewer(evaluation: Evaluation) -> Iterable[str]:
    """For each system whose means leave out videos: how many they are over."""
    total = len(evaluation.videos)
    for place, name in enumerate(evaluation.names):
        counts = [evaluation.overall(place, m).count for m in range(len(METRICS))]
        fewer = [f"{m.title} {count}" for m, count in zip(METRICS, counts, strict=True) if 0 < count < total]
        if fewer:
            yield f"{name} has a score on fewer than all {total} {evaluation.unit}: {', '.join(fewer)}."


def latex(evaluation: Evaluation) -> str:
    """The table of scores for LaTeX (booktabs); the best system in bold, baselines apart."""
    best = {m: evaluation.best(m) for m in range(len(METRICS))}
    arrows = {True: "\\uparrow", False: "\\downarrow"}
    heads = [f"{_escape(metric.title)} ${arrows[metric.higher]}$" for metric in METRICS]
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{tabular}{l" + "r" * len(METRICS) + "}",
        "\\toprule",
        " & " + " & ".join(heads) + " \\\\",
        "\\midrule",
    ]
    previous = evaluation.systems[0].kind
    for place, system in enumerate(evaluation.systems):
        if system.kind != previous:
            lines.append("\\midrule")
            previous = system.kind
        cells = []
        for m in range(len(METRICS)):
            value = evaluation.overall(place, m)
            if not value.count:
                cells.append("--")
                continue
            half = max(value.high - value.mean, value.mean - value.low)
            mean = f"\\mathbf{{{value.mean:.3f}}}" if best[m] == place else f"{value.mean:.3f}"
            spread = "" if value.count == 1 else f" {{\\scriptsize $\\pm {half:.3f}$}}"
            cells.append(f"${mean}${spread}")
        lines.append(f"{_escape(system.name)} & " + " & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def file_name(system: str) -> str:
    """A system's name as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", system)


def _write_videos(evaluation: Evaluation, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video", "dataset", "system", "frames", *KEYS])
        for place, video in enumerate(evaluation.videos):
            for s, system in enumerate(evaluation.systems):
                scores = map(_number, evaluation.per_video[place, s])
                writer.writerow([video.id, video.dataset, system.name, len(video.frames), *scores])


def _write_frames(evaluation: Evaluation, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video", "frame", "time", "since_scene", "faces", "fixations", "system", *KEYS])
        for video in evaluation.videos:
            for f, frame in enumerate(video.frames):
                about = [video.id, int(frame), f"{video.times[f]:.4f}", f"{video.since_cut[f]:.4f}"]
                about += ["" if np.isnan(video.faces[f]) else int(video.faces[f]), int(video.fixations[f])]
                for s, system in enumerate(evaluation.systems):
                    writer.writerow([*about, system.name, *map(_number, video.scores[f, s])])


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    text = text.replace("\\", "/").replace("~", "-").replace("^", "")
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    if isinstance(value, os.PathLike):
        return str(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
