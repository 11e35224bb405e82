"""Weights of any GASP network as a fusion: those that ship with the package, published ones, or one's own."""

from __future__ import annotations

from gasp.errors import UsageError, WeightsError
from gasp.fusion.gasp import FusionNetwork
from gasp.networks.gasp import GASP
from gasp.weights.catalogue import GASP_INPUTS
from gasp.weights.open import Weights

NAME = "fusion"


def make_fusion(weights: Weights) -> FusionNetwork:
    """The filled network with its modalities and the form of its input.

    A file of our own form names the modalities (``modalities``), the form of the input (``preprocessing``) and of the
    output (``output``, ``corrects``) in its header.

    Raises:
        UsageError: Nobody knows which modalities the network takes.
        WeightsError: The weights are damaged, do not fit, or are not those of a GASP network for these modalities.
    """
    preprocessing = weights.preprocessing
    if weights.by_header and not (weights.inputs and preprocessing):
        raise WeightsError(
            f"{weights.path}: its header does not describe the input of a fusion network (modalities, preprocessing)."
        )
    assert preprocessing is not None
    network = weights.load()
    inputs = weights.inputs or _usual_inputs(network, weights)
    if not isinstance(network, GASP) or network.modalities != len(inputs):
        raise WeightsError(f"{weights.path}: this is not a GASP network for {len(inputs)} modalities.")
    if weights.corrects is not None and weights.corrects not in inputs:
        raise WeightsError(
            f"{weights.path}: its network corrects {weights.corrects!r}, which is none of its modalities."
        )
    return FusionNetwork(network, inputs, preprocessing, weights.distribution, weights.corrects)


def _usual_inputs(network: object, weights: Weights) -> tuple[str, ...]:
    """Those of the published networks, where their number is the network's."""
    modalities = network.modalities if isinstance(network, GASP) else 0
    if modalities != len(GASP_INPUTS):
        raise UsageError(
            f"{weights.name}: nobody published which {modalities} modalities this network takes; give modalities of "
            "the fusion."
        )
    return GASP_INPUTS
