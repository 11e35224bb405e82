"""How well faces are found and followed.

    python benchmarks/faces.py --data DIR [--videos 011 ...] [--yunet FILE] [--only-videos]

On the videos of ``DIR/findwho``: recall and false boxes per frame (a box counts when it contains the centre of the
marked extent and overlaps it with IoU of at least 0.25), and identity switches, with ``--yunet`` also of YuNet. On
the held-back pictures of ``DIR/eyecrowd``: average precision at IoU 0.5 and 0.25 (backs of heads count neither for
nor against), and, by the pose that is marked and by the brightness of the picture (multiplied, as a shorter
exposure does), the share of heads that are found at the pipeline's threshold (IoU of at least 0.25) and the false
boxes per picture. Last, sharp heads cut out to be close-ups: the share that is found, by pose and by the head's
share of the picture's height.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gasp.datasets.findwho import FindWhoSet
from gasp.datasets.image_set import ImageSet
from gasp.datasets.split import held_back
from gasp.faces.detector import FaceDetector
from gasp.faces.face import Box
from gasp.faces.geometry import iou, iou_matrix
from gasp.faces.glance_reader import HEAD_TO_FACE, GlanceFaceDetector, GlanceReader, Glimpse
from gasp.faces.tracker import FaceTracker
from gasp.faces.yunet import YuNetFaceDetector
from gasp.video import VideoSource, open_source
from gasp.video.cuts import CutDetector
from gasp.video.frames import Frame


def counts(found: Box, marked: Box) -> bool:
    x, y = marked.centre
    return found.x1 <= x <= found.x2 and found.y1 <= y <= found.y2 and iou(found, marked) >= 0.25


def follow(
    data: FindWhoSet, name: str, reader: GlanceReader, other: FaceDetector | None = None
) -> dict[str, float]:
    tracker, cuts = FaceTracker(), CutDetector()
    marked_total = hits = false = frames = switches = 0
    people: list[tuple[Box, int | None]] = []
    identities = set()
    with open_source(data.videos[name].path) as source:
        for frame, glimpse in _looked_at(source, reader):
            cut = cuts.step(glimpse.small)
            found = glimpse.faces if other is None else other.detect([frame.image])[0]
            faces = tracker.step(frame.image, found, frame.time, cut=cut)
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


def by_pose_and_brightness(folder: Path, detector: GlanceFaceDetector) -> None:
    """Prints recall of each pose at each brightness."""
    images = ImageSet(folder)
    away = held_back(images.ids)
    chosen = [i for i, name in enumerate(images.ids) if name in away]
    poses = ("frontal", "profile", "back", "occluded", "all but backs")
    print(f"{'eyecrowd, held back':22s}" + "".join(f"{pose:>15s}" for pose in (*poses, "false/picture")))
    for brightness in (1.0, 0.5, 0.25, 0.125, 0.0625):
        hits, totals = dict.fromkeys(poses, 0), dict.fromkeys(poses, 0)
        false = 0
        for i in chosen:
            picture = np.rint(images.image(i) * brightness).astype(np.uint8)
            heads = [_head(face.box) for face in detector.detect([picture])[0]]
            marked = images.faces(i)
            overlaps = iou_matrix(heads, [face.box for face in marked]).reshape(len(heads), len(marked))
            rows, columns = linear_sum_assignment(-overlaps)
            matched = {c for r, c in zip(rows, columns, strict=True) if overlaps[r, c] >= 0.25}
            false += len(heads) - len(matched)
            for column, face in enumerate(marked):
                kinds = {
                    "frontal": face.frontal, "profile": face.profile, "back": face.back,
                    "occluded": face.occluded, "all but backs": not face.back,
                }  # fmt: skip
                for pose in (pose for pose, holds in kinds.items() if holds):
                    totals[pose] += 1
                    hits[pose] += column in matched
        row = "".join(f"{hits[pose] / max(1, totals[pose]):15.3f}" for pose in poses)
        print(f"brightness x {brightness:<9g}{row}{false / len(chosen):15.2f}")
    print(f"{'heads':22s}" + "".join(f"{totals[pose]:15d}" for pose in poses))


def close_ups(folder: Path, detector: GlanceFaceDetector) -> None:
    """Prints recall of unhidden heads of 60 pixels and more in pictures cut around them."""
    images = ImageSet(folder)
    away = held_back(images.ids)
    print(f"{'eyecrowd, close-ups':22s}" + "".join(f"{pose:>15s}" for pose in ("frontal", "profile")))
    for share in (0.2, 0.35, 0.5, 0.65):
        found: dict[str, list[bool]] = {"frontal": [], "profile": []}
        for i in (i for i, name in enumerate(images.ids) if name in away):
            picture = images.image(i)
            for face in images.faces(i):
                if face.occluded or face.back or face.frontal == face.profile or face.box.height < 60:
                    continue
                cut, head = _cut_around(picture, face.box, share)
                boxes = [_head(other.box) for other in detector.detect([cut])[0]]
                pose = "frontal" if face.frontal else "profile"
                found[pose].append(any(iou(box, head) >= 0.25 for box in boxes))
        print(f"{share:<22g}" + "".join(f"{np.mean(hits):15.3f}" for hits in found.values()))
    print(f"{'heads':22s}" + "".join(f"{len(hits):15d}" for hits in found.values()))


def _cut_around(picture: NDArray[np.uint8], box: Box, share: float) -> tuple[NDArray[np.uint8], Box]:
    """A part of 4 by 3, 480 pixels high, of whose height the head has this share; and the head in it."""
    height, width = box.height / share, box.height / share * 4 / 3
    x, y = box.centre
    left = int(np.clip(x - width / 2, 0, max(0, picture.shape[1] - width)))
    top = int(np.clip(y - height / 2, 0, max(0, picture.shape[0] - height)))
    part = picture[top : top + int(height), left : left + int(width)]
    scale = 480 / part.shape[0]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    corners = np.array([box.x1 - left, box.y1 - top, box.x2 - left, box.y2 - top]) * scale
    part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=how), np.uint8)
    return part, Box(*map(float, corners))


def _head(face: Box) -> Box:
    share_x, share_y, lower = HEAD_TO_FACE
    x, y = face.centre
    width, height = face.width / share_x, face.height / share_y
    y -= lower * height
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def print_followed(detector: str, results: dict[str, dict[str, float]]) -> None:
    """Prints a table of what :func:`follow` found, by video, and the mean."""
    columns = ("recall", "false per frame", "switches", "identities")
    print(f"{detector:8s}" + "".join(f"{column:>17s}" for column in columns))
    for name, found in results.items():
        print(f"{name:8s}" + "".join(f"{found[column]:17.3f}" for column in columns))
    means = [np.mean([found[column] for found in results.values()]) for column in columns]
    print(f"{'mean':8s}" + "".join(f"{mean:17.3f}" for mean in means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--videos", nargs="*", help="none after it: pictures alone")
    parser.add_argument(
        "--yunet", type=Path, metavar="FILE", help="on the videos also YuNet with these weights"
    )
    parser.add_argument("--only-videos", action="store_true")
    options = parser.parse_args()
    reader = GlanceReader()
    data = FindWhoSet(options.data / "findwho")
    names = data.ids if options.videos is None else options.videos
    print_followed("glance", {name: follow(data, name, reader) for name in names})
    if options.yunet is not None:
        yunet = YuNetFaceDetector(options.yunet)
        print_followed("yunet", {name: follow(data, name, reader, yunet) for name in names})
    if options.only_videos:
        return
    for overlap in (0.5, 0.25):
        ap = average_precision(options.data / "eyecrowd", reader, overlap)
        print(f"eyecrowd, held back: average precision at IoU {overlap}: {ap:.3f}")
    for print_table in (by_pose_and_brightness, close_ups):
        print_table(options.data / "eyecrowd", GlanceFaceDetector(reader=reader))


if __name__ == "__main__":
    main()
