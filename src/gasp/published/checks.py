"""What must be right in an inference preset before anything is opened or computed."""

from __future__ import annotations

from collections.abc import Iterator

import cv2

from gasp.config.presets2021 import Preset
from gasp.config.settings import PredictSettings
from gasp.errors import UsageError
from gasp.naming import nearest
from gasp.published.metric_table import METRICS

_LARGEST = 8192
_ROLES = ("gt_salmap", "gt_fixmap")


def check_preset(preset: Preset, name: str, device: str) -> None:
    """Raises :class:`~gasp.errors.UsageError` that names every value that cannot be right."""
    PredictSettings.read({"device": device})
    wrong = [*_wrong_sizes(preset), *_wrong_colours(preset)]
    if preset.get("compute_metrics"):
        wrong += _wrong_metrics(preset)
    if wrong:
        raise UsageError(f"{name}: {'; '.join(wrong)}")


def _wrong_sizes(preset: Preset) -> Iterator[str]:
    for key, most in (("width", _LARGEST), ("height", _LARGEST), ("stride", 10**6)):
        if not 1 <= preset.get(key, 1) <= most:
            yield f"{key} = {preset[key]} should be between 1 and {most}"


def _wrong_colours(preset: Preset) -> Iterator[str]:
    known = [key.removeprefix("COLORMAP_").lower() for key in dir(cv2) if key.startswith("COLORMAP_")]
    for key in ("inference_properties", "sampling_properties"):
        colours = str((preset.get(key) or {}).get("color_map", "jet"))
        if colours.lower() not in known:
            yield f"{key}: there is no color_map {colours!r}{nearest(colours, known)}"


def _wrong_metrics(preset: Preset) -> Iterator[str]:
    for metric in preset["metrics_list"]:
        if metric not in METRICS:
            yield f"metrics_list: there is no metric {metric!r}{nearest(str(metric), METRICS)}"
    for role in _ROLES:
        if not preset["metrics_mappings"].get(role):
            yield f"metrics_mappings lacks {role}"
    if not str(preset.get("metrics_save_file") or "").endswith(".csv"):
        yield f"metrics_save_file = {preset.get('metrics_save_file')!r} should be the name of a CSV file"
