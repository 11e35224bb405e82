"""Any GASP network as the fusion of a pipeline: packaged, published, or one's own."""

from __future__ import annotations

from dataclasses import replace

from gasp.config.pipelines import PACKAGED, FusionSettings
from gasp.errors import UsageError
from gasp.fusion.gasp import FusionNetwork
from gasp.fusion.inputs import PUBLISHED_FILES
from gasp.fusion.packaged import NAME, make_fusion
from gasp.weights.open import Weights, open_weights
from gasp.weights.preprocessing import GASP_2021


def open_fusion(config: FusionSettings) -> Weights:
    """The weights that the configuration names, found but not loaded.

    Raises :class:`gasp.errors.WeightsError` when they are not here and :class:`gasp.errors.UsageError` when nothing
    tells what network they are for.
    """
    if config.weights == PACKAGED:
        return open_weights(NAME)
    if config.network is None:
        # Names in place of those of a published network are put in once it is loaded.
        return open_weights(config.weights)
    assert config.modalities is not None
    return open_weights(
        config.weights,
        network=config.network,
        options={"modalities": len(config.modalities), **config.options},
        inputs=config.modalities,
        preprocessing=GASP_2021,
    )


def load_configured(config: FusionSettings, weights: Weights) -> FusionNetwork:
    """The network that the configuration describes, filled.

    Raises :class:`gasp.errors.WeightsError` when the file does not fit and :class:`gasp.errors.UsageError` when the
    number of modalities is not the network's.
    """
    if config.modalities is not None and not weights.inputs:
        weights = replace(weights, inputs=config.modalities)
    fusion = make_fusion(weights)
    if config.modalities is not None:
        fusion = _renamed(fusion, config.modalities)
    if config.pictures == "published":
        fusion = replace(fusion, preprocessing=replace(fusion.preprocessing, files=PUBLISHED_FILES))
    return fusion


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
