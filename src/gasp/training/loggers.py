"""Where a training run is logged: always a local table and plot, and TensorBoard or Comet when wanted."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from PIL import Image

from gasp.config.experiments import Experiment
from gasp.errors import OutputError, UsageError
from gasp.training.extras import extra
from gasp.training.history import TableLogger
from gasp.work.files import replacing

CONFIGURATION = "train_config.cfg"


@dataclass(frozen=True)
class RunLogs:
    """The logs of one run.

    ``loggers``: for Lightning's trainer. ``key``: the run's name, a part of paths: Comet's key of the experiment, else
    "version_0" and so on. ``folder``: where local logs lie, with ``train_config.cfg`` in it.
    """

    loggers: list[Logger]
    key: str
    folder: Path


def open_logs(experiment: Experiment, root: str | Path = ".", *, key: str | None = None) -> RunLogs:
    """Opens the logs of a new run, or of the run ``key`` to go on with it.

    The folder is ``<logging.folder>/<project>/<key>`` with Comet and ``<logging.folder>/<project>/<title>/<key>``
    without. Comet takes ``COMET_KEY`` and ``COMET_WORKSPACE`` from the environment; ``COMET_MODE=offline`` or
    ``COMET_OFFLINE_DIRECTORY`` make it write an archive there (the log folder, if not named) for ``comet upload``.

    In processes other than the first of distributed training give the first one's ``key``; nothing is written there.
    Raises :class:`~gasp.errors.UsageError` when variables or packages are missing or Comet does not accept the key.
    """
    if experiment.logging.logger == "comet":
        logs = _comet_logs(experiment, Path(root), key)
    else:
        logs = _local_logs(experiment, Path(root), key)
    _write_configuration(experiment, logs)
    return logs


def log_folder(experiment: Experiment, root: Path, key: str) -> Path:
    """Where the local logs of the run ``key`` lie."""
    logging = experiment.logging
    project = root / logging.folder / logging.project
    return project / key if logging.logger == "comet" else project / title_of(experiment) / key


def title_of(experiment: Experiment) -> str:
    """What runs of this experiment are filed under."""
    return experiment.title or experiment.name


def flattened(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys: {"clips": {"source": "x"}} becomes {"clips.source": "x"}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat


@rank_zero_only
def _write_configuration(experiment: Experiment, logs: RunLogs) -> None:
    values = flattened(experiment.model_dump(mode="json"))
    with replacing(logs.folder / CONFIGURATION) as temporary:
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")
    for logger in logs.loggers:
        logger.log_hyperparams(values)


# --- local -----------------------------------------------------------------------------------------------


def _local_logs(experiment: Experiment, root: Path, key: str | None) -> RunLogs:
    parent = log_folder(experiment, root, "")
    key = key or _new_version(parent, root / experiment.checkpoints / title_of(experiment))
    loggers: list[Logger] = [TableLogger(parent / key, key)]
    if experiment.logging.logger == "tensorboard":
        with extra("train"):
            import_module("tensorboard")  # or Lightning would complain later, in its own words
        loggers.append(TensorBoardLogger(parent, name="", version=key, default_hp_metric=False))
    return RunLogs(loggers, key, parent / key)


def _new_version(logs: Path, checkpoints: Path) -> str:
    """A name that no run has, neither for its logs nor for its checkpoints; its log folder is made."""
    taken = [
        int(path.name.removeprefix("version_"))
        for parent in (logs, checkpoints)
        if parent.is_dir()
        for path in parent.iterdir()
        if path.name.removeprefix("version_").isdecimal()
    ]
    number = max(taken, default=-1) + 1
    while True:
        try:
            (logs / f"version_{number}").mkdir(parents=True)
        except FileExistsError:  # another run begins at the same moment
            number += 1
        except OSError as error:
            raise OutputError(f"{logs}: cannot be written: {error.strerror or error}.") from None
        else:
            return f"version_{number}"


# --- Comet -----------------------------------------------------------------------------------------------


def _comet_logs(experiment: Experiment, root: Path, key: str | None) -> RunLogs:
    # Before Comet is imported: it would patch torch and Lightning, log what they do a second time, and report its own
    # errors to its makers.
    os.environ.setdefault("COMET_DISABLE_AUTO_LOGGING", "1")
    os.environ.setdefault("COMET_ERROR_TRACKING_ENABLE", "false")
    account = CometAccount.from_environment()
    with extra("comet"):
        import_module("comet_ml")
    new = key is None
    key = key or uuid4().hex
    folder = log_folder(experiment, root, key)
    comet = CometLogger(account, experiment.logging.project, experiment.name, key, folder, new=new)
    comet.open()
    return RunLogs([TableLogger(folder, key), comet], key, folder)


_UNASKED: dict[str, Any] = {
    "auto_output_logging": False,
    "display_summary_level": 0,
    "log_code": False,
    "log_env_host": False,
    "log_env_network": False,
    "log_git_metadata": False,
    "log_git_patch": False,
    "parse_args": False,
}
"""Comet would send the user's code, name and address, and catch what is printed."""


@dataclass(frozen=True)
class CometAccount:
    """Whose runs these are; offline, where the archive goes (None: the log folder)."""

    api_key: str
    workspace: str
    offline: bool
    archives: Path | None

    @classmethod
    def from_environment(cls) -> CometAccount:
        """As the variables say. Raises :class:`~gasp.errors.UsageError` naming those that are missing."""
        archives = os.environ.get("COMET_OFFLINE_DIRECTORY")
        offline = bool(archives) or os.environ.get("COMET_MODE", "").lower() == "offline"
        values = {name: os.environ.get(name, "") for name in ("COMET_KEY", "COMET_WORKSPACE")}
        missing = [name for name, value in values.items() if not value]
        if missing and not offline:
            raise UsageError(
                f"the logger comet needs the environment variable{'s' if len(missing) > 1 else ''} "
                f"{' and '.join(missing)}; set COMET_MODE=offline to log into an archive, "
                "or choose the logger tensorboard or csv"
            )
        return cls(
            values["COMET_KEY"],
            values["COMET_WORKSPACE"],
            offline,
            Path(archives) if archives else None,
        )


class CometLogger(Logger):
    """A Lightning logger to Comet, online or into an archive.

    Lightning's own disables the experiment when it is offline, so that nothing is recorded. ``new``: whether the
    experiment ``key`` is to be made.
    """

    def __init__(
        self, account: CometAccount, project: str, name: str, key: str, folder: Path, *, new: bool
    ) -> None:
        super().__init__()
        self._account = account
        self._project = project
        self._name = name
        # Comet asks for keys of 32 signs; a run that began with another logger has a shorter one.
        self._key = key if len(key) >= 32 else uuid5(NAMESPACE_URL, str(folder.resolve())).hex
        self._archives = account.archives or folder
        self._new = new
        self._experiment: Any = None

    @property
    def name(self) -> str:
        """The project."""
        return self._project

    @property
    def version(self) -> str:
        """Comet's key of the experiment."""
        return self._key

    @rank_zero_only
    def open(self) -> None:
        """Begins to record, or goes on. Raises :class:`~gasp.errors.UsageError` when Comet refuses."""
        import comet_ml

        online = not self._account.offline
        options: dict[str, Any] = {"disabled": False, "name": self._name, **_UNASKED}
        if not online:
            self._archives.mkdir(parents=True, exist_ok=True)
            options["offline_directory"] = str(self._archives)
        try:
            experiment = comet_ml.start(
                api_key=self._account.api_key or None,
                workspace=self._account.workspace or None,
                project_name=self._project,
                experiment_key=self._key,
                mode="create" if self._new else "get_or_create",
                online=online,
                experiment_config=comet_ml.ExperimentConfig(**options),
            )
        except Exception as error:
            raise UsageError(
                f"Comet does not take this run: {error}; check COMET_KEY, COMET_WORKSPACE and the network, or set "
                "COMET_MODE=offline to log into an archive"
            ) from None
        if not experiment.alive:
            raise UsageError(
                "Comet does not take this run: check COMET_KEY and COMET_WORKSPACE, or set COMET_MODE=offline to log "
                "into an archive"
            )
        self._experiment = experiment
        self._new = False

    @property
    def experiment(self) -> Any:
        """Comet's own object; opened again in a process that got this logger from another."""
        if self._experiment is None:
            self.open()
        return self._experiment

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Stores the configuration."""
        self.experiment.log_parameters(vars(params) if isinstance(params, Namespace) else params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Stores values of one step."""
        values = dict(metrics)
        epoch = values.pop("epoch", None)
        self.experiment.log_metrics(values, step=step, epoch=None if epoch is None else int(epoch))

    @rank_zero_only
    def log_picture(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Stores a picture, RGB uint8 (H, W, 3)."""
        # Comet would stretch an array's values to 0..255; a picture it takes as it is.
        self.experiment.log_image(Image.fromarray(picture), name=name, step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends recording: waits until all is sent, or writes the archive."""
        if self._experiment is not None:
            self._experiment.end()
            self._experiment = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_experiment": None}
