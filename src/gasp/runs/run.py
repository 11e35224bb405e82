"""One run: a source, a pipeline and sinks, in a folder in which an interrupted run goes on."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gasp._version import __version__
from gasp.errors import GaspError, InputError, OutputError
from gasp.faces.face import Box
from gasp.faces.joining import People, Seen
from gasp.pipeline.pieces import Before, Ended, Grid, Predicted, Span, grid_of, predict_pieces
from gasp.pipeline.predictor import Predictor
from gasp.results.folder import RunFacts, RunFolder
from gasp.results.manifest import describe_input
from gasp.results.records import FrameRecord, read_records, record_of
from gasp.results.sink import RECORDS, Pieces, Sink, SinkPiece
from gasp.results.tables import TablesSink
from gasp.video import VideoSource
from gasp.work.files import remove
from gasp.work.fingerprint import fingerprint
from gasp.work.folder import Piece, WorkFolder
from gasp.work.interrupts import uninterrupted
from gasp.work.progress import Progress, Report, silent
from gasp.work.provenance import version_of

log = logging.getLogger(__name__)


class CancelledError(GaspError):
    """A run was stopped from outside, by ``cancel``; the same call goes on after its last whole piece."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run went. ``done`` frames are in ``folder``; ``unchanged`` tells that they were there already."""

    source: str
    folder: Path
    done: int
    skipped: int
    events: dict[str, int]
    unchanged: bool

    def plain(self) -> dict[str, Any]:
        """The summary for JSON."""
        return {
            "source": self.source,
            "folder": str(self.folder),
            "frames": self.done,
            "skipped": self.skipped,
            "events": self.events,
            "unchanged": self.unchanged,
        }


def run(
    source: VideoSource,
    predictor: Predictor,
    sinks: Sequence[Sink],
    folder: RunFolder,
    *,
    decisive: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    report: Report = silent,
    cancel: Callable[[], bool] | None = None,
) -> RunSummary:
    """Predicts an open source and leaves what the sinks make of it in a folder.

    The same source, predictor and sinks were completed before: nothing is done. An earlier run of the same kind was
    interrupted: its whole pieces are kept, and the others computed; the results are those of an uninterrupted run. What
    is unfinished when an error or Ctrl-C ends the run is published as partial, and the next run goes on.

    Args:
        source: What is predicted.
        predictor: What predicts.
        sinks: What is made of the predictions; new objects.
        folder: Where results go.
        decisive: Plain values that decide what the sinks write.
        overwrite: Begin anew, and replace what stands in the way.
        report: Is told of progress after every frame.
        cancel: Is asked before every frame whether to stop.

    Returns:
        How it went.

    Raises:
        InputError: The source cannot be read, or not one frame of it.
        OutputError: Something cannot be written, another run is at work there, or something that is not ours is in
            the way.
        CancelledError: ``cancel`` said so.
    """
    facts = _input_facts(source)
    print_of = _fingerprint(facts, predictor, decisive or {})
    label = str(source.path or source.name)
    if print_of is not None and not overwrite:
        done = folder.finished(print_of)
        if done is not None:
            return RunSummary(label, folder.folder, done, 0, {}, True)
    work = WorkFolder(folder.work)
    with work.locked():
        with output_errors(folder):
            if folder.recover() and print_of is not None and not overwrite:
                done = folder.finished(print_of)
                if done is not None:
                    work.remove()
                    return RunSummary(label, folder.folder, done, 0, {}, True)
            folder.check([name for sink in sinks for name in sink.files], overwrite=overwrite)
            kept = work.begin(print_of, {"input": facts}, anew=overwrite)
        job = Job(source, predictor, list(sinks), folder, work, facts, print_of, overwrite, report, kept)
        try:
            job.compute(cancel or (lambda: False))
            job.finish()
        except BaseException:
            job.save_partial()
            raise
    return RunSummary(label, folder.folder, job.frames_done, job.skipped, dict(job.events()), False)


def _input_facts(source: VideoSource) -> dict[str, Any]:
    try:
        return describe_input(source)
    except OSError as error:
        raise InputError(f"{source.path} cannot be read: {error.strerror or error}.") from error


def _fingerprint(facts: Mapping[str, Any], predictor: Predictor, decisive: Mapping[str, Any]) -> str | None:
    """Equal for runs with equal results; None for images in memory, which cannot be told apart."""
    if facts["sha256"] is None:
        return None
    return fingerprint(
        {
            "gasp": __version__,
            "encoder": version_of("av"),
            "input": facts["sha256"],
            "predictor": predictor.decisive(),
            **decisive,
        }
    )


@contextmanager
def output_errors(folder: RunFolder) -> Iterator[None]:
    """Turns what the disk refuses into words."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder.folder} cannot be written: {error.strerror or error}.") from error


class _PieceFacts(BaseModel):
    """What is remembered with a piece."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(ge=0)
    first: int = Field(ge=0)
    last: int = Field(ge=0)
    start: float
    end: float
    frames: int = Field(ge=1)
    failed: int = Field(default=0, ge=0)
    skipped: int = Field(default=0, ge=0)
    events: dict[str, int] = Field(default_factory=dict)
    seconds: float = Field(default=0.0, ge=0)
    ends_video: bool = False
    people: dict[str, Any]
    sinks: list[dict[str, Any]]


@dataclass(slots=True)
class _Writing:
    """The piece that is being written, in ``folder``."""

    span: Span
    folder: Path
    records: Any
    began: float
    frames: int = 0
    failed: int = 0
    first: int = 0
    last: int = 0
    start: float = 0.0
    end: float = 0.0
    whole: bool = True
    said: list[dict[str, Any]] | None = None


@dataclass
class Job:
    """A run under way."""

    source: VideoSource
    predictor: Predictor
    sinks: list[Sink]
    folder: RunFolder
    work: WorkFolder
    input: Mapping[str, Any]
    fingerprint: str | None
    overwrite: bool
    report: Report
    kept: list[Piece]
    pieces: dict[int, tuple[Piece, _PieceFacts]] = field(default_factory=dict)
    writing: _Writing | None = None
    published: bool = False

    def __post_init__(self) -> None:
        self.started = datetime.now(timezone.utc)
        for piece in self.kept:
            facts = _read_facts(piece, len(self.sinks))
            if facts is None:
                remove(piece.folder)
            else:
                self.pieces[facts.number] = (piece, facts)
        self.resumed = bool(self.pieces)
        every = self.predictor.settings.every
        count = self.source.frame_count
        self.expected = None if count is None else -(-count // every)

    # --- while frames come -------------------------------------------------------------------------------

    @property
    def frames_done(self) -> int:
        """Frames whose results are there."""
        written = self.writing.frames if self.writing else 0
        return written + sum(facts.frames for _, facts in self.pieces.values())

    @property
    def skipped(self) -> int:
        """Images that the source left out."""
        return max([self.source.skipped, *(facts.skipped for _, facts in self.pieces.values())])

    def events(self) -> Counter[str]:
        """What went wrong without stopping the run."""
        total: Counter[str] = Counter()
        for _, facts in self.pieces.values():
            total.update(facts.events)
        return total

    def compute(self, cancel: Callable[[], bool]) -> None:
        """Predicts and writes the pieces that are missing."""
        pipeline = self.predictor.begin(self.source)
        grid = grid_of(self.source, pipeline)
        if self.resumed:
            log.info("%s: going on; %d frames are there.", self.folder.folder, self.frames_done)
        for first, until in self._missing():
            before = self._before(first, grid)
            steps = predict_pieces(
                self.source, lambda: self.predictor.begin(self.source), grid,
                first=first, until=until, before=before,
            )  # fmt: skip
            for step in steps:
                if isinstance(step, Predicted) and cancel():
                    raise CancelledError(
                        f"{self.folder.folder}: stopped; the same call goes on after the last whole piece."
                    )
                self.take(step)

    def take(self, step: Predicted | Ended) -> None:
        """Writes a frame, or ends a piece."""
        if isinstance(step, Ended):
            self._commit(step)
        else:
            self._write(step)
            self._tell()

    def _missing(self) -> list[tuple[int, int | None]]:
        """Ranges of numbers of pieces that are not there."""
        total = next((n + 1 for n, (_, facts) in self.pieces.items() if facts.ends_video), None)
        missing: list[tuple[int, int | None]] = []
        number = 0
        for there in sorted(self.pieces):
            if there > number:
                missing.append((number, there))
            number = there + 1
        return missing if total is not None else [*missing, (number, None)]

    def _before(self, first: int, grid: Grid) -> Before:
        """What the piece ``first`` must know of those before it, which are there."""
        if not first:
            return Before()
        _, latest = self.pieces[first - 1]
        wanted = grid.warm_up + grid.block
        seen: list[Seen] = []
        for number in sorted((n for n in self.pieces if n < first), reverse=True):
            records = read_records(self.pieces[number][0].folder / RECORDS)
            seen = [*map(_seen, records), *seen]
            if len(seen) >= wanted:
                break
        return Before(People.from_plain(latest.people), seen, latest.skipped)

    def _tell(self) -> None:
        done, expected = self.frames_done, self.expected
        total = None if expected is None else max(done, expected)
        self.report(Progress(self.source.name, done, total, unit="frames"))

    def _write(self, step: Predicted) -> None:
        prediction = step.prediction
        if self.writing is not None and self.writing.span != step.span:
            return  # the piece before was cut off by an error of the source, which is about to be raised
        with output_errors(self.folder), uninterrupted():
            writing = self.writing or self._begin(step.span)
            writing.whole = False
            if not writing.frames:
                writing.first, writing.start = prediction.index, prediction.time
            writing.last, writing.end = prediction.index, prediction.time
            writing.records.write(record_of(prediction).to_json() + "\n")
            for sink in self.sinks:
                sink.write(prediction)
            writing.frames += 1
            writing.failed += prediction.failed
            writing.whole = True

    def _begin(self, span: Span) -> _Writing:
        folder = self.work.writing()
        for place, sink in enumerate(self.sinks):
            own = folder / _folder_of(place, sink)
            own.mkdir()
            sink.begin(own, self.source)
        records = (folder / RECORDS).open("w", encoding="utf-8")
        self.writing = _Writing(span, folder, records, time.monotonic())
        return self.writing

    def _end_files(self, writing: _Writing) -> list[dict[str, Any]]:
        """Ends the files of a piece, once; what the sinks say of it."""
        if writing.said is None:
            writing.records.close()
            writing.said = [dict(sink.piece()) for sink in self.sinks]
        return writing.said

    def _commit(self, step: Ended) -> None:
        writing = self.writing
        assert writing is not None
        assert writing.span.number == step.span.number
        with output_errors(self.folder), uninterrupted():
            facts = _PieceFacts(
                number=step.span.number,
                first=writing.first,
                last=writing.last,
                start=writing.start,
                end=writing.end,
                frames=writing.frames,
                failed=writing.failed,
                skipped=self.source.skipped,
                events=dict(step.events),
                ends_video=step.last,
                people=step.people.plain(),
                sinks=self._end_files(writing),
                seconds=time.monotonic() - writing.began,
            )
            name = f"{step.span.number:06d}"
            piece = self.work.commit(writing.folder, name, facts.model_dump(mode="json"))
            self.writing = None
            # As a run that goes on will read it: what is made of it must not depend on an interruption.
            self.pieces[step.span.number] = (piece, _PieceFacts(**piece.about))

    # --- at the end --------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Puts the pieces together and publishes the results."""
        if not self.pieces:
            self.work.remove()
            raise InputError(f"{self.source.path or self.source.name}: not one image could be predicted.")
        with output_errors(self.folder):
            assembled, manifest = self._assemble("complete", self.sinks)
            with uninterrupted():
                self.folder.publish(assembled, manifest, overwrite=self.overwrite)
                self.published = True
                self.work.remove()
        self._close(complete=True)

    def save_partial(self) -> None:
        """Publishes what is there; a second failure hides neither the first nor what is whole already. Never raises."""
        try:
            if not self.published:
                self._publish_partial()
        except (GaspError, OSError) as error:
            log.warning("Unfinished results could not be kept: %s", error)
        finally:
            self._discard()
            if not self.pieces:
                self.work.remove()

    def _publish_partial(self) -> None:
        if not self.pieces and not (self.writing and self.writing.frames):
            return
        try:
            assembled, manifest = self._assemble("partial", self.sinks)
        except (OSError, GaspError) as error:
            log.warning("Only tables of the unfinished results could be kept: %s", error)
            tables = [sink for sink in self.sinks if isinstance(sink, TablesSink)]
            assembled, manifest = self._assemble("partial", tables)
        with uninterrupted():
            self.folder.publish_partial(assembled, manifest)

    def _discard(self) -> None:
        """Drops the piece that is not whole, and what is put together."""
        self._close(complete=False)
        if self.writing is not None:
            with suppress(OSError):
                self.writing.records.close()
            self.writing = None
        for name in ("writing", "assembled"):
            with suppress(OSError):
                remove(self.work.path / name)

    def _close(self, *, complete: bool) -> None:
        for sink in self.sinks:
            try:
                sink.close(complete)
            except GaspError as error:
                if complete:
                    raise
                log.warning("%s", error)

    def _assemble(self, status: str, sinks: Sequence[Sink]) -> tuple[Path, dict[str, Any]]:
        """Everything that the sinks make of the pieces, in a folder; and the manifest without names of files."""
        parts = [(piece.folder, facts) for _, (piece, facts) in sorted(self.pieces.items())]
        unfinished = self._unfinished()
        if unfinished is not None:
            parts = [part for part in parts if part[1].number < unfinished[1].number] + [unfinished]
        manifest = self.folder.describe(self._facts(status, parts))
        into = self.work.assembled()
        for place, sink in enumerate(self.sinks):
            if sink in sinks:
                pieces = tuple(_sink_piece(place, sink, *part) for part in parts)
                sink.join(Pieces(pieces, into, self.source, status == "complete", manifest))
        return into, manifest

    def _unfinished(self) -> tuple[Path, _PieceFacts] | None:
        """The piece that is being written, as if it ended here."""
        writing = self.writing
        if writing is None or not writing.frames or not writing.whole:
            return None
        return writing.folder, _PieceFacts(
            number=writing.span.number, first=writing.first, last=writing.last, start=writing.start,
            end=writing.end, frames=writing.frames, failed=writing.failed, skipped=self.source.skipped,
            people=People().plain(), sinks=self._end_files(writing), seconds=time.monotonic() - writing.began,
        )  # fmt: skip

    def _facts(self, status: str, parts: Sequence[tuple[Path, _PieceFacts]]) -> RunFacts:
        events: Counter[str] = Counter()
        for _, facts in parts:
            events.update(facts.events)
        return RunFacts(
            status=status,
            fingerprint=self.fingerprint,
            input=self.input,
            done=sum(facts.frames for _, facts in parts),
            skipped=self.skipped,
            failed=sum(facts.failed for _, facts in parts),
            events=events,
            started=self.started,
            finished=datetime.now(timezone.utc),
            seconds=sum(facts.seconds for _, facts in parts),
            resumed=self.resumed,
            sinks={sink.name: [facts.sinks[i] for _, facts in parts] for i, sink in enumerate(self.sinks)},
        )


def _read_facts(piece: Piece, sinks: int) -> _PieceFacts | None:
    """What is remembered with a piece; None where we did not write it so."""
    try:
        facts = _PieceFacts(**piece.about)
        People.from_plain(facts.people)
    except (ValidationError, TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return None
    return facts if len(facts.sinks) == sinks and piece.name == f"{facts.number:06d}" else None


def _folder_of(place: int, sink: Sink) -> str:
    return f"{place}-{sink.name}" if sink.name.isidentifier() else str(place)


def _sink_piece(place: int, sink: Sink, folder: Path, facts: _PieceFacts) -> SinkPiece:
    return SinkPiece(
        folder=folder / _folder_of(place, sink),
        about=facts.sinks[place],
        first=facts.first,
        last=facts.last,
        start=facts.start,
        end=facts.end,
        frames=facts.frames,
        records=folder / RECORDS,
    )


def _seen(record: FrameRecord) -> Seen:
    return record.frame, [(person.track_id, Box(*person.box)) for person in record.people]
