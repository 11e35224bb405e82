"""Cue maps and targets of every frame, in the folder layout of 2021: ``<frame>/<name>_1.jpg``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from gasp.datasets.drawn_truth import draw_density, draw_points
from gasp.datasets.grouped import CAPTURED, DENSITY, FIXATIONS, picture_name
from gasp.datasets.video_set import VideoSet
from gasp.errors import OutputError, UsageError
from gasp.pipeline.prediction import Prediction
from gasp.results.folder import RunFacts, RunFolder
from gasp.results.sink import Pieces, Sink
from gasp.video import VideoSource
from gasp.work.files import flush, flush_names, link, read_json, remove, write_json
from gasp.work.folder import NAME as WORK

FORMAT = "gasp-frames-1"
READY = "manifest.json"
"""The manifest of frames that only have to be put in place."""


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """What is written of each frame.

    ``size``: (height, width) of every picture; the aspect ratio is not kept, as in 2021. ``targets``: also the density
    and the fixation map. ``prediction``: also the fused map (``det_transformed_gasp``).
    """

    size: tuple[int, int] = (500, 500)
    targets: bool = True
    prediction: bool = False

    def __post_init__(self) -> None:
        if not all(0 < side <= 8192 for side in self.size):
            raise UsageError(f"pictures of {self.size[1]} x {self.size[0]} pixels cannot be written")


class GroupedFramesSink(Sink):
    """The pictures of every frame of one video of a set."""

    name = "frames"

    def __init__(self, videos: VideoSet, video: str, settings: GenerateSettings) -> None:
        self._videos, self._video, self._settings = videos, video, settings
        self._checksums: dict[str, str] = {}
        self._names: set[str] = set()

    def begin(self, folder: Path, source: VideoSource) -> None:
        """A piece begins."""
        self._folder, self._checksums, self._names = folder, {}, set()

    def write(self, prediction: Prediction) -> None:
        """Writes the pictures of a frame; frame folders count from 1."""
        number = str(prediction.index + 1)
        folder = self._folder / number
        folder.mkdir()
        digest = hashlib.sha256()
        for name, data in _encoded(self._pictures(prediction), self._settings.size):
            (folder / name).write_bytes(data)
            digest.update(f"{name}:{hashlib.sha256(data).hexdigest()};".encode())
            self._names.add(name)
        self._checksums[number] = digest.hexdigest()

    def piece(self) -> dict[str, Any]:
        """A checksum for each frame, and names of files."""
        return {"sha256": self._checksums, "names": sorted(self._names)}

    def join(self, pieces: Pieces) -> None:
        """All frame folders in one folder."""
        for piece in pieces:
            for frame in piece.folder.iterdir():
                folder = pieces.into / frame.name
                folder.mkdir()
                for file in frame.iterdir():
                    link(file, folder / file.name)

    def _pictures(self, prediction: Prediction) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Names on disk and pictures of a frame."""
        # The cue's picture of the frame is small; this one may be wanted larger.
        yield CAPTURED, prediction.image
        for modality, drawn in prediction.cues.items():
            if modality != CAPTURED:
                yield picture_name(modality), drawn
        if self._settings.prediction:
            yield picture_name("gasp"), np.rint(prediction.saliency * 255).astype(np.uint8)
        if self._settings.targets:
            known = self._videos.video(self._video)
            fixations = self._videos.fixations_at(self._video, prediction.index)
            yield (
                DENSITY,
                draw_density(fixations, known, self._videos.sigma(self._video), self._settings.size),
            )
            yield FIXATIONS, draw_points(fixations, known, self._settings.size)


def _encoded(
    pictures: Iterable[tuple[str, NDArray[np.uint8]]], size: tuple[int, int]
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


class _EarlierFrames(BaseModel):
    """What is relied on of an earlier manifest."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    format: str
    fingerprint: str
    frames: int
    names: list[str] = []


@dataclass(frozen=True)
class FramesFolder(RunFolder):
    """``<root>/Grouped_frames/<dataset>/<video>/``, which appears and is replaced as a whole.

    ``<root>/Manifests/<dataset>/<video>.json`` says what it is, with a checksum for every frame. ``plan``: what the
    manifest tells of settings.
    """

    root: Path
    dataset: str
    video: str
    plan: dict[str, Any]

    @property
    def folder(self) -> Path:  # type: ignore[override]
        """The frames."""
        return self.root / "Grouped_frames" / self.dataset / self.video

    @property
    def manifest(self) -> Path:
        """What they are."""
        return self.root / "Manifests" / self.dataset / f"{self.video}.json"

    @property
    def work(self) -> Path:  # type: ignore[override]
        """Where they grow."""
        return self.root / WORK / self.dataset / self.video

    def finished(self, fingerprint: str) -> int | None:
        """See :class:`RunFolder`."""
        earlier = self._earlier()
        if earlier is None or earlier.fingerprint != fingerprint or not self.folder.is_dir():
            return None
        return earlier.frames if sum(1 for _ in self.folder.iterdir()) == earlier.frames else None

    def check(self, names: Iterable[str], *, overwrite: bool) -> None:
        """See :class:`RunFolder`."""
        if overwrite or not os.path.lexists(self.folder):
            return
        earlier = self._earlier()
        if earlier is None:
            raise OutputError(
                f"{self.folder} holds frames that `gasp generate` did not write, perhaps half-written by another "
                "program; remove the folder, or replace it with --overwrite"
            )
        foreign = next(self._foreign(earlier), None)
        if foreign is not None:
            raise OutputError(
                f"{foreign} was not written by `gasp generate`, and new frames replace the whole folder; move it away, "
                "or have it replaced with --overwrite"
            )

    def describe(self, facts: RunFacts) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        [said] = facts.sinks.values()
        return {
            "format": FORMAT,
            "fingerprint": facts.fingerprint,
            "plan": self.plan,
            "events": dict(facts.events),
            "frames": facts.done,
            "names": sorted({name for piece in said for name in piece["names"]}),
            "sha256": {frame: value for piece in said for frame, value in piece["sha256"].items()},
        }

    def publish(self, assembled: Path, manifest: dict[str, Any], *, overwrite: bool) -> None:
        """See :class:`RunFolder`. What an interruption leaves undone, :meth:`recover` does."""
        self.check((), overwrite=overwrite)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.manifest.parent.mkdir(parents=True, exist_ok=True)
        flush(assembled)
        write_json(self.work / READY, manifest)
        self._put_in_place(assembled, self.work / READY)

    def publish_partial(self, assembled: Path, manifest: dict[str, Any]) -> None:
        """Unfinished frames are not shown: a folder of frames is whole, or not there."""

    def recover(self) -> bool:
        """See :class:`RunFolder`: what :meth:`publish` left undone."""
        ready, assembled = self.work / READY, self.work / "assembled"
        if not ready.is_file():
            return False
        self._put_in_place(assembled, ready)
        return True

    def _put_in_place(self, assembled: Path, ready: Path) -> None:
        """Can be done again after an interruption at any place."""
        if assembled.is_dir():
            # Until the new manifest is there, an old one must not speak for the new frames.
            self.manifest.unlink(missing_ok=True)
            if self.folder.exists():
                remove(self.work / "replaced")
                os.replace(self.folder, self.work / "replaced")
            os.replace(assembled, self.folder)
            flush_names(self.folder.parent)
        os.replace(ready, self.manifest)
        flush_names(self.manifest.parent)

    def _earlier(self) -> _EarlierFrames | None:
        content = read_json(self.manifest)
        try:
            earlier = None if content is None else _EarlierFrames(**content)
        except (ValidationError, TypeError):
            return None
        return earlier if earlier is not None and earlier.format == FORMAT else None

    def _foreign(self, earlier: _EarlierFrames) -> Iterator[Path]:
        """Files among the frames that are not ours."""
        numbers = {str(number) for number in range(1, earlier.frames + 1)}
        names = set(earlier.names)
        for frame in self.folder.iterdir():
            if frame.name not in numbers or not frame.is_dir():
                yield frame
            elif names:
                yield from (file for file in frame.iterdir() if file.name not in names)
