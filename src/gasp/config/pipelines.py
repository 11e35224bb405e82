"""What a pipeline is made of, as data: cues, faces, fusion and alignment, from YAML, JSON or plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from gasp._renamed import renamed
from gasp.config.base import NoEffect, Settings, read_values
from gasp.config.plugins import plugin_names
from gasp.cues.cue import CUES, PUBLISHED_CUES
from gasp.errors import UsageError
from gasp.faces.detector import DETECTORS, NO_DETECTOR
from gasp.messages.zeromq import check_reachable
from gasp.naming import nearest
from gasp.networks.variants import VARIANTS
from gasp.weights.catalogue import Entry
from gasp.weights.open import find_named

Mode = Literal["corrected", "published"]
Alignment = Literal["corrected", "published"]
Placing = Literal["auto", "video", "none"]

PACKAGED = "packaged"
"""Name of the weights that ship with the package."""

COMMAND = "command"
"""What stands in a detector's place that is a program of its own."""

DETECTOR_NAMES = (*DETECTORS, NO_DETECTOR, COMMAND)

FILTER = ("python", "-m", "gasp.messages.filter")
"""The program that runs a shell command for every frame."""

Side = Annotated[int, Field(ge=8, le=8192)]


def _names_program(fields: Mapping[str, Any]) -> bool:
    return fields.get("command") is not None or fields.get("address") is not None


class ProgramSettings(Settings):
    """A part of the pipeline that can be a program of its own: see docs/external.md.

    It is started with a ``command``, the program and its arguments, or serves an ``address``. ``size``: width and
    height at which it is sent frames. ``timeout``: seconds for an answer, ``start_timeout`` for the first.
    ``restarts``: how often it is started, or connected to, again after it failed.
    """

    of_programs: ClassVar[tuple[str, ...]] = ("size", "timeout", "start_timeout", "restarts")

    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    address: str | None = None
    size: tuple[Side, Side] | None = None
    timeout: float = Field(default=2.0, gt=0, le=3600)
    start_timeout: float = Field(default=20.0, gt=0, le=3600)
    restarts: int = Field(default=3, ge=0, le=1000)

    @field_validator("command")
    @classmethod
    def _whole(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value and (not value[0] or any("\0" in word for word in value)):
            raise ValueError("the name of a program is missing, or there is a NUL in it")
        return value

    @field_validator("address")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        try:
            return value if value is None else check_reachable(value)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _has_program(self) -> ProgramSettings:
        if self.command is not None and self.address is not None:
            raise ValueError("it has a command and an address; leave one of them out")
        if not self.is_program and (given := self.model_fields_set & set(self.of_programs)):
            changed = sorted(n for n in given if getattr(self, n) != type(self).model_fields[n].default)
            if changed:
                raise ValueError(f"{', '.join(changed)}: only for a part with a command or an address")
        return self

    @property
    def is_program(self) -> bool:
        """Whether it is a program of its own."""
        return self.command is not None or self.address is not None

    @property
    def program(self) -> dict[str, Any]:
        """What the maker of a program takes."""
        return {name: getattr(self, name) for name in ("command", "address", *self.of_programs)}


class CueSettings(ProgramSettings):
    """One modality.

    ``name``: a cue of the package, or of another installed one, or, with a ``command`` or an ``address``, any other.
    ``past``, ``future``: frames before and after its own on which a map of that program depends (``past`` None: all
    before); ``sound_rate``: of the sound that it is sent, None for none. A ``filter`` is a shell command that is given
    each frame as a PGM picture and writes the map as one, in place of a ``command``. ``every``: it works on every so
    many frames, and what it found is held in between. ``mode``, ``weights`` (a name of ``gasp models``, or a file) and
    ``options`` concern cues that run a published network: "published" reproduces the maps of 2021 with their faults,
    "corrected" mends them. Written as a text, it is the name alone.
    """

    of_programs: ClassVar[tuple[str, ...]] = (*ProgramSettings.of_programs, "past", "future", "sound_rate")

    # Before the name, which is checked in their light.
    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    name: str
    every: int = Field(default=1, ge=1, le=1000)
    mode: Mode = "corrected"
    weights: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    past: int | None = Field(default=0, ge=0, le=10**6)
    future: int = Field(default=0, ge=0, le=10**4)
    sound_rate: int | None = Field(default=None, ge=8000, le=192000)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and isinstance(filtering := value.get("filter"), str):
            for field, said in (("command", "a command"), ("address", "an address")):
                if field in value:
                    raise ValueError(f"it has {said} and a filter; leave one of them out")
            rest = {name: given for name, given in value.items() if name != "filter"}
            return {**rest, "command": (*FILTER, filtering)}
        return value

    @field_validator("name")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        known = [*CUES, *PUBLISHED_CUES]
        if _names_program(info.data):
            return _check_own_name(value, known)
        if value not in known and value not in (others := plugin_names("gasp.cues")):
            raise ValueError(f"unknown cue{nearest(value, [*known, *others])}")
        return value

    @field_validator("weights")
    @classmethod
    def _weights_exist(cls, value: str | None) -> str | None:
        return value if value is None else _check_weights(value)

    @model_validator(mode="after")
    def _fits(self) -> CueSettings:
        if self.is_program and self.options:
            raise ValueError("options are the program's own here: arguments of the command")
        entry = PUBLISHED_CUES.get(self.name)
        if entry is None and (self.weights is not None or self.mode != "corrected"):
            raise ValueError(f"the cue {self.name!r} has no weights and no mode of its own")
        if self.weights is not None and (catalogued := find_named(self.weights)):
            network = (entry and entry.network) or self.name
            _check_network(catalogued, (network,), f"the cue {self.name!r}")
        return self


class FacesSettings(ProgramSettings):
    """How faces are found.

    ``detector``: "glance" (packaged), "yunet", "s3fd", "none", or one of another installed package, made with
    ``options``. ``tracking``: whether people keep an identity; without, it is the place in the detector's list, as in
    2021. Written as a text, it is the detector's name alone. With a ``command`` or an
    ``address``, the detector is "command".
    """

    detector: str = Field(default_factory=lambda data: COMMAND if _names_program(data) else "glance")
    tracking: bool = True
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"detector": value} if isinstance(value, str) else value

    @field_validator("detector")
    @classmethod
    def _known(cls, value: str) -> str:
        return check_detector(value)

    @model_validator(mode="after")
    def _fits(self) -> FacesSettings:
        if self.is_program != (self.detector == COMMAND):
            raise ValueError(
                "a detector of the kind 'command' needs a command, the program and its arguments, or an address"
            )
        entry = DETECTORS.get(self.detector)
        if self.options and (self.detector in (NO_DETECTOR, COMMAND) or (entry is not None and entry.shared)):
            raise ValueError(f"the detector {self.detector!r} takes no options")
        return self


class FusionSettings(Settings):
    """The GASP network.

    ``weights``: "packaged", a name of ``gasp models``, or a file. ``modalities``: which cues it takes, in order; known
    for packaged and published weights, where other names of the same number may be put in their place. ``network`` and
    ``options`` (those of :func:`gasp.create_model`): for a file that does not tell which of the 17 networks it is for.
    ``pictures``: "direct", or "published": as in 2021 every map is stored as a JPEG of 500 x 500 pixels before it is
    resized for the network. Written as a text, it is the weights alone.
    """

    weights: str = PACKAGED
    network: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    modalities: tuple[str, ...] | None = None
    pictures: Literal["direct", "published"] = "direct"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"weights": value} if isinstance(value, str) else value

    @field_validator("weights")
    @classmethod
    def _weights_exist(cls, value: str) -> str:
        return value if value == PACKAGED else _check_weights(value, (PACKAGED,))

    @field_validator("network")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in VARIANTS:
            raise ValueError(f"unknown GASP network{nearest(value, VARIANTS)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> FusionSettings:
        entry = None if self.weights == PACKAGED else find_named(self.weights)
        if entry is not None:
            _check_network(entry, tuple(VARIANTS), "the fusion")
        if self.network is not None and (entry is not None or self.weights == PACKAGED):
            raise ValueError(
                f"the network of the weights {self.weights!r} is known; leave network and options out"
            )
        if self.network is not None and self.modalities is None:
            raise ValueError("modalities are missing: which cues the network takes, in order")
        known = () if entry is None else entry.inputs
        if known and self.modalities is not None and len(self.modalities) != len(known):
            raise ValueError(
                f"the weights {self.weights!r} take {len(known)} modalities ({', '.join(known)}), "
                f"not {len(self.modalities)}"
            )
        return self

    @property
    def is_published(self) -> bool:
        """Whether these are weights of the catalogue."""
        return self.weights != PACKAGED and find_named(self.weights) is not None

    @property
    def is_wide(self) -> bool:
        """Whether this is a published network, or a file in the published layout, which does not tell its network.

        To run one of those without some of its cues takes as long as many frames.
        """
        return self.is_published or self.network is not None

    @property
    def takes(self) -> tuple[str, ...] | None:
        """The modalities in order, as far as they are known without looking into a file."""
        if self.modalities is not None:
            return self.modalities
        if self.weights == PACKAGED:
            return tuple(CUES)
        entry = find_named(self.weights)
        return None if entry is None else entry.inputs or None


PartT = TypeVar("PartT", bound=ProgramSettings)


class PipelineSettings(Settings):
    """A pipeline: what is computed of every frame and how it is joined.

    ``alignment`` of the fusion's windows: "corrected" fills them with the first frame of a shot and carries nothing
    over a cut; "published" fills them at their end with the newest frame, as in 2021. (Whether a cue's own map belongs
    to its very frame is a matter of the cue's mode.) ``placement``: "video" moves and averages the map as people look
    in video (:mod:`gasp.fusion.placement`), which a fusion that learnt from still pictures does not know; "auto" does
    so for the packaged fusion.
    """

    name: Annotated[str, NoEffect] = "custom"
    title: Annotated[str, NoEffect] = ""
    cues: tuple[CueSettings, ...] = Field(min_length=1)
    faces: FacesSettings = FacesSettings()
    fusion: FusionSettings = FusionSettings()
    alignment: Alignment = "corrected"
    placement: Placing = "auto"

    @field_validator("cues")
    @classmethod
    def _once(cls, value: tuple[CueSettings, ...]) -> tuple[CueSettings, ...]:
        names = [cue.name for cue in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the cue {name!r} is named more than once")
        return value

    @model_validator(mode="after")
    def _served(self) -> PipelineSettings:
        names = self.cue_names
        for modality in self.fusion.modalities or ():
            if modality not in names:
                raise ValueError(
                    f"the fusion takes {modality!r}, which is none of the cues{nearest(modality, names)}"
                )
        if not set(self.fusion.takes or names) & set(names):
            raise ValueError(
                f"the fusion takes {', '.join(self.fusion.takes or ())}: none of these is a cue here"
            )
        return self

    @property
    def cue_names(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(cue.name for cue in self.cues)

    @property
    def places(self) -> bool:
        """Whether maps are moved and averaged as people look in video."""
        return self.placement == "video" or (self.placement == "auto" and self.fusion.weights == PACKAGED)

    def to_yaml(self) -> str:
        """The pipeline as YAML that :func:`read_file` reads; what has its default value is left out."""
        return yaml.safe_dump(self.plain(), sort_keys=False, allow_unicode=True, width=100)

    def plain(self) -> dict[str, Any]:
        """The pipeline as plain values without defaults; cues that are a name alone are a text."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        values["cues"] = [cue["name"] if list(cue) == ["name"] else cue for cue in values["cues"]]
        return values


def read_file(path: Path) -> PipelineSettings:
    """The pipeline that a YAML or JSON file describes; it is called after the file unless it has a name.

    Raises :class:`gasp.errors.InputError` when the file cannot be read and :class:`gasp.errors.UsageError` when it does
    not describe a pipeline.
    """
    values = read_values(path, "a pipeline: it must hold 'cues: ...' and so on")
    read = PipelineSettings.read({"name": path.stem, **values}, str(path))
    folder = path.parent.absolute()
    cues = tuple(_with_files(cue, folder) for cue in read.cues)
    return read.model_copy(update={"cues": cues, "faces": _with_files(read.faces, folder)})


def _with_files(part: PartT, folder: Path) -> PartT:
    """The part, in whose command files that lie in the folder have their whole path."""
    if part.command is None:
        return part
    words = tuple(str(folder / word) if _lies_in(folder, word) else word for word in part.command)
    return part if words == part.command else part.model_copy(update={"command": words})


def _lies_in(folder: Path, word: str) -> bool:
    try:
        return bool(word) and not Path(word).is_absolute() and (folder / word).is_file()
    except (OSError, ValueError):
        return False  # a text too long for a path, say


def check_detector(name: str) -> str:
    """The name, if it is that of a face detector. Raises ValueError otherwise."""
    if name not in DETECTOR_NAMES and name not in (others := plugin_names("gasp.faces")):
        raise ValueError(f"unknown face detector{nearest(name, [*DETECTOR_NAMES, *others])}")
    return name


def _check_own_name(name: str, known: list[str]) -> str:
    """The name of a user's own cue: part of columns and files."""
    if name in known:
        raise ValueError("a cue of the package has this name; give the command's another one")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ValueError("a name of letters, digits, - and _ is needed, beginning with a letter")
    return name


def _check_weights(weights: str, others: tuple[str, ...] = ()) -> str:
    try:
        find_named(weights)
    except UsageError as error:
        also = f" {', '.join(others)}, or the path of a file, are possible too." if others else ""
        raise ValueError(f"{error}{also}") from None
    return weights


def _check_network(entry: Entry, networks: tuple[str, ...], what: str) -> None:
    if entry.network not in networks:
        raise ValueError(
            f"the weights {entry.name!r} are those of the network {entry.network}, not for {what}"
        )


__getattr__ = renamed(
    __name__,
    {
        "PipelineConfig": "PipelineSettings",
        "CueConfig": "CueSettings",
        "FacesConfig": "FacesSettings",
        "FusionConfig": "FusionSettings",
    },
)
