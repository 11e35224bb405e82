"""What follows training: inference presets of 2021 with the network that was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gasp.config.experiments import Experiment
from gasp.config.json2021 import read_inference_file
from gasp.config.presets2021 import FRAMES, inference_preset
from gasp.datasets.store import INDEX
from gasp.errors import UsageError
from gasp.published.infer import InferenceSummary, run_inference
from gasp.published.plan import GASP, GaspPlan, InferencePlan, plan_of
from gasp.work.progress import Report, silent

METRICS = "metrics.csv"


def find_plans(
    names: Sequence[str],
    files: Sequence[Path],
    experiment: Experiment,
    root: str | Path = ".",
    *,
    compute_metrics: bool = False,
    device: str | None = None,
) -> dict[str, InferencePlan]:
    """The plans of the inference presets that were asked for, by name; with ``files``, ``names`` do not count.

    Args:
        names: Of presets.
        files: Presets as JSON.
        experiment: What is trained.
        root: The working directory.
        compute_metrics: Measure also where a preset does not say so.
        device: In place of the presets'.

    Raises:
        GaspError: What would only fail after training: unknown or wrong presets, presets without a place for the
            network, an experiment without a list for the test, no stored frames.
    """
    found = {path.stem: read_inference_file(path) for path in files} or {
        name: inference_preset(name) for name in names
    }
    plans = {}
    for name, preset in found.items():
        plan = plan_of(preset, name, device=device, compute_metrics=compute_metrics)
        fill_in(plan, experiment, Path(), Path())
        plans[name] = plan
    if plans:
        stored_frames(experiment, Path(root))
    return plans


def stored_frames(experiment: Experiment, root: Path) -> Path:
    """The folder of frames that inference reads, below ``root``: the experiment's, or beside its store the usual one.

    Raises :class:`~gasp.errors.UsageError` when there is none.
    """
    source = root / experiment.clips.source
    frames = source if not (source / INDEX).is_file() else root / FRAMES
    if not frames.is_dir() or (frames / INDEX).is_file():
        raise UsageError(
            f"inference after training reads stored frames, but {frames} holds none; write those of the store with "
            f"`gasp pack {source} --unpack -o {root / FRAMES}`"
        )
    return frames


def fill_in(plan: InferencePlan, experiment: Experiment, checkpoint: Path, table: Path) -> InferencePlan:
    """A copy of a plan that uses the trained network on the experiment's test videos.

    A window that was left to training becomes the network's context, inputs those of the test.

    Args:
        plan: That of the preset.
        experiment: What was trained.
        checkpoint: A bare state dict.
        table: The metrics table to write, relative to the working directory or absolute.

    Raises:
        UsageError: The experiment has no list for the test, or the plan no GASP, or other inputs than the network.
    """
    model, clips = plan.model, experiment.clips
    if not isinstance(model, GaspPlan):
        raise UsageError(
            f"{plan.name} has no model {GASP}: there is no place for the network that is trained"
        )
    if clips.test is None:
        raise UsageError(
            "clips.test names no list of videos, so that there is nothing to predict after training"
        )
    inputs = tuple(clips.test_inputs or clips.inputs)
    if model.inputs is not None and len(model.inputs) != len(inputs):
        raise UsageError(
            f"the preset's {GASP} reads {len(model.inputs)} pictures (inp_img_names_list), the network is trained on "
            f"{len(inputs)}"
        )
    trained = GaspPlan(
        window=model.window or experiment.context,
        inputs=model.inputs or inputs,
        network=experiment.network,
        options=experiment.network_options,
        weights=str(checkpoint),
        size=clips.size,
        shown=model.shown,
    )
    metrics = None if plan.metrics is None else replace(plan.metrics, table=str(table))
    return replace(plan, lists=plan.lists._replace(test=clips.test), model=trained, metrics=metrics)


def follow_up(
    plans: Mapping[str, InferencePlan],
    experiment: Experiment,
    checkpoint: Path,
    log_folder: Path,
    root: str | Path = ".",
    *,
    report: Report = silent,
) -> dict[str, InferenceSummary]:
    """Runs inference plans with the trained weights in ``checkpoint`` (a bare state dict); how each went.

    Metrics of the first one go to ``<log_folder>/metrics.csv``, of others to ``metrics_<preset>.csv`` beside it.
    """
    done = {}
    frames = stored_frames(experiment, Path(root))
    for place, (name, plan) in enumerate(plans.items()):
        table = (log_folder / (f"metrics_{name}.csv" if place else METRICS)).resolve()
        filled = fill_in(plan, experiment, checkpoint.resolve(), table)
        done[name] = run_inference(filled, root, frames=frames.resolve(), report=report)
    return done
