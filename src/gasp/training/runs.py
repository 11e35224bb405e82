"""Folders of training runs: which there are, which was interrupted, and what is written in the end.

A run's folder is ``<checkpoints>/<title>/<key>/`` and holds ``run.json``, the state to go on from, checkpoints, and
when it is complete ``last_model.pt`` (a bare state dict, as in 2021) and ``model.safetensors`` (the same with what is
needed to use it in a pipeline).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from gasp.config.experiments import Experiment
from gasp.datasets.grouped import modality_name
from gasp.datasets.store import INDEX
from gasp.networks.gasp import GASP
from gasp.training.loggers import title_of
from gasp.weights import save_weights
from gasp.work.files import replacing, sha256
from gasp.work.provenance import versions

RECORD = "run.json"
LAST_MODEL = "last_model.pt"
MODEL = "model.safetensors"
FORMAT = "gasp-training-1"

State = Literal["running", "complete"]

_WITHOUT_EFFECT = ("logging", "checkpoints")
_TRAINER_WITHOUT_EFFECT = ("threads",)


@dataclass(frozen=True)
class Run:
    """A run on disk. ``record``: what ``run.json`` says."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def complete(self) -> bool:
        """Whether training came to its end."""
        return self.record.get("state") == "complete"


def runs_folder(experiment: Experiment, root: Path) -> Path:
    """Where the runs of an experiment lie."""
    return root / experiment.checkpoints / title_of(experiment)


def find_run(experiment: Experiment, root: Path) -> Run | None:
    """The newest run of exactly this experiment, interrupted or complete."""
    parent = runs_folder(experiment, root)
    wanted = fingerprint(experiment, root)
    found = [run for run in _runs(parent) if run.record.get("fingerprint") == wanted]
    return max(found, key=lambda run: (run.folder / RECORD).stat().st_mtime, default=None)


def _runs(parent: Path) -> list[Run]:
    runs = []
    for path in parent.glob(f"*/{RECORD}"):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("format") == FORMAT:
            runs.append(Run(path.parent, record))
    return runs


def fingerprint(experiment: Experiment, root: Path) -> str:
    """Equal for experiments with equal results: what they are made of, the lists and the store that they learn from.

    (Of a ``Grouped_frames`` folder the path alone counts: it has too many files to look at them all.)
    """
    values = experiment.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    for name in _TRAINER_WITHOUT_EFFECT:
        del values["trainer"][name]
    clips = experiment.clips
    files = [root / clips.source / INDEX, *(root / name for name in (clips.train, clips.validation) if name)]
    values["files"] = [sha256(path) if path.is_file() else None for path in files]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_record(
    folder: Path,
    experiment: Experiment,
    root: Path,
    state: State,
    results: Mapping[str, Any] | None = None,
) -> None:
    """Writes ``run.json``: the experiment, versions, and how far it is; atomically."""
    record = {
        "format": FORMAT,
        "state": state,
        "fingerprint": fingerprint(experiment, root),
        "versions": versions(),
        "experiment": experiment.model_dump(mode="json"),
        "results": dict(results or {}),
    }
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_model(folder: Path, network: GASP, experiment: Experiment, source: str) -> Path:
    """Writes the final weights in both forms; the path of ``last_model.pt``."""
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    with replacing(folder / LAST_MODEL) as temporary:
        torch.save(state, temporary)
    height, width = experiment.clips.size
    save_weights(
        network,
        folder / MODEL,
        network=experiment.network,
        options=experiment.network_options,
        metadata={
            "licence": "as the data and weights that it learnt from allow",
            "training_data": source,
            "modalities": json.dumps([modality_name(name) for name in experiment.clips.inputs]),
            "preprocessing": json.dumps({"height": height, "width": width}),
            "output": "independent",
            "recipe": json.dumps(experiment.plain()),
        },
    )
    return folder / LAST_MODEL
