"""The fusion network that ships with the package."""

from __future__ import annotations

import json
from pathlib import Path

from gasp.errors import WeightsError
from gasp.fusion.gasp import FusionNetwork
from gasp.fusion.inputs import Preprocessing
from gasp.networks.gasp import GASP
from gasp.weights.own import load_weights
from gasp.weights.shipped import packaged, read_metadata

NAME = "fusion"


def load_fusion(path: Path | None = None) -> FusionNetwork:
    """A fusion network from a file of our own form, the packaged one unless ``path`` is given.

    Its header names the modalities (``modalities``), the form of the input (``preprocessing``) and of the output
    (``output``, ``corrects``). Raises :class:`gasp.errors.WeightsError` when it does not.
    """
    path = path or packaged(NAME)
    header = read_metadata(path)
    network = load_weights(path)
    try:
        modalities = tuple(json.loads(header["modalities"]))
        preprocessing = Preprocessing(**json.loads(header["preprocessing"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: its header does not describe the input of a fusion network ({error})."
        ) from error
    if not isinstance(network, GASP) or network.modalities != len(modalities):
        raise WeightsError(f"{path}: this is not a GASP network for {len(modalities)} modalities.")
    corrects = header.get("corrects")
    if corrects is not None and corrects not in modalities:
        raise WeightsError(f"{path}: its network corrects {corrects!r}, which is none of its modalities.")
    return FusionNetwork(network, modalities, preprocessing, header.get("output") == "distribution", corrects)
