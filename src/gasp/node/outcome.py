"""A prediction as the message that goes back to the client."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.messages import Message
from gasp.node.protocol import Tag
from gasp.pipeline.prediction import Prediction
from gasp.results.records import as_density, entropy_of, mass_within


def result_message(
    prediction: Prediction, tag: Tag, arrays: tuple[str, ...], diagnostics: dict[str, Any]
) -> Message:
    """The result of the frame with this tag, with the arrays of these kinds."""
    height, width = prediction.image.shape[:2]
    focus = prediction.focus
    across, down = focus.x / width, focus.y / height
    density = as_density(prediction.saliency)
    body: dict[str, Any] = {
        "sequence": tag.sequence,
        "stamp_ns": tag.stamp_ns,
        "frame_id": tag.frame_id,
        "time": tag.time,
        "size": [width, height],
        "focus": [focus.x, focus.y],
        "focus_unit": [across, down],
        "focus_centred": [2 * across - 1, 1 - 2 * down],
        "focus_value": focus.value,
        "entropy": entropy_of(density),
        "why": prediction.why,
        "gates": None
        if prediction.gates is None
        else {name: float(gate) for name, gate in prediction.gates.items()},
        "faces": [
            {
                "id": face.track_id,
                "box": [float(side) for side in face.box],
                "score": float(face.score),
                "observed": face.observed,
                "attention": mass_within(density, face.box, height, width),
                "why": {name: float(points) for name, points in face.why.items()},
                "found": {name: _plain(value) for name, value in face.found.items()},
            }
            for face in prediction.faces
        ],
        "cut": prediction.cut,
        "failed": prediction.failed,
        "diagnostics": diagnostics,
    }
    contributions = prediction.contributions
    if "contributions" in arrays and contributions is not None:
        body["contributions"] = {"names": list(contributions.names), "method": contributions.method}
    return Message("result", body, _arrays(prediction, arrays))


def _arrays(prediction: Prediction, wanted: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    if "map" in wanted:
        arrays["map"] = np.asarray(prediction.saliency, np.float32)
    if "contributions" in wanted and prediction.contributions is not None:
        arrays["contributions"] = prediction.contributions.maps
        arrays["baseline"] = prediction.contributions.baseline
    if "cues" in wanted:
        arrays |= {f"cue:{name}": drawn for name, drawn in prediction.cues.items()}
    return arrays


def _plain(value: object) -> float | str:
    """What a cue found: cues of other packages may give NumPy's numbers."""
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]
