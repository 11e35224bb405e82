"""Where predictions go: the folder of a run, with everything the command leaves there."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from gasp.errors import GaspError, InputError, OutputError
from gasp.pipeline.prediction import Prediction
from gasp.results import manifest as manifests
from gasp.results.assembly import assemble, publish, publish_partial
from gasp.results.identities import Identities
from gasp.results.key_frames import KeyFrameFinder
from gasp.results.output_settings import OutputSettings
from gasp.results.records import FrameRecord
from gasp.results.work import SegmentWriter, WorkFolder
from gasp.video import VideoSource
from gasp.work import provenance
from gasp.work.interrupts import uninterrupted

_log = logging.getLogger(__name__)

WARM_UP = 100
"""Frames that are predicted again before the place where an interrupted run goes on.

Four seconds at 25 frames per second: more than what any window reaches back (32 frames of a cue, 16 of the fusion),
and the other cues' memories last below a second.
"""
_SEGMENT_FRAMES = 250
_SEGMENT_SECONDS = 60.0


class ResultWriter:
    """Writes ``out_dir/<name of the source>/`` and knows how far an earlier run came::

        with ResultWriter(out_dir, source, settings, outputs=OutputSettings(grid=True)) as results:
            for prediction in predict_source(source, pipeline, start_index=results.start_index):
                results.write(prediction)

    * The same input, settings, outputs, weights and version were completed before: ``complete`` is True on
      entering, nothing has to be predicted and nothing is written (``overwrite`` forces a new run).
    * An earlier run of the same kind was interrupted: ``start_index`` is a little before the first missing
      frame. Predictions of frames that are there already only serve to recognise the people; the result is
      that of an uninterrupted run, except for what pipeline and tracker remember from before the warm-up.
    * Anything else: a new run; complete older results stay in place until the new ones are complete.

    Leaving the block cleanly puts everything together. Leaving it by an exception, Ctrl-C included, saves
    what is there as ``overlay.partial.mp4``, ``frames.partial.csv``, ..., with status "partial" in the
    manifest, and the next run goes on. A process that is killed loses the frames since the latest checkpoint
    (250 frames or a minute).

    ``settings``: plain values for the manifest. ``weights``: what :func:`gasp.weights.own.describe` says of
    each file. ``cues``: statement of each cue for the report. ``events`` counts what went wrong without
    stopping the run, by description (assign a pipeline's counter to have it recorded), ``failed`` the frames
    whose prediction failed. ``resumable``: whether what an interrupted run left is taken up. ``warm_up``: frames
    that are predicted again then if 100 are not enough, None for all of the video. Raises :class:`OutputError` when
    something cannot be written or another run writes to the same folder.
    """

    def __init__(
        self,
        out_dir: str | Path,
        source: VideoSource,
        settings: Mapping[str, Any],
        *,
        outputs: OutputSettings | None = None,
        weights: Sequence[Mapping[str, Any]] = (),
        cues: Mapping[str, str] | None = None,
        overwrite: bool = False,
        resumable: bool = True,
        warm_up: int | None = 0,
        name: str | None = None,
    ) -> None:
        self.folder = Path(out_dir) / (name or source.name)
        self.source = source
        self.outputs = outputs or OutputSettings()
        self.settings = dict(settings)
        self.weights = [dict(entry) for entry in weights]
        self.cues = dict(cues or {})
        self.complete = False
        self.start_index = 0
        self.events: Counter[str] = Counter()
        self.failed = 0
        self._overwrite = overwrite
        self._anew = overwrite or not resumable
        self._warm_up = warm_up
        self._every = int(self.settings.get("every", 1))
        self._work = WorkFolder(self.folder)
        self._writer: SegmentWriter | None = None
        self._finder = KeyFrameFinder()
        self._recorded: dict[int, FrameRecord] = {}
        self._identities: Identities | None = None
        self._next_index = 0
        self._published = False
        self._lock = FileLock(str(self._work.path / "lock"), timeout=0)

    @property
    def frames_done(self) -> int:
        """Frames whose results are there, those of an earlier run included."""
        if self.complete:
            return self._done_before
        written = self._writer.frames if self._writer else 0
        return written + sum(segment.frames for segment in self._work.segments)

    def __enter__(self) -> ResultWriter:
        with self._input_errors():
            self._input = manifests.describe_input(self.source)
        self._fingerprint = manifests.fingerprint(self._input, self.settings, self.outputs, self.weights)
        if not self._overwrite and self._is_complete():
            self.complete = True
            return self
        with self._output_errors():
            self._work.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                if self._work.begin(self._fingerprint, self._input, anew=self._anew):
                    self._resume()
            except BaseException:
                self._lock.release()
                raise
        self._entered = time.monotonic()
        self._started = datetime.now(timezone.utc)
        self._before = self._work.segments[-1] if self._work.segments else None
        return self

    def write(self, prediction: Prediction) -> None:
        """Add a frame; frames come in order. One that is there already is only compared."""
        if self.complete:
            return
        if prediction.index < self._next_index:
            recorded = self._recorded.get(prediction.index)
            if recorded is not None and self._identities is not None:
                self._identities.learn(prediction.faces, recorded)
            return
        if self._identities is not None:
            prediction = replace(prediction, faces=self._identities.rename(prediction.faces))
        with self._output_errors(), uninterrupted():
            writer = self._writer or self._begin_segment()
            writer.write(prediction)
            self.failed += prediction.failed
            self._next_index = prediction.index + self._every
            if writer.frames >= _SEGMENT_FRAMES or time.monotonic() - self._begun >= _SEGMENT_SECONDS:
                self._end_segment()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.complete:
            return
        try:
            if kind is None:
                self._finish()
            else:
                self._save_partial()
        except BaseException:
            if kind is None and not self._published:
                self._save_partial()
            raise
        finally:
            self._discard_writer()
            self._lock.release()

    def _is_complete(self) -> bool:
        manifest = manifests.read_manifest(self.folder) or {}
        self._done_before = manifest.get("frames", {}).get("done", 0)
        return (
            manifest.get("status") == "complete"
            and self._fingerprint is not None
            and manifest.get("fingerprint") == self._fingerprint
            and all((self.folder / name).exists() for name in manifest.get("files", []))
        )

    def _take_lock(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise OutputError(f"{self.folder}: another run is writing there; wait for it to end.") from None

    def _resume(self) -> None:
        latest = self._work.segments[-1]
        self._next_index = latest.last + self._every
        warm_up = max(0, self._next_index - max(WARM_UP, self._warm_up or 0) * self._every)
        # In a damaged file, frames can only be counted from the beginning.
        self.start_index = 0 if latest.skipped or self._warm_up is None else warm_up
        self._finder = KeyFrameFinder(latest.signature)
        self._identities = Identities(latest.highest_track)
        self._recorded = {
            record.frame: record
            for segment in self._work.segments
            if segment.last >= warm_up
            for record in segment.records()
            if record.frame >= warm_up
        }
        _log.info("%s: going on after frame %d.", self.folder, latest.last)

    def _begin_segment(self) -> SegmentWriter:
        self._recorded = {}
        self._begun = time.monotonic()
        folder = self._work.path / "writing"
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = SegmentWriter(folder, self.outputs, self.source.fps / self._every, self._finder)
        return self._writer

    def _end_segment(self) -> None:
        """Make what was written since the latest checkpoint a segment."""
        writer = self._writer
        if writer is None or not writer.whole:
            return
        latest = self._work.segments[-1] if self._work.segments else None
        self._writer = None
        try:
            segment = writer.close(latest)
            segment.skipped, segment.failed = self._skipped(), self._failed()
            segment.events, segment.seconds = dict(self._all_events()), self._seconds()
            segment.save(segment.folder)
            self._work.add(segment)
        except BaseException:
            writer.discard()
            raise

    def _discard_writer(self) -> None:
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def _finish(self) -> None:
        with self._output_errors():
            self._end_segment()
            if not self._work.segments:
                self._work.remove()
                raise InputError(
                    f"{self.source.path or self.source.name}: not one picture could be predicted."
                )
            assembled = self._assemble("complete", self.outputs)
            with uninterrupted():
                publish(assembled, self.folder)
                self._published = True
                self._work.remove()

    def _save_partial(self) -> None:
        """Keep what is there; a second failure must not hide the first, nor what is whole already."""
        for step in (self._end_segment, self._discard_writer, self._publish_partial):
            try:
                with self._output_errors():
                    step()
            except GaspError as error:
                _log.warning("Unfinished results could not be kept: %s", error)

    def _publish_partial(self) -> None:
        if not self._work.segments:
            self._work.remove()
            return
        try:
            assembled = self._assemble("partial", self.outputs)
        except (OSError, OutputError) as error:
            _log.warning("Only tables of the unfinished results could be kept: %s", error)
            assembled = self._assemble("partial", OutputSettings(overlay=False, report=False))
        with uninterrupted():
            publish_partial(assembled, self.folder)

    def _assemble(self, status: str, outputs: OutputSettings) -> Path:
        folder = self._work.path / "assembled"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        assemble(self._work.segments, folder, self.source, outputs, self._manifest(status))
        return folder

    def _manifest(self, status: str) -> dict[str, Any]:
        done, seconds = self.frames_done, self._seconds()
        return {
            "format": manifests.FORMAT,
            "status": status,
            "fingerprint": self._fingerprint,
            "input": self._input,
            "settings": self.settings,
            "outputs": asdict(self.outputs),
            "cues": self.cues,
            "weights": self.weights,
            "frames": {"done": done, "skipped": self._skipped(), "failed": self._failed()},
            "events": dict(self._all_events()),
            "timing": {
                "started": self._started.isoformat(timespec="seconds"),
                "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "seconds": round(seconds, 3),
                "frames_per_second": round(done / seconds, 2) if seconds > 0 else None,
                "resumed": self._before is not None,
            },
            "versions": provenance.versions(),
            "platform": provenance.describe_platform(),
        }

    def _skipped(self) -> int:
        before = self._before.skipped if self._before and self.start_index else 0
        return before + self.source.skipped

    def _failed(self) -> int:
        return self.failed + (self._before.failed if self._before else 0)

    def _seconds(self) -> float:
        return time.monotonic() - self._entered + (self._before.seconds if self._before else 0.0)

    def _all_events(self) -> Counter[str]:
        before = self._before.events if self._before and self.start_index else {}
        return Counter(before) + Counter(self.events)

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be written: {error.strerror or error}.") from error

    @contextmanager
    def _input_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self.source.path} cannot be read: {error.strerror or error}.") from error
