"""Pipelines by name."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from gasp.config.base import SUFFIXES
from gasp.config.pipelines import PipelineSettings, read_file
from gasp.cues.cue import CUES
from gasp.errors import UsageError
from gasp.naming import nearest

_FULL = {"name": "captured", "options": {"full": True}}
_SOCIAL = ("esr9", "videogaze", "gaze360")


def _published(*names: str) -> list[dict[str, Any]]:
    return [_FULL, *({"name": name, "mode": "published"} for name in names)]


PRESETS: dict[str, dict[str, Any]] = {
    "default": {
        "title": "The packaged cues and networks: nothing to download, runs anywhere",
        "cues": list(CUES),
    },
    "default-unisal": {
        "title": "The packaged cues with UNISAL in the place of the packaged saliency network",
        # Grey, as the packaged fusion knows saliency maps; the published networks know them in colours.
        "cues": [
            "captured",
            {"name": "unisal", "options": {"colours": "grey"}},
            "faces",
            "speaking",
            "motion",
        ],
        "fusion": {"modalities": ["captured", "unisal", "faces", "speaking", "motion"]},
    },
    "default-asd": {
        "title": "The packaged cues with Light-ASD telling who speaks; weights: gasp download light-asd",
        "cues": ["captured", "glance", "faces", "speaking-asd", "motion"],
        "fusion": {"modalities": ["captured", "glance", "faces", "speaking-asd", "motion"]},
    },
    "gasp": {
        "title": "The published cues and the best published network (DAM + LARGMU), faults mended",
        "cues": [_FULL, "dave", *_SOCIAL],
        "fusion": "gasp-seqdamalstmgmu",
    },
    "gasp-nofer": {
        "title": "As gasp, without facial expressions: the published network of four modalities",
        "cues": [_FULL, "dave", "videogaze", "gaze360"],
        "fusion": "gasp-seqdamalstmgmu-110nofer",
    },
    "gasp-argmu": {
        "title": "As gasp, with the quicker published network DAM + ARGMU",
        "cues": [_FULL, "dave", *_SOCIAL],
        "fusion": "gasp-seqdamgmualstm",
    },
    "gasp-static": {
        "title": "As gasp, with the published network that looks at single frames, DAM + GMU",
        "cues": [_FULL, "dave", *_SOCIAL],
        "fusion": "gasp-damgmu",
    },
    "gasp-unisal": {
        "title": "As gasp, with UNISAL in the place of DAVE; needs no sound",
        "cues": [_FULL, "unisal", *_SOCIAL],
        "fusion": {"weights": "gasp-seqdamalstmgmu", "modalities": ["captured", "unisal", *_SOCIAL]},
    },
    "gasp-2021": {
        "title": "The published chain as it was, fault by fault: the maps that the weights were trained on",
        "cues": _published("dave", *_SOCIAL),
        "faces": {"detector": "s3fd", "tracking": False, "options": {"published": True}},
        "fusion": {"weights": "gasp-seqdamalstmgmu", "pictures": "published"},
        "alignment": "published",
    },
}
"""Name -> the values of a :class:`~gasp.config.pipelines.PipelineSettings`, as one would write them in a file."""


def preset(name: str) -> PipelineSettings:
    """The preset of that name. Raises :class:`gasp.errors.UsageError` naming the nearest one."""
    if name not in PRESETS:
        raise UsageError(f"there is no pipeline {name!r}{nearest(name, PRESETS)}")
    return PipelineSettings.read({"name": name, **PRESETS[name]}, name)


def read_pipeline(value: PipelineSettings | Mapping[str, Any] | str | PathLike[str]) -> PipelineSettings:
    """A pipeline from what people give: a preset's name, a YAML or JSON file, or plain values."""
    if isinstance(value, PipelineSettings):
        return value
    if isinstance(value, Mapping):
        return PipelineSettings.read(value, "pipeline")
    if not isinstance(value, str | PathLike):
        raise UsageError(f"pipeline = {value!r}: give a preset's name, a file, or a mapping")
    path = Path(value)
    if isinstance(value, PathLike) or path.suffix.lower() in SUFFIXES:
        return read_file(path)
    return preset(value)
