"""Settings of a prediction run, validated with messages that name the field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gasp.errors import UsageError

DEFAULT_CUES = ("captured", "glance", "faces", "speaking", "motion")


class PredictSettings(BaseModel):
    """How a video is looked at.

    ``cues``: the modalities that are computed; one that the fusion knows and that is left out is a black picture to
    it. ``faces``: the face detector ("glance", "yunet", "s3fd") or "none". ``sound``: whether sound is used.
    ``every``: predict every so many frames. ``batch``: frames computed together (results do not depend on
    it). ``device``: "auto" takes a GPU where there is one. ``seed``: of random number generators, should a part of
    the pipeline use them. ``threads``: of the CPU, 0 leaves PyTorch's choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cues: tuple[str, ...] = DEFAULT_CUES
    faces: Literal["glance", "yunet", "s3fd", "none"] = "glance"
    sound: bool = True
    every: int = Field(default=1, ge=1)
    batch: int = Field(default=8, ge=1, le=256)
    device: str = "auto"
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=0, ge=0, le=1024)

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
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"at least one cue is needed; there are {', '.join(DEFAULT_CUES)}")
        for name in value:
            if name not in DEFAULT_CUES:
                raise ValueError(f"unknown cue {name!r}{_nearest(name, DEFAULT_CUES)}")
        return tuple(name for name in DEFAULT_CUES if name in value)

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|(cpu|cuda|mps|xpu)(:\d{1,3})?", value, re.ASCII):
            raise ValueError("unknown device; use auto, cpu, cuda, cuda:0, mps, ...")
        return value

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> PredictSettings:
        """Settings from plain values. Raises :class:`gasp.errors.UsageError` naming every wrong field."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise UsageError("; ".join(_say(problem, cls) for problem in error.errors())) from None


def _say(problem: Any, settings: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {name!r}{_nearest(name, tuple(settings.model_fields))}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "literal_error":
        message = (
            f"unknown{_nearest(str(problem['input']), get_args(settings.model_fields[name].annotation))}"
        )
    return f"{name} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _nearest(wrong: str, valid: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(wrong, valid, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(valid)}"
