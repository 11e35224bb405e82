"""Any GASP network as the fusion of a pipeline: packaged, published, or one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gasp.config.pipelines import PACKAGED, FusionSettings, as_entry
from gasp.errors import UsageError, WeightsError
from gasp.fusion.gasp import FusionNetwork
from gasp.fusion.inputs import PUBLISHED_FILES, Preprocessing
from gasp.fusion.packaged import load_fusion
from gasp.networks import create_model
from gasp.networks.gasp import GASP
from gasp.weights import load_checkpoint
from gasp.weights.catalogue import Entry
from gasp.weights.shipped import read_metadata


def load_configured(config: FusionSettings, path: Path) -> FusionNetwork:
    """The network that the configuration describes, filled from ``path``.

    Raises :class:`gasp.errors.WeightsError` when the file does not fit and :class:`gasp.errors.UsageError` when nothing
    tells what network it is for, or the number of modalities is not the network's.
    """
    entry = None if config.weights == PACKAGED else as_entry(config.weights)
    if entry is not None:
        fusion = _published(entry, path)
    elif config.network is not None:
        fusion = _described(config, path)
    elif path.suffix == ".safetensors" and "network" in read_metadata(path):
        fusion = load_fusion(path)
    else:
        raise UsageError(
            f"{path}: nothing tells which network these weights are for; give network, options and modalities of the "
            "fusion"
        )
    if config.modalities is not None:
        fusion = _renamed(fusion, config.modalities)
    if config.pictures == "published":
        fusion = replace(fusion, preprocessing=replace(fusion.preprocessing, files=PUBLISHED_FILES))
    return fusion


def _published(entry: Entry, path: Path) -> FusionNetwork:
    assert entry.network is not None
    network = create_model(entry.network, **entry.options)
    form = entry.preprocessing
    preprocessing = Preprocessing(form.height, form.width, form.mean, form.std)
    return _filled(network, path, entry.inputs, preprocessing)


def _described(config: FusionSettings, path: Path) -> FusionNetwork:
    assert config.network is not None
    assert config.modalities is not None
    options = {"modalities": len(config.modalities), **config.options}
    return _filled(create_model(config.network, **options), path, config.modalities, Preprocessing())


def _filled(
    network: object, path: Path, modalities: tuple[str, ...], preprocessing: Preprocessing
) -> FusionNetwork:
    assert isinstance(network, GASP)
    if network.modalities != len(modalities):
        raise WeightsError(f"{path}: this is not a GASP network for {len(modalities)} modalities.")
    return FusionNetwork(load_checkpoint(network, path), modalities, preprocessing, distribution=False)


def _renamed(fusion: FusionNetwork, modalities: tuple[str, ...]) -> FusionNetwork:
    """The same network with other cues in the places of its own."""
    if len(modalities) != len(fusion.modalities):
        raise UsageError(
            f"the fusion takes {len(fusion.modalities)} modalities ({', '.join(fusion.modalities)}), "
            f"not {len(modalities)}"
        )
    corrects = fusion.corrects
    if corrects is not None:
        corrects = modalities[fusion.modalities.index(corrects)]
    return replace(fusion, modalities=modalities, corrects=corrects)
