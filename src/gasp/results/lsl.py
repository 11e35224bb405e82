"""Predictions as streams of the Lab Streaming Layer, beside what a laboratory measures."""

from __future__ import annotations

import time
from typing import Any

from gasp._version import __version__
from gasp.errors import UsageError
from gasp.metrics.density import as_density
from gasp.pipeline.prediction import Prediction
from gasp.results.records import entropy_of

NAME = "gasp"
"""Name of the stream of numbers; that of markers is followed by "-markers"."""

CHANNELS = (
    ("focus_x", "fraction of the picture's width, from the left"),
    ("focus_y", "fraction of the picture's height, from the top"),
    ("value", "value of the predicted map at the focus, 0..1"),
    ("entropy", "bits"),
    ("sequence", "number of the frame"),
)
"""Labels and units of the channels, in order."""


class LslOutlet:
    """Two irregular streams on this machine's network: numbers per frame, and markers.

    The numbers (type "Gaze", float64, so that ``sequence`` is exact) are a prediction of where people look, which the
    stream's description says: nobody's gaze is measured. Markers (type "Markers", texts): "cut", "face N appears",
    "face N leaves". All are stamped with the time at which the frame was acquired.

    Args:
        pipeline_name: what the streams' description and source say of the pipeline.
        name: of the streams, where several run side by side.

    Raises:
        UsageError: pylsl, or the library liblsl that it needs, is not installed.
    """

    def __init__(self, pipeline_name: str, *, name: str = NAME) -> None:
        self._lsl = load_lsl()
        self._numbers = self._open(pipeline_name, name, "Gaze", len(CHANNELS))
        self._markers = self._open(pipeline_name, f"{name}-markers", "Markers", 1)
        self._people: frozenset[int] = frozenset()

    def push(self, prediction: Prediction, sequence: int, stamp_ns: int) -> None:
        """Sends one prediction.

        Args:
            prediction: of a frame.
            sequence: the frame's number, exact below 2 ** 53.
            stamp_ns: when it was acquired, on the clock of :func:`time.monotonic_ns`.
        """
        stamp = self.on_lsl_clock(stamp_ns)
        height, width = prediction.image.shape[:2]
        focus = prediction.focus
        entropy = entropy_of(as_density(prediction.saliency))
        self._numbers.push_sample(
            [focus.x / width, focus.y / height, focus.value, entropy, float(sequence)], stamp
        )
        for marker in self._news(prediction):
            self._markers.push_sample([marker], stamp)

    def on_lsl_clock(self, stamp_ns: int) -> float:
        """The time in seconds on LSL's clock of one on that of :func:`time.monotonic_ns`."""
        # The two may be one clock, but nothing says so; how far they are apart is asked in between two looks.
        before = time.monotonic_ns()
        now: float = self._lsl.local_clock()
        after = time.monotonic_ns()
        return now - ((before + after) / 2 - stamp_ns) / 1e9

    def close(self) -> None:
        """Takes the streams from the network."""
        # An outlet is there as long as its object.
        self._numbers = self._markers = None

    def _news(self, prediction: Prediction) -> list[str]:
        """What has changed since the frame before."""
        people = frozenset(face.track_id for face in prediction.faces)
        before, self._people = self._people, people
        return [
            *(["cut"] if prediction.cut else []),
            *(f"face {person} leaves" for person in sorted(before - people)),
            *(f"face {person} appears" for person in sorted(people - before)),
        ]

    def _open(self, pipeline_name: str, name: str, kind: str, channels: int) -> Any:
        lsl = self._lsl
        form = lsl.cf_double64 if kind == "Gaze" else lsl.cf_string
        about = lsl.StreamInfo(name, kind, channels, lsl.IRREGULAR_RATE, form, f"{name}-{pipeline_name}")
        described = about.desc()
        described.append_child_value("manufacturer", "gasp")
        described.append_child_value("version", __version__)
        described.append_child_value("pipeline", pipeline_name)
        described.append_child_value("content", "predicted by a model from the picture; not measured")
        listed = described.append_child("channels")
        for label, unit in CHANNELS if kind == "Gaze" else (("marker", "text"),):
            channel = listed.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", unit)
            channel.append_child_value("type", "Prediction" if kind == "Gaze" else "Marker")
        return lsl.StreamOutlet(about)


def load_lsl() -> Any:
    """The package pylsl. Raises :class:`gasp.errors.UsageError` telling what to install."""
    try:
        import pylsl
    except ImportError as error:
        raise UsageError("LSL needs another package: pip install 'gasp-saliency[lsl]'") from error
    except Exception as error:  # pylsl raises RuntimeError where its library is missing
        raise UsageError(f"the library liblsl that pylsl needs cannot be loaded: {error}") from error
    return pylsl
