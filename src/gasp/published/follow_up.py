"""What follows training: inference presets of 2021 with the network that was trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gasp.config.experiments import Experiment
from gasp.config.json2021 import read_inference_file
from gasp.config.presets2021 import FRAMES, Preset, inference_preset
from gasp.datasets.store import INDEX
from gasp.errors import UsageError
from gasp.published.infer import InferenceSummary, run_inference
from gasp.work.progress import Report, silent

INFERER = "GASPInference"
"""The model of a preset whose place the trained network takes."""

METRICS = "metrics.csv"


def find_presets(
    names: Sequence[str], files: Sequence[Path], experiment: Experiment, root: str | Path = "."
) -> dict[str, Preset]:
    """The inference presets that were asked for, by name; with ``files``, ``names`` do not count.

    Raises :class:`~gasp.errors.GaspError` for what would only fail after training: unknown presets, presets without a
    place for the network, an experiment without a list for the test, no stored frames.
    """
    found = {path.stem: read_inference_file(path) for path in files} or {
        name: inference_preset(name) for name in names
    }
    for name, preset in found.items():
        if not any(model[0] == INFERER for model in _models(preset)):
            raise UsageError(
                f"{name} has no model {INFERER}: there is no place for the network that is trained"
            )
        fill_in(preset, experiment, Path(), Path())
    if found:
        stored_frames(experiment, Path(root))
    return found


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


def fill_in(
    preset: Preset, experiment: Experiment, checkpoint: Path, metrics: Path, *, compute_metrics: bool = False
) -> Preset:
    """A copy of an inference preset that uses the trained network on the experiment's test videos.

    ``checkpoint``: a bare state dict. ``metrics``: the table to write, relative to the working directory or absolute.
    A window of -1 becomes the network's context, a source of -1 the window's last frame, inputs of None those of the
    test. Raises :class:`~gasp.errors.UsageError` where the experiment has no list for the test, or the preset other
    inputs than the network.
    """
    clips = experiment.clips
    if clips.test is None:
        raise UsageError(
            "clips.test names no list of videos, so that there is nothing to predict after training"
        )
    filled = copy.deepcopy(preset)
    inputs = list(clips.test_inputs or clips.inputs)
    filled["datasplitter_properties"] = {**filled["datasplitter_properties"], "test_csv_file": clips.test}
    filled["sampling_properties"] = {
        **filled["sampling_properties"],
        "img_names_list": [*clips.targets, *inputs],
    }
    filled["metrics_save_file"] = str(metrics)
    filled["compute_metrics"] = bool(filled["compute_metrics"] or compute_metrics)
    options = {
        **experiment.network_options,
        "model_name": experiment.network,
        "checkpoint_file": str(checkpoint),
        "inp_img_height": clips.size[0],
        "inp_img_width": clips.size[1],
    }
    for model in _models(filled):
        if model[0] == INFERER:
            model[1:5] = _filled(model, experiment.context, inputs, options)
    return filled


def _filled(
    model: Sequence[Any], context: int, inputs: list[str], options: Mapping[str, Any]
) -> tuple[int, list[int], dict[str, Any], dict[str, Any]]:
    """Window, source, network options and pre-processing options of a model entry."""
    window = context if model[1] == -1 else model[1]
    source = [window - 1] if model[2] == -1 else model[2]
    chosen = model[4].get("inp_img_names_list")
    if chosen is not None and len(chosen) != len(inputs):
        raise UsageError(
            f"the preset's {INFERER} reads {len(chosen)} pictures (inp_img_names_list), the network is trained on "
            f"{len(inputs)}"
        )
    # The static networks want frames_len, too; the published code left it out.
    return (
        window,
        source,
        {**options, "frames_len": window},
        {**model[4], "inp_img_names_list": chosen or inputs},
    )


def follow_up(
    presets: Mapping[str, Preset],
    experiment: Experiment,
    checkpoint: Path,
    log_folder: Path,
    root: str | Path = ".",
    *,
    compute_metrics: bool = False,
    device: str | None = None,
    report: Report = silent,
) -> dict[str, InferenceSummary]:
    """Runs inference presets with the trained weights in ``checkpoint`` (a bare state dict); how each went.

    Metrics of the first preset go to ``<log_folder>/metrics.csv``, of others to ``metrics_<preset>.csv`` beside it.
    """
    done = {}
    frames = stored_frames(experiment, Path(root))
    for place, (name, preset) in enumerate(presets.items()):
        table = (log_folder / (f"metrics_{name}.csv" if place else METRICS)).resolve()
        filled = fill_in(preset, experiment, checkpoint.resolve(), table, compute_metrics=compute_metrics)
        done[name] = run_inference(filled, name, root, device=device, frames=frames.resolve(), report=report)
    return done


def _models(preset: Preset) -> list[list[Any]]:
    return [model for group in preset["model_groups"] for model in group]
