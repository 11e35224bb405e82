"""The hidden folder in which a run gathers its results, piece by piece, until they are complete.

``OUT/<stem>/.partial/`` holds ``plan.json`` (what the run is: its fingerprint and input) and ``segments/``. A segment
is a folder with all results of some successive frames: ``overlay.mp4``, ``grid.mp4``, ``maps/``,
``records.jsonl``, ``key_<frame>.jpg`` and ``segment.json``. It is written as ``writing/`` and renamed when it
is whole, so that what is under ``segments/`` can be relied on, whatever happened to the run. The whole is
their concatenation.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2

from gasp.pipeline.prediction import Prediction
from gasp.results.key_frames import KeyFrame, KeyFrameFinder, Signature, choose
from gasp.results.maps import resize_map, write_map
from gasp.results.output_settings import OutputSettings
from gasp.results.records import FrameRecord, record_of
from gasp.video import VideoWriter
from gasp.visualize.grid import draw_grid
from gasp.visualize.overlay import OverlayStyle, draw_overlay, shrink_prediction

NAME = ".partial"
_KEY_FRAMES_PER_SEGMENT = 6
_THUMBNAIL = 480


@dataclass(slots=True)
class Segment:
    """A finished segment. What is below ``key_frames`` counts from the beginning of the run, not of the
    segment.

    ``first`` and ``last``: frame indices. ``start`` and ``end``: times in seconds of the first and last
    frame. ``highest_track``: the highest track id so far. ``skipped``: pictures that the source left out so
    far. ``seconds``: working time so far. ``signature``: of the latest key frame.
    """

    folder: Path
    first: int
    last: int
    start: float
    end: float
    frames: int
    modalities: list[str]
    found: list[str]
    key_frames: list[KeyFrame]
    highest_track: int = 0
    skipped: int = 0
    failed: int = 0
    events: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    signature: Signature | None = None

    def records(self) -> Iterator[FrameRecord]:
        """The frames in numbers."""
        with (self.folder / "records.jsonl").open(encoding="utf-8") as file:
            for line in file:
                yield FrameRecord.from_json(line)

    def thumbnail(self, key: KeyFrame) -> Path:
        """The picture of one of its key frames, JPEG."""
        return self.folder / _thumbnail_name(key.frame)

    def save(self, folder: Path) -> None:
        """Write ``segment.json`` into ``folder``."""
        values = asdict(self)
        del values["folder"]
        (folder / "segment.json").write_text(json.dumps(values), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Segment:
        """The segment in ``folder``. Raises ValueError, KeyError or TypeError for a damaged description."""
        values: dict[str, Any] = json.loads((folder / "segment.json").read_text(encoding="utf-8"))
        signature = values.pop("signature")
        keys = [KeyFrame(**key) for key in values.pop("key_frames")]
        return cls(
            **values,
            folder=folder,
            key_frames=keys,
            signature=None if signature is None else Signature(**signature),
        )


def read_plan(run_folder: Path) -> dict[str, Any]:
    """What the unfinished run in ``OUT/<stem>/`` is: its ``fingerprint`` and ``input``; empty without one."""
    try:
        plan = json.loads((run_folder / NAME / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


class WorkFolder:
    """``OUT/<stem>/.partial/``: finished segments, and the place of the one that is being written."""

    def __init__(self, run_folder: Path) -> None:
        self.path = run_folder / NAME
        self.segments: list[Segment] = []

    def begin(
        self, fingerprint: str | None, source: Mapping[str, Any] | None = None, *, anew: bool = False
    ) -> bool:
        """Take up the run with this fingerprint; False if a new one begins: nothing is there, or ``anew``.

        ``source``: what the manifest says of the input, kept beside the fingerprint.
        """
        planned = read_plan(self.path.parent).get("fingerprint")
        known = fingerprint is not None and planned == fingerprint
        self.segments = self._load() if known and not anew else []
        if not self.segments:
            self._clear()
        shutil.rmtree(self.path / "writing", ignore_errors=True)
        (self.path / "segments").mkdir(parents=True, exist_ok=True)
        plan = {"fingerprint": fingerprint, "input": None if source is None else dict(source)}
        (self.path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        return bool(self.segments)

    def add(self, segment: Segment) -> None:
        """Move a segment that is whole to its place."""
        place = self.path / "segments" / f"{segment.first:09d}"
        os.replace(segment.folder, place)
        self.segments.append(replace(segment, folder=place))

    def remove(self) -> None:
        """Remove the whole folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self.path.parent.rmdir()  # unless there are results in it

    def _load(self) -> list[Segment]:
        """The finished segments in order; from the first that cannot be read on, they are removed."""
        folder = self.path / "segments"
        places = sorted(folder.iterdir()) if folder.is_dir() else []
        loaded: list[Segment] = []
        for place in places:
            try:
                loaded.append(Segment.load(place))
            except (OSError, ValueError, KeyError, TypeError):
                break
        for place in places[len(loaded) :]:
            shutil.rmtree(place)
        return loaded

    def _clear(self) -> None:
        for item in self.path.iterdir() if self.path.is_dir() else ():
            if item.is_dir():
                shutil.rmtree(item)
            elif item.name != "lock":
                item.unlink()


class SegmentWriter:
    """Writes the results of successive frames into ``folder``."""

    def __init__(self, folder: Path, outputs: OutputSettings, fps: float, finder: KeyFrameFinder) -> None:
        self._folder = folder
        self._outputs = outputs
        self._fps = fps
        self._finder = finder
        self._videos: dict[str, VideoWriter] = {}
        self._keys: list[KeyFrame] = []
        self._found: set[str] = set()
        self._modalities: dict[str, None] = {}
        self._highest_track = 0
        self._start = self._end = 0.0
        self._first = self._last = 0
        self.frames = 0
        self.whole = False
        folder.mkdir(parents=True)
        if outputs.maps:
            (folder / "maps").mkdir()
        self._records = (folder / "records.jsonl").open("w", encoding="utf-8")

    def write(self, prediction: Prediction) -> None:
        """Add the results of a frame; where that fails, the segment is not ``whole`` and can only be discarded."""
        self.whole = False
        if not self.frames:
            self._first, self._start = prediction.index, prediction.time
        self._last, self._end = prediction.index, prediction.time
        self._note(record_of(prediction))
        if self._outputs.overlay:
            self._show("overlay.mp4", draw_overlay(prediction), prediction.time)
        if self._outputs.grid:
            self._show("grid.mp4", draw_grid(prediction), prediction.time)
        if self._outputs.maps:
            saliency = resize_map(prediction.saliency, self._outputs.map_size)
            write_map(self._folder / "maps", prediction.index, saliency, self._outputs.maps)
        if self._outputs.report:
            self._keep_key_frame(prediction)
        self.frames += 1
        self.whole = True

    def close(self, before: Segment | None) -> Segment:
        """Finish the files; what counts from the beginning of the run goes on from ``before``."""
        self._records.close()
        for video in self._videos.values():
            video.close()
        return Segment(
            folder=self._folder,
            first=self._first,
            last=self._last,
            start=self._start,
            end=self._end,
            frames=self.frames,
            modalities=list(self._modalities),
            found=sorted(self._found),
            key_frames=self._keys,
            highest_track=max(self._highest_track, before.highest_track if before else 0),
            signature=self._finder.latest,
        )

    def discard(self) -> None:
        """Give up: close files and remove them. Never raises."""
        with suppress(OSError):
            self._records.close()
        for video in self._videos.values():
            video.abort()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _note(self, record: FrameRecord) -> None:
        self._records.write(record.to_json() + "\n")
        self._modalities.update(dict.fromkeys(record.gates))
        for person in record.people:
            self._found.update(person.found)
            self._highest_track = max(self._highest_track, person.track_id)

    def _show(self, name: str, picture: Any, time: float) -> None:
        if name not in self._videos:
            height, width = picture.shape[:2]
            self._videos[name] = VideoWriter(self._folder / name, width, height, self._fps, start=self._start)
        self._videos[name].write(picture, time)

    def _keep_key_frame(self, prediction: Prediction) -> None:
        key = self._finder.look(prediction)
        if key is None:
            return
        thumbnail = draw_overlay(shrink_prediction(prediction, _THUMBNAIL), OverlayStyle(gates=False))
        _, data = cv2.imencode(".jpg", thumbnail[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        (self._folder / _thumbnail_name(key.frame)).write_bytes(data.tobytes())
        kept = choose([*self._keys, key], _KEY_FRAMES_PER_SEGMENT)
        for dropped in {*self._keys, key} - set(kept):
            (self._folder / _thumbnail_name(dropped.frame)).unlink()
        self._keys = kept


def _thumbnail_name(frame: int) -> str:
    return f"key_{frame}.jpg"
