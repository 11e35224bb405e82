"""The recipes of the weights that ship with the package, from folders of pictures to files of weights."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from gasp.config.recipes import STILLS, FusionRecipe, GlanceRecipe
from gasp.datasets.images import load_pictures
from gasp.errors import UsageError
from gasp.faces.glance_reader import GlanceReader
from gasp.networks.glance import Glance
from gasp.training.backbone import describe_backbone, find_backbone, read_backbone
from gasp.training.fusion_recipe import (
    CORRECTS,
    MODALITIES,
    NETWORK,
    OPTIONS,
    PREPROCESSING,
    make_scenes,
    train_fusion,
)
from gasp.training.glance_recipe import OPTIONS as OPTIONS_OF_GLANCE
from gasp.training.glance_recipe import train_glance
from gasp.weights import open_weights, save_weights
from gasp.work.progress import Report

log = logging.getLogger(__name__)

_EVERY = 250
"""Steps between looks at what is held back, and saves of the state."""

NOTHING: Mapping[str, str] = MappingProxyType({})

LICENCE = {
    "licence": "MIT",
    "commercial_use": "allowed",
    "training_data": "OSIE (Xu et al., 2014), EyeCrowd (Jiang et al., 2014), SUN scenes (Liang, 2015); all MIT",
}


def default_saliency(data: Path, out: Path, **options: Any) -> Path:
    """Recipe ``default-saliency``: the network for saliency and faces, from the sets under ``data``.

    Training goes on where it was interrupted (its state is kept beside ``out``). Returns ``out``, a safetensors file.
    Options: ``steps`` shortens the recipe, for a try; ``half``: compute in bfloat16; ``report`` is told of progress.
    """
    return _glance("default-saliency", GlanceRecipe(), data, out, **options)


def default_stills(data: Path, out: Path, *, backbone: Path | None = None, **options: Any) -> Path:
    """Recipe ``default-stills``: the further network with which still pictures are looked at.

    ``backbone``: the file of ImageNet weights, see :mod:`gasp.training.backbone`. Other options as above.
    """
    start = find_backbone(backbone)
    about = {"backbone": describe_backbone(start)}
    return _glance("default-stills", STILLS, data, out, read_backbone(start), about, **options)


def _glance(
    name: str,
    recipe: GlanceRecipe,
    data: Path,
    out: Path,
    backbone: Mapping[str, Tensor] | None = None,
    about: Mapping[str, str] = NOTHING,
    *,
    steps: int | None = None,
    half: bool = True,
    report: Report | None = None,
) -> Path:
    if steps is not None:
        late = max(1, round(steps * recipe.decay_from / recipe.steps))
        recipe = replace(recipe, steps=steps, decay_from=late, warmup=min(recipe.warmup, max(1, steps // 10)))
    training, held = load_pictures(data)
    log.info("%d pictures to learn from, %d held back", len(training), len(held))
    state = _state_folder(out)
    network = train_glance(
        training,
        recipe,
        backbone=backbone,
        held_back=held,
        folder=state,
        every=_EVERY,
        half=half,
        report=report,
    )
    metadata = {**LICENCE, **about, **_made_by(name, recipe)}
    save_weights(
        network, out, network="glance", options=OPTIONS_OF_GLANCE[recipe.backbone], metadata=metadata
    )
    shutil.rmtree(state, ignore_errors=True)
    return out


def default_fusion(
    data: Path,
    out: Path,
    *,
    saliency: Path | None = None,
    steps: int | None = None,
    half: bool = True,
    report: Report | None = None,
) -> Path:
    """Recipe ``default-fusion``: the compact GASP network, on clips made from the sets under ``data``.

    ``saliency``: weights of the saliency network, the packaged ones if None. ``steps`` as above.
    """
    recipe = FusionRecipe() if steps is None else FusionRecipe(steps=steps)
    network = open_weights(saliency or "glance").load()
    if not isinstance(network, Glance):
        raise UsageError(f"{saliency} does not hold the saliency network 'glance'")
    training, held = load_pictures(data)
    reader = GlanceReader(network)
    scenes = make_scenes(training, reader, recipe)
    away = make_scenes(held, reader, FusionRecipe(views=1))
    log.info("%d scenes to learn from, %d held back", len(scenes), len(away))
    state = _state_folder(out)
    fusion = train_fusion(
        scenes, recipe, held_back=away, folder=state, every=_EVERY, half=half, report=report
    )
    metadata = {
        **LICENCE,
        "modalities": json.dumps(MODALITIES),
        "preprocessing": json.dumps(asdict(PREPROCESSING)),
        "output": "distribution",
        "corrects": CORRECTS,
        **_made_by("default-fusion", recipe),
    }
    save_weights(fusion, out, network=NETWORK, options=OPTIONS, metadata=metadata)
    shutil.rmtree(state, ignore_errors=True)
    return out


def _state_folder(out: Path) -> Path:
    """Where a training that is interrupted keeps its state."""
    return out.with_name(out.name + ".state")


def _made_by(name: str, recipe: GlanceRecipe | FusionRecipe) -> dict[str, str]:
    return {"recipe": json.dumps({name: asdict(recipe)}), "torch": torch.__version__}


def train_recipe(name: str, data: Path, out: Path, **options: Any) -> Path:
    """Runs the recipe of this name; options as those of its function here."""
    recipes: dict[str, Callable[..., Path]] = {
        "default-saliency": default_saliency,
        "default-stills": default_stills,
        "default-fusion": default_fusion,
    }
    return recipes[name](data, out, **options)
