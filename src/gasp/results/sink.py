"""Sinks of other installed packages: where predictions go beside the run's own folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from gasp.config.plugins import create_plugin, plugin_names
from gasp.errors import GaspError, OutputError, UsageError
from gasp.naming import nearest
from gasp.pipeline.prediction import Prediction
from gasp.video import VideoSource


class Sink(Protocol):
    """Takes the predictions of one source; made as ``Sink(folder, source)``.

    ``folder`` is that of the run (it exists; the run's own results appear in it when they are complete), ``source`` the
    open :class:`~gasp.video.VideoSource`.
    """

    def write(self, prediction: Prediction) -> None:
        """Takes the next frame; frames come in order, each once, from the first on."""
        ...

    def close(self, complete: bool) -> None:
        """The run is over; ``complete`` tells whether every frame was predicted."""
        ...


class _Named:
    """A sink whose failures are told as its own."""

    def __init__(self, name: str, folder: Path, source: VideoSource) -> None:
        self.name = name
        self._sink: Sink = create_plugin("gasp.sinks", name, folder, source)

    def write(self, prediction: Prediction) -> None:
        try:
            self._sink.write(prediction)
        except GaspError:
            raise
        except Exception as error:
            raise OutputError(f"the sink {self.name!r} failed ({type(error).__name__}: {error})") from error

    def close(self, complete: bool) -> None:
        try:
            self._sink.close(complete)
        except GaspError:
            raise
        except Exception as error:
            raise OutputError(
                f"the sink {self.name!r} could not end ({type(error).__name__}: {error})"
            ) from error


def check_sinks(names: Sequence[str]) -> None:
    """Raises :class:`gasp.errors.UsageError` for names of no installed sink."""
    known = plugin_names("gasp.sinks")
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no sink {name!r}{nearest(name, known) or '; no installed package offers one'}"
            )


@contextmanager
def open_sinks(names: Sequence[str], folder: Path, source: VideoSource) -> Iterator[list[Sink]]:
    """The sinks, which are closed at the end; after an error, they are told so, and further errors are dropped."""
    sinks: list[Sink] = []
    try:
        for name in names:
            sinks.append(_Named(name, folder, source))
        yield sinks
    except BaseException:
        for sink in sinks:
            with suppress(GaspError):
                sink.close(complete=False)
        raise
    for sink in sinks:
        sink.close(complete=True)
