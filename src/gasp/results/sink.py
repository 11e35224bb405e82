"""Where predictions go: one sink for each kind of result, of this package or of another one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from gasp.config.plugins import create_plugin, plugin_names
from gasp.errors import GaspError, OutputError, UsageError
from gasp.naming import nearest
from gasp.pipeline.prediction import Prediction
from gasp.results.records import FrameRecord, read_records
from gasp.video import VideoSource

RECORDS = "records.jsonl"
"""The numbers of a piece's frames; every run keeps them, whatever its sinks."""


@dataclass(frozen=True, slots=True)
class SinkPiece:
    """What a sink made of some successive frames.

    ``folder``: the folder that :meth:`Sink.begin` was given, now in its place. ``about``: what :meth:`Sink.piece`
    said. ``first``, ``last``: indices of its first and last frame; ``start``, ``end``: their times in seconds;
    ``frames``: how many. ``records``: a file with one line per frame, see :meth:`Pieces.records`.
    """

    folder: Path
    about: Mapping[str, Any]
    first: int
    last: int
    start: float
    end: float
    frames: int
    records: Path


@dataclass(frozen=True, slots=True)
class Pieces(Sequence[SinkPiece]):
    """All pieces of a run in order, as :meth:`Sink.join` gets them.

    ``into``: the folder into which results are written. ``source``: the open source. ``complete``: whether these are
    all frames. ``manifest``: what ``run.json`` will say.
    """

    pieces: tuple[SinkPiece, ...]
    into: Path
    source: VideoSource
    complete: bool
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @overload
    def __getitem__(self, place: int) -> SinkPiece: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[SinkPiece, ...]: ...
    def __getitem__(self, place: int | slice) -> SinkPiece | tuple[SinkPiece, ...]:
        return self.pieces[place]

    def __len__(self) -> int:
        return len(self.pieces)

    def records(self) -> Iterator[FrameRecord]:
        """All frames in numbers, in order, in source pixels."""
        width, height = self.source.stored_size
        across, down = width / self.source.width, height / self.source.height
        for piece in self.pieces:
            for record in read_records(piece.records):
                yield record.scaled(across, down)


class Sink(ABC):
    """One kind of result.

    A video is predicted piece by piece, and a run that was interrupted goes on after its last whole piece. So a sink
    writes what it makes of a piece into a folder of that piece, and puts all pieces together when the last one is
    there. It may be another process, on another day, that does so: nothing may be kept in the object from piece to
    piece. Calls come in this order::

        begin, write, write, ..., piece,  begin, write, ..., piece,  ...  join, close

    A sink of another package is a subclass without arguments, named in its entry points (group ``gasp.sinks``).

    Attributes:
        name: A word for messages, and for the folder of its pieces.
        files: Names of the files or folders that :meth:`join` writes, as far as they are known beforehand: a run does
            not begin where something else of that name is in the way.
    """

    name: str = "sink"

    @property
    def files(self) -> tuple[str, ...]:
        """See the class."""
        return ()

    @abstractmethod
    def begin(self, folder: Path, source: VideoSource) -> None:
        """A piece begins; what belongs to it goes into the empty ``folder``."""

    @abstractmethod
    def write(self, prediction: Prediction) -> None:
        """Takes the next frame; frames come in order, each once."""

    def piece(self) -> Mapping[str, Any]:
        """The piece is over: files are closed. Returns plain values to be remembered with it."""
        return {}

    @abstractmethod
    def join(self, pieces: Pieces) -> None:
        """Puts the pieces together: writes results into ``pieces.into``. The pieces stay as they are."""

    def close(self, complete: bool) -> None:  # noqa: B027  (most sinks hold nothing open)
        """The run is over; where it is not ``complete``, a piece may have been begun and not ended. Must not fail."""


def create_sinks(names: Sequence[str]) -> list[Sink]:
    """Sinks of other installed packages. Raises :class:`~gasp.errors.UsageError` for one that does not fit."""
    sinks: list[Sink] = []
    for name in names:
        sink = create_plugin("gasp.sinks", name)
        if not isinstance(sink, Sink):
            raise UsageError(f"{name!r} is no gasp.results.sink.Sink but {type(sink).__name__}")
        sinks.append(_Foreign(name, sink))
    return sinks


def check_sinks(names: Sequence[str]) -> None:
    """Raises :class:`gasp.errors.UsageError` for names of no installed sink."""
    known = plugin_names("gasp.sinks")
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no sink {name!r}{nearest(name, known) or '; no installed package offers one'}"
            )


class _Foreign(Sink):
    """A sink of another package, whose failures are told as its own."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self._sink = sink

    @property
    def files(self) -> tuple[str, ...]:
        return self._sink.files

    def begin(self, folder: Path, source: VideoSource) -> None:
        with _told(self.name, "failed"):
            self._sink.begin(folder, source)

    def write(self, prediction: Prediction) -> None:
        with _told(self.name, "failed"):
            self._sink.write(prediction)

    def piece(self) -> Mapping[str, Any]:
        with _told(self.name, "failed"):
            return self._sink.piece()

    def join(self, pieces: Pieces) -> None:
        with _told(self.name, "could not end"):
            self._sink.join(pieces)

    def close(self, complete: bool) -> None:
        with _told(self.name, "could not end"):
            self._sink.close(complete)


@contextmanager
def _told(name: str, what: str) -> Iterator[None]:
    """Turns what another package raises into an error that names it."""
    try:
        yield
    except GaspError:
        raise
    except Exception as error:
        raise OutputError(f"the sink {name!r} {what} ({type(error).__name__}: {error})") from error
