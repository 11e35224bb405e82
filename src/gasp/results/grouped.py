"""The maps of one video."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp._version import __version__
from gasp.config.settings import PredictSettings
from gasp.datasets.drawn_truth import draw_density, draw_points
from gasp.datasets.grouped import CAPTURED, DENSITY, FIXATIONS, picture_name
from gasp.datasets.video_set import VideoSet
from gasp.errors import InputError, OutputError
from gasp.pipeline.pipeline import Networks, Pipeline
from gasp.pipeline.predict import predict_source, step_of
from gasp.pipeline.prediction import Prediction
from gasp.results.grouped_settings import GenerateSettings
from gasp.results.grouped_work import VideoPlace
from gasp.video import open_source
from gasp.weights import describe
from gasp.work.files import checksum

logger = logging.getLogger(__name__)

Report = Callable[[str, int, int], None]
"""Called as (dataset/video, frames done, frames expected)."""

# How fast, not what.
_WITHOUT_EFFECT = {"batch", "device", "threads"}


@dataclass(frozen=True)
class VideoSummary:
    """How a video went. ``events`` counts what went wrong in the pipeline without stopping it."""

    video: str
    frames: int
    unchanged: bool
    events: dict[str, int] = field(default_factory=dict)


def generate_video(
    videos: VideoSet,
    video: str,
    root: Path,
    settings: PredictSettings,
    options: GenerateSettings,
    networks: Networks,
    *,
    overwrite: bool = False,
    report: Report = lambda name, done, total: None,
) -> VideoSummary:
    """Writes ``Grouped_frames/<dataset>/<video>/``; goes on where an earlier run with the same plan was stopped.

    Results appear as a whole and replace earlier ones as a whole. Raises :class:`~gasp.errors.GaspError`.
    """
    place = VideoPlace(root, videos.name, video)
    label = f"{videos.name}/{video}"
    plan = _plan(videos, video, settings, options, networks)
    fingerprint = hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()
    with place.locked(), _writing(place):
        if place.is_complete(fingerprint) and not overwrite:
            frames = videos.video(video).frames
            report(label, frames, frames)
            return VideoSummary(label, 0, True)
        if not overwrite and not place.ready():
            place.check_replaceable()
        done = place.begin(fingerprint)
        if not place.ready():
            events = _write_frames(
                videos, video, place, settings, options, networks, done, lambda n, t: report(label, n, t)
            )
            place.finish({"fingerprint": fingerprint, "plan": plan, "events": events})
        frames, events = _described(place)
        place.put_in_place()
        return VideoSummary(label, frames, False, events)


@contextmanager
def _writing(place: VideoPlace) -> Iterator[None]:
    """Turns what the disk refuses into words."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{place.folder} cannot be written: {error.strerror or error}.") from None


def _described(place: VideoPlace) -> tuple[int, dict[str, int]]:
    manifest = json.loads((place.partial / "manifest.json").read_text(encoding="utf-8"))
    return manifest["frames"], manifest["events"]


def _plan(
    videos: VideoSet, video: str, settings: PredictSettings, options: GenerateSettings, networks: Networks
) -> dict[str, Any]:
    """Everything that decides what the results are."""
    plan: dict[str, Any] = {
        "gasp": __version__,
        "video": checksum(videos.video(video).path),
        "settings": settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "options": asdict(options),
        "weights": {name: describe(path).get("sha256") for name, path in networks.weights.items()},
    }
    if options.targets:
        plan["gaze"] = _gaze_fingerprint(videos, video)
    return plan


def _gaze_fingerprint(videos: VideoSet, video: str) -> str:
    fixations = videos.fixations(video)
    digest = hashlib.sha256(f"{videos.sigma(video)}".encode())
    for values in (fixations.x, fixations.y, fixations.onset, fixations.duration, fixations.weight):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _write_frames(
    videos: VideoSet,
    video: str,
    place: VideoPlace,
    settings: PredictSettings,
    options: GenerateSettings,
    networks: Networks,
    done: int,
    report: Callable[[int, int], None],
) -> dict[str, int]:
    """Writes the frames from ``done`` on, segment by segment; what went wrong on the way."""
    with open_source(videos.video(video).path) as source:
        pipeline = Pipeline(settings, networks, step=step_of(source, settings))
        start = max(0, done - options.warm_up)
        expected = source.frame_count or 0
        first, frames = done, 0
        checksums: dict[str, str] = {}
        for prediction in predict_source(source, pipeline, start_index=start):
            if prediction.index < done:
                continue
            number = prediction.index + 1
            pictures = _pictures(videos, video, prediction, options)
            checksums[str(number)] = _write_frame(place, number, _encoded(pictures, options.size))
            frames += 1
            if frames == options.segment:
                place.finish_segment(first, frames, checksums)
                first, frames, checksums = number, 0, {}
            report(number, max(number, expected))
        if frames:
            place.finish_segment(first, frames, checksums)
        if first + frames == 0:
            raise InputError(f"{source.path}: no frame could be read")
        return dict(pipeline.events)


def _pictures(
    videos: VideoSet, video: str, prediction: Prediction, options: GenerateSettings
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names on disk and pictures of a frame."""
    # The cue's picture of the frame is small; this one may be wanted larger.
    yield CAPTURED, prediction.image
    for modality, drawn in prediction.cues.items():
        if modality != CAPTURED:
            yield picture_name(modality), drawn
    if options.prediction:
        yield picture_name("gasp"), np.rint(prediction.saliency * 255).astype(np.uint8)
    if options.targets:
        known, fixations = videos.video(video), videos.fixations_at(video, prediction.index)
        yield DENSITY, draw_density(fixations, known, videos.sigma(video), options.size)
        yield FIXATIONS, draw_points(fixations, known, options.size)


def _encoded(
    pictures: Iterator[tuple[str, NDArray[np.uint8]]], size: tuple[int, int]
) -> Iterator[tuple[str, bytes]]:
    """File names and JPEG data; an entirely black picture is left out, but the frame itself is always there."""
    for name, picture in pictures:
        if not picture.any() and name != CAPTURED:
            continue
        height, width = size
        if picture.shape[:2] != size:
            shrinks = picture.shape[0] > height and picture.shape[1] > width
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            picture = np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)
        _, data = cv2.imencode(".jpg", picture if picture.ndim == 2 else picture[..., ::-1])
        yield f"{name}_1.jpg", data.tobytes()


def _write_frame(place: VideoPlace, number: int, files: Iterator[tuple[str, bytes]]) -> str:
    """Writes the files of a frame; one checksum of their names and contents."""
    folder = place.partial / "frames" / str(number)
    digest = hashlib.sha256()
    folder.mkdir(exist_ok=True)
    for name, data in files:
        (folder / name).write_bytes(data)
        digest.update(f"{name}:{hashlib.sha256(data).hexdigest()};".encode())
    return digest.hexdigest()
