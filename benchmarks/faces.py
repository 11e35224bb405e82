"""How well faces are found and followed.

    python benchmarks/faces.py --data DIR [--videos 011 ...]

On the videos of ``DIR/findwho``: recall and false boxes per frame (a box counts when it contains the centre of the
marked extent and overlaps it with IoU of at least 0.25), and identity switches. On the held-back pictures of
``DIR/eyecrowd``: average precision at IoU 0.5 and 0.25 (backs of heads count neither for nor against).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from gasp.datasets.findwho import FindWhoSet
from gasp.datasets.image_set import ImageSet
from gasp.datasets.split import held_back
from gasp.faces.face import Box
from gasp.faces.geometry import iou, iou_matrix
from gasp.faces.glance_reader import HEAD_TO_FACE, GlanceReader, Glimpse
from gasp.faces.tracker import FaceTracker
from gasp.video import VideoSource, open_source
from gasp.video.cuts import CutDetector
from gasp.video.frames import Frame


def counts(found: Box, marked: Box) -> bool:
    x, y = marked.centre
    return found.x1 <= x <= found.x2 and found.y1 <= y <= found.y2 and iou(found, marked) >= 0.25


def follow(data: FindWhoSet, name: str, reader: GlanceReader) -> dict[str, float]:
    tracker, cuts = FaceTracker(), CutDetector()
    marked_total = hits = false = frames = switches = 0
    people: list[tuple[Box, int | None]] = []
    identities = set()
    with open_source(data.videos[name].path) as source:
        for frame, glimpse in _looked_at(source, reader):
            cut = cuts.step(glimpse.small)
            faces = tracker.step(frame.image, glimpse.faces, frame.time, cut=cut)
            identities |= {face.track_id for face in faces}
            marked = [face.box for face in data.faces(name, frame.index)]
            good = np.array([[counts(face.box, box) for face in faces] for box in marked], bool)
            good = good.reshape(len(marked), len(faces))
            rows, columns = linear_sum_assignment(~good)
            match = {r: c for r, c in zip(rows, columns, strict=True) if good[r, c]}
            marked_total, hits, frames = marked_total + len(marked), hits + len(match), frames + 1
            if marked:
                false += len(faces) - len(match)
            now = []
            for row, box in enumerate(marked):
                before = next((p for p in people if not cut and iou(p[0], box) > 0.3), None)
                identity = faces[match[row]].track_id if row in match else None
                if before and identity and before[1] and identity != before[1]:
                    switches += 1
                now.append((box, identity or (before[1] if before else None)))
            people = now
    return {
        "recall": hits / max(1, marked_total), "false per frame": false / max(1, frames),
        "switches": switches, "identities": len(identities),
    }  # fmt: skip


def _looked_at(source: VideoSource, reader: GlanceReader) -> Iterator[tuple[Frame, Glimpse]]:
    frames = iter(source)
    while batch := list(islice(frames, 8)):
        yield from zip(batch, reader.read([frame.image for frame in batch]), strict=True)


def average_precision(folder: Path, reader: GlanceReader, overlap: float) -> float:
    images = ImageSet(folder)
    away = held_back(images.ids)
    scored: list[tuple[float, bool]] = []
    total = 0
    for i in (i for i, name in enumerate(images.ids) if name in away):
        found = reader.read([images.image(i)], least_score=0.05)[0].faces
        faces = images.faces(i)
        # The marks hold the whole head: compare with heads.
        heads = [_head(face.box) for face in found]
        overlaps = iou_matrix(heads, [face.box for face in faces])
        used: set[int] = set()
        total += sum(not face.back for face in faces)
        for row in np.argsort([-face.score for face in found]):
            column = next(
                (c for c in np.argsort(-overlaps[row]) if c not in used and overlaps[row, c] >= overlap), None
            )
            if column is not None:
                used.add(column)
            if column is None or not faces[column].back:
                scored.append((found[row].score, column is not None))
    scored.sort(key=lambda pair: -pair[0])
    right = np.cumsum([good for _, good in scored])
    precision = right / np.arange(1, len(scored) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(envelope * np.diff(right / total, prepend=0)))


def _head(face: Box) -> Box:
    share_x, share_y, lower = HEAD_TO_FACE
    x, y = face.centre
    width, height = face.width / share_x, face.height / share_y
    y -= lower * height
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--videos", nargs="*")
    options = parser.parse_args()
    reader = GlanceReader()
    data = FindWhoSet(options.data / "findwho")
    results = {name: follow(data, name, reader) for name in options.videos or data.ids}
    print(f"{'video':8s}{'recall':>10s}{'false/frame':>14s}{'switches':>10s}{'identities':>12s}")
    for name, r in results.items():
        print(
            f"{name:8s}{r['recall']:10.3f}{r['false per frame']:14.3f}{r['switches']:10d}{r['identities']:12d}"
        )
    mean = {
        key: np.mean([r[key] for r in results.values()]) for key in ("recall", "false per frame", "switches")
    }
    print(f"{'mean':8s}{mean['recall']:10.3f}{mean['false per frame']:14.3f}{mean['switches']:10.1f}")
    for overlap in (0.5, 0.25):
        ap = average_precision(options.data / "eyecrowd", reader, overlap)
        print(f"eyecrowd, held back: average precision at IoU {overlap}: {ap:.3f}")


if __name__ == "__main__":
    main()
