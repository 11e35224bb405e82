"""The networks that a pipeline needs, found, made and filled once, and shared by runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from gasp.config.pipelines import CueSettings
from gasp.config.settings import PredictSettings
from gasp.cues.cue import PUBLISHED_CUES
from gasp.errors import UsageError, WeightsError
from gasp.faces.detector import DETECTORS
from gasp.faces.glance_reader import GlanceReader, StillReader
from gasp.fusion.gasp import FusionNetwork
from gasp.networks.glance import Glance
from gasp.pipeline.fusion_loading import load_configured, open_fusion
from gasp.weights.open import Weights, open_weights
from gasp.weights.shipped import packaged

STILLS = "glance-lite0"
"""Name of the packaged weights of the further network for still pictures."""

NO_CUES: Mapping[str, nn.Module] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of a pipeline, loaded once and shared by runs.

    ``reader`` runs the packaged network that finds faces and saliency in pictures of a video, ``stills`` does so in a
    picture by itself, where that may take longer (None: as ``reader``); it is made when it is first asked for, since
    videos do without. ``cues``: the filled networks of those
    cues that have one, by modality. ``weights``: what was loaded from where, by name, for the manifest.
    """

    reader: GlanceReader
    fusion: FusionNetwork
    device: torch.device
    cues: Mapping[str, nn.Module] = field(default_factory=lambda: NO_CUES)
    weights: Mapping[str, Path] = field(
        default_factory=lambda: {n: packaged(n) for n in ("glance", STILLS, "fusion")}
    )
    stills: Callable[[], StillReader] | None = None

    @classmethod
    def load(cls, settings: PredictSettings) -> Networks:
        """What the settings' pipeline needs, on the device that they ask for.

        Raises :class:`gasp.errors.WeightsError` naming the command that fetches what is missing.
        """
        device = choose_device(settings.device)
        config = settings.pipeline
        weights = _open_all(settings)
        dtype = getattr(torch, settings.precision)
        cues = {
            cue.name: weights[cue.name].load().to(dtype)
            for cue in config.cues
            if cue.name in PUBLISHED_CUES and cue.name in settings.cues
        }
        fusion = load_configured(config.fusion, weights["fusion"])
        fusion.network.to(dtype)
        if not set(fusion.modalities) & set(config.cue_names):
            raise UsageError(
                f"the fusion takes {', '.join(fusion.modalities)}: none of these is a cue of the pipeline"
            )
        paths = {name: found.file for name, found in weights.items()}
        glance = _load_glance(weights["glance"])
        stills = cache(lambda: StillReader(glance, [_load_glance(weights[STILLS])], device))
        return cls(GlanceReader(glance, device), fusion, device, cues, paths, stills)


def _load_glance(weights: Weights) -> Glance:
    network = weights.load()
    assert isinstance(network, Glance)
    return network


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where one can be used. Raises :class:`UsageError` otherwise."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    kind, _, number = name.partition(":")
    if int(number or 0) >= count.get(kind, 0):
        raise UsageError(f"device = {name!r} cannot be used on this machine; run with --device cpu or auto")
    return torch.device(name)


def _open_all(settings: PredictSettings) -> dict[str, Weights]:
    """All weights, found before any is loaded; what is missing is told at once."""
    config = settings.pipeline
    wanted: dict[str, Callable[[], Weights]] = {
        cue.name: partial(
            open_weights, _weights_of(cue), network=PUBLISHED_CUES[cue.name].network or cue.name
        )
        for cue in config.cues
        if cue.name in PUBLISHED_CUES and cue.name in settings.cues
    }
    detector = DETECTORS.get(settings.faces)
    if detector is not None and detector.weights and "file" not in settings.face_finding.options:
        wanted[settings.faces] = partial(open_weights, detector.weights)
    wanted["fusion"] = partial(open_fusion, config.fusion)
    found = {name: open_weights(name) for name in ("glance", STILLS)}
    missing: list[str] = []
    for name, find in wanted.items():
        try:
            found[name] = find()
        except WeightsError as error:
            missing.append(str(error))
    if missing:
        raise WeightsError("\n".join(dict.fromkeys(missing)))
    return found


def _weights_of(cue: CueSettings) -> str:
    return cue.weights or PUBLISHED_CUES[cue.name].weights or cue.name
