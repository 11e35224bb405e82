"""Telling from the names and shapes of a checkpoint's tensors which network it belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from gasp.networks import create_model, list_models
from gasp.networks.variants import VARIANTS, Variant

_LATENT = 32
"""Channels per modality behind a GASP encoder."""

_LANDMARKS = {
    "dave": "combinedEmbedding.weight",
    "stavis": "score_dsn.0.side_prep.weight",
    "tased": "convtsp1.0.weight",
    "unisal": "coarse_gaussians_dhf1k",
    "vinet": "decoder.convtsp1.0.weight",
    "avinet": "visual_model.decoder.convtsp1.0.weight",
    "gaze360": "base_model.fc1.weight",
    "videogaze": "cone_pathway.linear1.weight",
    "esr9": "branches.0.conv1.weight",
    "glance": "laterals.0.weight",
    "s3fd": "conv7_2_mbox_conf.weight",
} | dict.fromkeys(VARIANTS, "saliency_out.weight")
"""An entry without which a checkpoint cannot be the network's; saves making networks in vain."""


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of the patterns (``*`` stands for anything)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """A call that makes the fitting network, such as ``create_model('...', modalities=4)``; None if unknown.

    ``tensors`` carry the network's own names (no ``module.`` or the like). Meant for messages: each guess is
    checked against the names and shapes of a network made without memory.
    """
    for name in list_models():
        if _LANDMARKS.get(name) not in tensors:
            continue
        for options in _guesses(name, tensors):
            if _fits(name, options, tensors):
                text = "".join(f", {key}={value!r}" for key, value in options.items())
                return f"create_model({name!r}{text})"
    return None


def _guesses(name: str, tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    if name in VARIANTS:
        options = _gasp_options(VARIANTS[name], tensors)
        return [options] if options is not None else []
    if name == "stavis":
        return [{"audiovisual": True}, {"audiovisual": False}]
    return [{}]


def _gasp_options(variant: Variant, tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Options of a GASP network that the tensors tell; None when the variant cannot be it."""
    if (
        "dam" if "dam.fc1.weight" in tensors else "se" if "se.fc.0.weight" in tensors else None
    ) != variant.scaling:
        return None
    encoder_names = [name for name in tensors if name.startswith(("enc.", "enc_list."))]
    if encoder_names and encoder_names[0].startswith("enc_list.") != variant.sequence:
        return None
    options: dict[str, Any] = {}
    if not encoder_names:
        options["encoder"] = None
    elif any(".enc.18." in f".{name}" for name in encoder_names):
        options["encoder"] = "Deep"
    if modalities := _modalities(variant, tensors, len(encoder_names) > 0):
        options["modalities"] = modalities
    if (norm := tensors.get("att_lstm.sequence_norm.weight")) is not None:
        options |= {"sequence_len": int(norm.shape[0]), "sequence_norm": True}
    out = tensors.get("saliency_out.weight")
    if out is not None and out.ndim and out.shape[0] != 1:
        options["out_channels"] = int(out.shape[0])
    return options


def _modalities(variant: Variant, tensors: Mapping[str, Tensor], encoded: bool) -> int | None:
    if "gmu.hidden_bias" in tensors:
        return tensors["gmu.hidden_bias"].numel() // _LATENT
    fused = tensors.get("saliency_in.weight")
    if fused is None and variant.fusion[0] == "att_lstm":
        fused = tensors.get("att_lstm.W_a.weight")
    if fused is None or fused.ndim < 2 or "add" in variant.fusion:
        return None
    return int(fused.shape[1]) // (_LATENT if encoded else 3)


def _fits(name: str, options: dict[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    # A guess only serves a message about another failure; it must never hide that one with its own.
    with contextlib.suppress(Exception):
        with torch.device("meta"):
            model: nn.Module = create_model(name, **options)
        wanted = model.state_dict()
        unused = getattr(model, "unused_entries", ())
        extra = {key for key in tensors if key not in wanted and not matches(key, unused)}
        return not extra and all(
            key in tensors and tensors[key].shape == value.shape
            for key, value in wanted.items()
            if not key.endswith("num_batches_tracked")
        )
    return False
