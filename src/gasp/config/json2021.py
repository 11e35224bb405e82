"""Configuration files of 2021: JSON with the keys of a preset, checked, and written so that they read back equal.

A file's keys replace those of a base preset (``InferGeneratorAllModelsBase``, ``TrainerBase``); keys that it leaves out
keep the base's values. The preset's name is the file's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gasp.config.documents import read_document
from gasp.config.presets2021 import (
    Preset,
    inference_preset,
    inference_presets,
    training_preset,
    training_presets,
)
from gasp.errors import InputError, UsageError
from gasp.naming import nearest
from gasp.work.files import replacing

_DATA_KEYS = ("csv_file", "video_dir", "inp_img_names_list", "gt_img_names_list", "exhaustive", "peek_every")
_POST_KEYS = (
    "keep_video", "keep_audio", "keep_info", "keep_properties", "info_override", "properties_override",
    "plot_override", "keep_plot_frames_only", "resize_frames", "convert_plots_gray",
)  # fmt: skip
_DRAWING_KEYS = (
    "show_det_saliency_map", "show_fixation_locations", "show_saliency_map", "enable_transform_overlays",
    "color_map", "img_names_list",
)  # fmt: skip

_INNER = {
    "train_dataset_properties": _DATA_KEYS,
    "val_dataset_properties": _DATA_KEYS,
    "test_dataset_properties": _DATA_KEYS,
    "datasplitter_properties": ("train_csv_file", "val_csv_file", "test_csv_file", "mode"),
    "metrics_mappings": ("gt_salmap", "gt_fixmap", "pred_salmap", "gt_baseline", "scores_info"),
    "inference_properties": _DRAWING_KEYS,
    "sampling_properties": _DRAWING_KEYS,
    "postproc_properties": _POST_KEYS,
    "config_info": ("summary", "example"),
}
"""Keys that the objects in a file may have; of other objects (options of networks and readers) any."""

_OPTIONAL = ("model_data_name", "model_data_properties", "name")
"""Known top-level keys that no preset uses."""


def read_training_file(path: str | Path) -> Preset:
    """The training preset in a JSON file. Raises :class:`~gasp.errors.UsageError` naming every wrong key."""
    return _read(Path(path), training_preset("TrainerBase"))


def read_inference_file(path: str | Path) -> Preset:
    """The inference preset in a JSON file. Raises :class:`~gasp.errors.UsageError` naming every wrong key."""
    return _read(Path(path), inference_preset("InferGeneratorAllModelsBase"))


def write_presets(folder: str | Path) -> list[Path]:
    """Writes every preset as JSON into ``train_configs`` and ``infer_configs`` below ``folder``; the files."""
    written = []
    for place, names, get in (
        ("train_configs", training_presets(), training_preset),
        ("infer_configs", inference_presets(), inference_preset),
    ):
        for name in names:
            written.append(Path(folder) / place / f"{name}.json")
            write_preset(written[-1], get(name))
    return written


def write_preset(path: str | Path, preset: Preset) -> None:
    """Writes a preset as JSON, indented by 4 spaces, keys sorted but for ``config_info``; atomically."""
    ordered = {key: preset[key] for key in sorted(preset, key=lambda key: (key == "config_info", key))}
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(ordered, indent=4), encoding="utf-8")


def _read(path: Path, base: Preset) -> Preset:
    content = read_document(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object, but a {type(content).__name__}")
    wrong = find_problems(content, base)
    if wrong:
        raise UsageError(f"{path}: {'; '.join(wrong)}")
    return base | {"config_info": {}} | content


def find_problems(content: Preset, base: Preset) -> list[str]:
    """What cannot be right in a preset: unknown keys, values of another kind than the base's, no models."""
    return [*_wrong_keys(content, base), *_wrong_kinds(content, base), *_wrong_models(content)]


def _wrong_keys(content: Preset, base: Preset) -> list[str]:
    known = [*base, *_OPTIONAL]
    wrong = [f"there is no key {key!r}{nearest(key, known)}" for key in content if key not in known]
    for name, keys in _INNER.items():
        inner = content.get(name)
        if isinstance(inner, dict):
            wrong += _unknown(inner, keys, name)
    return wrong


def _unknown(inner: Iterable[str], keys: tuple[str, ...], where: str) -> list[str]:
    return [f"{where} has no key {key!r}{nearest(key, keys)}" for key in inner if key not in keys]


def _wrong_kinds(content: Preset, base: Preset) -> list[str]:
    """Values of another kind than the base's, such as a text for a number."""
    wrong = []
    for key, value in content.items():
        expected = base.get(key)
        if expected is None or value is None:
            continue
        kind = type(expected)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            wrong.append(f"{key} = {value!r} should be {_KINDS[kind]}")
    return wrong


_KINDS = {bool: "true or false", int: "a whole number", str: "a text", list: "a list", dict: "an object"}


def _wrong_models(content: Preset) -> list[str]:
    """Entries of model_groups that are not (name, window, source indices, 3 objects of options)."""
    wrong = []
    groups = content.get("model_groups")
    for number, group in enumerate(groups if isinstance(groups, list) else ()):
        for model in group if isinstance(group, list) else [group]:
            where = f"model_groups[{number}]"
            if not _is_model(model):
                wrong.append(
                    f"{where}: {str(model)[:60]} is not [name, window, source indices, network options, "
                    "pre-processing options, post-processing options]"
                )
                continue
            if model[0] not in INFERERS:
                wrong.append(f"{where}: there is no model {model[0]!r}{nearest(model[0], INFERERS)}")
            wrong += _unknown(model[5], _POST_KEYS, f"{where} {model[0]}")
    return wrong


INFERERS = tuple(
    f"{name}Inference"
    for name in ("GASP", "DAVE", "ESR9", "Gaze360", "VideoGaze", "STAViS", "TASED", "UNISAL", "AViNet")
)
"""Names of models in presets."""


def _is_model(model: Any) -> bool:
    if not (isinstance(model, list) and len(model) == 6 and isinstance(model[0], str)):
        return False
    indices = model[2] if isinstance(model[2], list) else [model[2]]
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in (model[1], *indices))
    return whole and all(isinstance(options, dict) for options in model[3:])
