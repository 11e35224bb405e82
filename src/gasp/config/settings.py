"""Settings of a prediction run, validated with messages that name the field."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from gasp.config.base import NoEffect, Settings
from gasp.config.pipelines import FacesSettings, PipelineSettings, check_detector
from gasp.config.presets import preset, read_pipeline
from gasp.cues.cue import DEFAULT_CUES as DEFAULT_CUES
from gasp.naming import nearest


class PredictSettings(Settings):
    """Settings of a prediction run.

    ``pipeline``: what is computed, a :class:`~gasp.config.pipelines.PipelineSettings` or what
    :func:`~gasp.config.presets.read_pipeline` makes one of. ``cues``: the modalities of it that are computed (all); one
    that the fusion knows and that is left out is a black picture to it. ``faces``: another face detector than the
    pipeline's, or "none". ``sound``: whether sound is used. ``every``: predict every so many frames. ``batch``: frames
    computed together (results do not depend on it). ``device``: "auto" takes a GPU where there is one.
    ``precision``: of the numbers in the fusion and in the published networks; less than float32 is quicker on a GPU,
    and less exact. ``seed``: of random number generators, should a part of the pipeline use them. ``threads``: of the
    CPU, 0 leaves PyTorch's choice. ``piece``: frames of the pieces in which a video is computed, and after which an
    interrupted run goes on; 0: a number that what the cues remember makes cheap (:mod:`gasp.pipeline.pieces`). ``why``:
    seconds between two looks at what the cues contribute (:mod:`gasp.fusion.coalitions`); 0: contributions are left
    out, which saves time, as they are by default where the fusion is a published network or a file in the layout of
    one: a look at those takes longer than many frames.

    Device and threads have no effect here because what they come to on this machine is part of a run's fingerprint.
    """

    pipeline: PipelineSettings = Field(default_factory=lambda: preset("default"))
    cues: tuple[str, ...] = Field(default_factory=lambda data: data["pipeline"].cue_names)
    faces: str = Field(default_factory=lambda data: data["pipeline"].faces.detector)
    sound: bool = True
    every: int = Field(default=1, ge=1, le=10**6)
    batch: int = Field(default=8, ge=1, le=256)
    device: Annotated[str, NoEffect] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    seed: int = Field(default=0, ge=0, lt=2**63)
    threads: Annotated[int, NoEffect] = Field(default=0, ge=0, le=1024)
    piece: int = Field(default=0, ge=0, le=10**9)
    why: float = Field(
        default_factory=lambda data: 0.0 if data["pipeline"].fusion.is_wide else 2.0, ge=0, le=3600
    )

    @field_validator("pipeline", mode="before")
    @classmethod
    def _read(cls, value: Any) -> PipelineSettings:
        return read_pipeline(value)

    @field_validator("cues", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """A text such as "glance,faces" is a list of cues."""
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("cues")
    @classmethod
    def _known(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = info.data["pipeline"].cue_names
        if not value:
            raise ValueError(f"at least one cue is needed; there are {', '.join(known)}")
        for name in value:
            if name not in known:
                raise ValueError(f"unknown cue {name!r}{nearest(name, known)}")
        return tuple(name for name in known if name in value)

    @field_validator("faces")
    @classmethod
    def _detector(cls, value: str) -> str:
        return check_detector(value)

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|(cpu|cuda|mps|xpu)(:\d{1,3})?", value, re.ASCII):
            raise ValueError("unknown device; use auto, cpu, cuda, cuda:0, mps, ...")
        return value

    @property
    def face_finding(self) -> FacesSettings:
        """How faces are found: as the pipeline says, unless another detector was asked for."""
        faces = self.pipeline.faces
        return faces if faces.detector == self.faces else FacesSettings(detector=self.faces)
