"""What a training run is made of, as data: network, clips, losses, optimiser, trainer.

From YAML, JSON or 2021's presets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from gasp.config.base import SUFFIXES, FolderName, NoEffect, Settings, read_values
from gasp.config.presets2021 import FRAMES, INPUTS, TARGETS, Preset, training_presets
from gasp.errors import UsageError
from gasp.naming import nearest
from gasp.networks.variants import VARIANTS

WHAT = "an experiment: it must hold 'network: ...' and so on"

Size = tuple[int, int]
Choice = Literal["peek", "walk", "all"]


class AugmentSettings(Settings):
    """Changes of training clips; the same for all frames, maps and targets of a clip.

    ``flip``: probability of mirroring left and right. ``crop``: a random part of the picture is shown, this share of
    each side at least (1: the whole picture). ``colour``: how much brightness, contrast and saturation of ``captured``
    vary, as a share (0: not at all); drawn cue maps keep their colours, which carry meaning.
    """

    flip: float = Field(default=0.0, ge=0, le=1)
    crop: float = Field(default=1.0, gt=0.2, le=1)
    colour: float = Field(default=0.0, ge=0, lt=1)


class ClipsSettings(Settings):
    """Which clips are learnt from.

    ``source``: a store of ``gasp pack``, or a ``Grouped_frames`` folder. ``train``, ``validation``, ``test``: a list of
    videos (file, or name of a published one); without ``validation`` nothing is validated. ``scene_type`` and
    ``datasets`` leave only such rows of the lists (None: any), ``without`` leaves out videos ("diem/talk").
    ``inputs``: names of pictures in modality order; ``test_inputs``: others for what follows training (None: the same).
    ``targets``: density and fixations.

    ``choice``: "peek" takes one clip from each video per epoch (``peeks`` of them), starting anywhere up to the last
    frame, as in 2021; "walk" goes on by the context in each epoch; "all" goes through whole videos in steps of the
    context in every epoch. ``validation_choice``: the same for validation. ``every_frame``: targets of every frame of
    a clip for directed attention (None: where the network is a sequence network with it). ``missing``: what stands for
    a missing picture: "repeat" the last one of the same modality in the clip, as in 2021, or "black". ``balance``: draw
    "videos" alike, or "datasets" alike.
    ``size``, ``target_size``: (height, width) of pictures and targets. ``workers``: loader processes.
    """

    source: str = FRAMES
    train: str = "train_ave"
    validation: str | None = "validation_ave"
    test: str | None = "test_ave"
    scene_type: str | None = "Social"
    datasets: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    inputs: tuple[str, ...] = Field(default=INPUTS, min_length=1)
    test_inputs: tuple[str, ...] | None = None
    targets: tuple[str, str] = TARGETS
    choice: Choice = "peek"
    validation_choice: Choice = "peek"
    peeks: int = Field(default=1, ge=1, le=10000)
    every_frame: bool | None = None
    missing: Literal["repeat", "black"] = "repeat"
    balance: Literal["videos", "datasets"] = "videos"
    size: Size = (120, 120)
    target_size: Size = (60, 60)
    workers: int = Field(default=0, ge=0, le=256)
    augment: AugmentSettings = AugmentSettings()

    @field_validator("size", "target_size")
    @classmethod
    def _positive(cls, value: Size) -> Size:
        if not all(4 <= side <= 4096 for side in value):
            raise ValueError("sides of pictures must lie between 4 and 4096")
        return value

    @field_validator("inputs")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if value.count(name) > 1:
                raise ValueError(f"{name!r} is named more than once")
        return value


class LossSettings(Settings):
    """Weights and form of the losses, see :mod:`gasp.training.losses`.

    ``form``: "published" (sums over the batch, BCE targets divided by 255 once too often, see
    ``divide_target``), or "corrected" (means over the batch, BCE mean over pixels of undivided targets, constant
    predictions have an NSS of 0 instead of NaN). ``divide_target``: None follows the form. ``gates``: weight of the
    mean gate, which is not in the published loss: gates that do not help close, so that the open ones say what matters.
    """

    form: Literal["published", "corrected"] = "published"
    bce: float = Field(default=0.5, ge=0)
    cc: float = Field(default=2.0, ge=0)
    nss: float = Field(default=1.0, ge=0)
    kl: float = Field(default=0.0, ge=0)
    dam: float = Field(default=0.5, ge=0)
    gates: float = Field(default=0.0, ge=0)
    divide_target: bool | None = None

    @model_validator(mode="after")
    def _some(self) -> LossSettings:
        if not self.bce + self.cc + self.nss + self.kl:
            raise ValueError("all weights of the saliency losses are 0")
        return self


class OptimiserSettings(Settings):
    """``schedule`` of the learning rate over all steps: "constant" as published, "cosine" to 0, or "onecycle";
    ``warmup``: share of the steps in which it rises from 0. ``clip``: greatest norm of the gradient, 0 for none.
    ``find_rate``: look for a learning rate before training (Smith, "Cyclical Learning Rates", WACV 2017).
    """

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = Field(default=0.00014, gt=0, le=10)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine", "onecycle"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    clip: float = Field(default=0.0, ge=0)
    find_rate: bool = False


class TrainerSettings(Settings):
    """How long, on what, and what is kept.

    ``max_steps``: 0 for no limit. ``validate_every``, ``checkpoint_every``: in epochs. ``checkpoint_best``: how many
    checkpoints with the least validation loss are kept. ``patience``: stop after so many validations without a
    better loss, 0 for never. ``average``: decay of a moving average of the weights, which is then what is validated
    and kept at the end; 0 for none. ``accelerator``, ``devices``, ``nodes``: as Lightning names them; ``devices``
    "auto", a number, or a list such as "0,1". ``start_from``: weights to begin with (a name of ``gasp models``, or a
    file); ``freeze``: beginnings of parameters' names that stay as they are.
    """

    max_epochs: int = Field(default=1000, ge=1)
    max_steps: int = Field(default=0, ge=0)
    batch: int = Field(default=4, ge=1)
    accumulate: int = Field(default=1, ge=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: bool = False
    accelerator: str = "auto"
    devices: str = "1"
    nodes: int = Field(default=1, ge=1)
    threads: Annotated[int, NoEffect] = Field(default=0, ge=0, le=1024)
    validate_every: int = Field(default=1, ge=1)
    checkpoint_every: int = Field(default=1000, ge=1)
    checkpoint_best: int = Field(default=3, ge=0, le=1000)
    patience: int = Field(default=0, ge=0)
    average: float = Field(default=0.0, ge=0, lt=1)
    start_from: str | None = None
    freeze: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0, lt=2**32)


class LoggingSettings(Settings):
    """``logger``: "csv" (a table and a plot), "tensorboard" or "comet"; the table is written with each of them.
    ``pictures``: store samples of inputs, targets and predictions at validation. ``project``: Comet's project.
    ``folder``: where logs go.
    """

    logger: Literal["csv", "tensorboard", "comet"] = "csv"
    pictures: bool = False
    project: str = "gasp_runs"
    folder: str = "logs"


class Experiment(Settings):
    """One training run.

    ``name``: of the experiment, a part of paths. ``network`` and ``options``: as :func:`gasp.create_model` takes them
    (``modalities`` follows from the inputs). ``checkpoints``: the folder under which
    ``<title>/<run>/`` is written, ``title`` being the class name for 2021's presets.
    """

    name: FolderName = "experiment"
    title: str = ""
    network: str
    options: dict[str, Any] = Field(default_factory=dict)
    clips: ClipsSettings = ClipsSettings()
    losses: LossSettings = LossSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    trainer: TrainerSettings = TrainerSettings()
    logging: Annotated[LoggingSettings, NoEffect] = LoggingSettings()
    checkpoints: Annotated[str, NoEffect] = "checkpoints"

    @field_validator("network")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in VARIANTS:
            raise ValueError(f"unknown GASP network{nearest(value, VARIANTS)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Experiment:
        given = self.options.get("modalities", len(self.clips.inputs))
        if given != len(self.clips.inputs):
            raise ValueError(
                f"options.modalities = {given}, but clips.inputs names {len(self.clips.inputs)} pictures"
            )
        if self.losses.gates and not {"gmu", "rgmu"} & set(VARIANTS[self.network].fusion):
            raise ValueError(f"losses.gates: {self.network} has no gated unit")
        if self.trainer.patience and self.clips.validation is None:
            raise ValueError("trainer.patience needs a list of videos for validation (clips.validation)")
        return self

    @property
    def sequence(self) -> bool:
        """Whether the network takes a window of frames."""
        return VARIANTS[self.network].sequence

    @property
    def context(self) -> int:
        """Frames of a clip."""
        return int(self.options.get("sequence_len") or 16) if self.sequence else 1

    @property
    def attends(self) -> bool:
        """Whether the network has a directed attention module, which has a loss of its own."""
        return VARIANTS[self.network].scaling == "dam"

    @property
    def every_frame(self) -> bool:
        """Whether every frame of a clip needs a target."""
        chosen = self.clips.every_frame
        return self.sequence and self.attends if chosen is None else chosen

    @property
    def network_options(self) -> dict[str, Any]:
        """Options of :func:`gasp.create_model`."""
        return {"modalities": len(self.clips.inputs)} | self.options

    def replaced(self, **parts: Mapping[str, Any] | Any) -> Experiment:
        """A checked copy in which fields have other values; a mapping changes fields of that part only.

        For example ``experiment.replaced(name="short", trainer={"max_epochs": 2})``.
        """
        values = self.model_dump()
        for key, value in parts.items():
            inner = values.get(key)
            merge = isinstance(value, Mapping) and isinstance(inner, dict) and key != "options"
            values[key] = inner | dict(value) if merge and inner is not None else value
        return Experiment.read(values)

    def changed(self, changes: Iterable[str]) -> Experiment:
        """A checked copy with changes written as FIELD=VALUE, such as ``trainer.batch=8``; the value is YAML.

        Raises :class:`~gasp.errors.UsageError` for what is not written so, and for wrong fields.
        """
        experiment = self
        for change in changes:
            field, equals, text = change.partition("=")
            if not equals or not field:
                raise UsageError(f"--set {change}: write FIELD=VALUE, such as trainer.batch=8")
            experiment = experiment._with(field.split("."), _read_value(text))
        return experiment

    def _with(self, place: Sequence[str], value: Any) -> Experiment:
        first, *rest = place
        if first == "options" and rest:
            value = self.options | {".".join(rest): value}
        else:
            for name in reversed(rest):
                value = {name: value}
        return self.replaced(**{first: value})

    def plain(self) -> dict[str, Any]:
        """Plain values without defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def to_yaml(self) -> str:
        """The experiment as YAML that :func:`read_experiment` reads; what has its default value is left out."""
        return yaml.safe_dump(self.plain(), sort_keys=False, allow_unicode=True, width=100)


def _read_value(text: str) -> Any:
    """What YAML makes of a text; the text itself where that is nothing."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def read_experiment(source: str | Path) -> Experiment:
    """The experiment of a preset's name (2021's training presets), or in a YAML or JSON file.

    JSON files of 2021 are known by their keys. Raises :class:`~gasp.errors.UsageError` for unknown names and wrong
    fields, :class:`~gasp.errors.InputError` for unreadable files.
    """
    from gasp.config.json2021 import read_training_file
    from gasp.config.presets2021 import training_preset

    path = Path(source)
    if path.suffix.lower() not in SUFFIXES:
        if str(source) in training_presets():
            return experiment_of(training_preset(str(source)), str(source))
        raise UsageError(
            f"there is no training preset {str(source)!r}{nearest(str(source), training_presets(), most=6)}"
        )
    values = read_values(path, WHAT)
    if "model_properties" in values or "experiment_name" in values:
        return experiment_of(read_training_file(path), path.stem)
    return Experiment.read({"name": path.stem} | values, str(path))


_TRAINING_OPTIONS = {
    "learning_rate": ("optimiser", "learning_rate"),
    "batch_size": ("trainer", "batch"),
    "num_workers": ("clips", "workers"),
    "dam_loss_weight": ("losses", "dam"),
    "val_store_image_samples": ("logging", "pictures"),
}
"""Constructor options of 2021's networks that belong to training -> where they stand here."""

_PUBLISHED_BATCH = 8
"""Batch size of 2021's networks where a preset names none."""


def experiment_of(preset: Preset, name: str) -> Experiment:
    """A training preset of 2021 as an experiment; what it leaves open is as published.

    The number of loader processes is not taken over (it was 16 everywhere). Raises
    :class:`~gasp.errors.UsageError` for values that make no experiment.
    """
    if not preset.get("model_name"):
        raise UsageError(f"{name} names no network (model_name)")
    options = dict(preset.get("model_properties") or {})
    parts: dict[str, dict[str, Any]] = {"optimiser": {}, "trainer": {"batch": _PUBLISHED_BATCH}, "losses": {}}
    parts["clips"] = _clips_of(preset, name)
    parts["logging"] = {
        "logger": preset.get("logger") or "csv",
        "project": preset.get("project_name") or "gasp_runs",
        "folder": preset.get("log_dir") or "logs",
    }
    for key, (part, field) in _TRAINING_OPTIONS.items():
        if key in options:
            parts[part][field] = options.pop(key)
    if weights := options.pop("loss_weights", None):
        parts["losses"] |= dict(zip(("bce", "cc", "nss"), weights, strict=True))
    for field, prefix in (("size", "inp_img"), ("target_size", "trg_img")):
        height, width = options.pop(f"{prefix}_height", None), options.pop(f"{prefix}_width", None)
        if height and width:
            parts["clips"][field] = (height, width)
    for unused in ("inp_img_mean", "inp_img_std"):
        options.pop(unused, None)
    values = {
        "name": name,
        "title": preset.get("experiment_name") or preset["model_name"],
        "network": preset["model_name"],
        "options": options,
        "checkpoints": preset.get("checkpoint_model_dir") or "checkpoints",
        **parts,
    }
    return Experiment.read(values, name)


def _clips_of(preset: Preset, name: str) -> dict[str, Any]:
    train, validation, test = (
        preset.get(f"{part}_dataset_properties") or {} for part in ("train", "val", "test")
    )
    if not train.get("csv_file"):
        raise UsageError(f"{name} names no list of training videos (train_dataset_properties.csv_file)")
    inputs = tuple(train.get("inp_img_names_list") or INPUTS)
    clips: dict[str, Any] = {
        "source": train.get("video_dir") or FRAMES,
        "train": train["csv_file"],
        "validation": validation.get("csv_file"),
        "test": test.get("csv_file"),
        "inputs": inputs,
        "targets": tuple(train.get("gt_img_names_list") or TARGETS),
    }
    tested = tuple(test.get("inp_img_names_list") or inputs)
    if tested != inputs:
        clips["test_inputs"] = tested
    if train.get("peek_every") is False:
        clips["choice"] = "walk"
    if train.get("exhaustive") is not None:
        clips["every_frame"] = train["exhaustive"]
    return clips


__all__ = [
    "AugmentSettings",
    "ClipsSettings",
    "Experiment",
    "LoggingSettings",
    "LossSettings",
    "OptimiserSettings",
    "TrainerSettings",
    "experiment_of",
    "read_experiment",
]
