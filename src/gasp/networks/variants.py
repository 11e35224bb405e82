"""The 17 published GASP networks, as compositions of the same few stages.

Source: Abawi et al., "GASP: Gated Attention for Saliency Prediction", IJCAI 2021, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from gasp.networks.row import Options, Shape

Scaling = Literal["dam", "se"]
Stage = Literal["add", "conv", "gmu", "rgmu", "att_lstm"]


@dataclass(frozen=True)
class Variant:
    """How one GASP network is put together: ``scaling`` > encoders > ``fusion`` stages > 1 x 1 convolution.

    ``title`` is the short name in the paper's tables. ``scaling`` weighs the input channels: directed
    attention ("dam"), squeeze and excitation ("se") or not at all. ``fusion`` lists what follows the
    encoders: "add" (sum over all channels), "conv" (3 x 3 convolution), "gmu" and "rgmu" (gated multimodal
    units, static and recurrent), "att_lstm" (attentive ConvLSTM). A ``sequence`` network takes a window of
    frames and has one encoder per modality; a static one takes a single frame and has one encoder for all.
    """

    title: str
    scaling: Scaling | None
    fusion: tuple[Stage, ...]
    sequence: bool = False


VARIANTS: dict[str, Variant] = {
    "GASPEncConv": Variant("1x1 Conv", None, ("conv",)),
    "GASPEncAddConv": Variant("Additive", None, ("add", "conv")),
    "GASPSEEncConv": Variant("SE", "se", ("conv",)),
    "GASPEncGMUConv": Variant("GMU", None, ("gmu",)),
    "GASPEncALSTMConv": Variant("ALSTM", None, ("att_lstm",)),
    "GASPEncALSTMGMUConv": Variant("LAGMU", None, ("att_lstm", "gmu")),
    "GASPEncGMUALSTMConv": Variant("AGMU", None, ("gmu", "att_lstm")),
    "GASPDAMEncGMUConv": Variant("DAM + GMU", "dam", ("gmu",)),
    "GASPDAMEncALSTMGMUConv": Variant("DAM + LAGMU", "dam", ("att_lstm", "gmu")),
    "GASPDAMEncGMUALSTMConv": Variant("DAM + AGMU", "dam", ("gmu", "att_lstm")),
    "SequenceGASPEncALSTMConv": Variant("Sequential ALSTM", None, ("att_lstm",), sequence=True),
    "SequenceGASPEncALSTMGMUConv": Variant("LARGMU", None, ("att_lstm", "gmu"), sequence=True),
    "SequenceGASPEncGMUALSTMConv": Variant("ARGMU", None, ("gmu", "att_lstm"), sequence=True),
    "SequenceGASPEncRGMUConv": Variant("RGMU", None, ("rgmu",), sequence=True),
    "SequenceGASPDAMEncALSTMGMUConv": Variant("DAM + LARGMU", "dam", ("att_lstm", "gmu"), sequence=True),
    "SequenceGASPDAMEncGMUALSTMConv": Variant("DAM + ARGMU", "dam", ("gmu", "att_lstm"), sequence=True),
    "SequenceGASPDAMEncRGMUConv": Variant("DAM + RGMU", "dam", ("rgmu",), sequence=True),
}

_LATENT = 32
"""Published channels per modality behind an encoder."""


def input_shapes(variant: Variant, options: Options, side: int = 120) -> tuple[Shape, ...]:
    """Shape of the input of one frame or window, ``side`` x ``side`` pixels, for a network made with ``options``."""
    channels = options.get("modalities", 4) * options.get("in_channels", 3)
    window = (options.get("sequence_len", 16),) if variant.sequence else ()
    return ((1, *window, channels, side, side),)


def small_options(variant: Variant) -> dict[str, Any]:
    """Options that make a small network of the variant."""
    options: dict[str, Any] = {
        "modalities": 2,
        "encoder_widths": (4, 4, 4, 4),
        "latent_channels": 4,
        "dam_channels": 4,
    }
    return options | ({"sequence_len": 3} if variant.sequence else {})


def guess_options(variant: Variant, shapes: Mapping[str, Shape]) -> list[dict[str, Any]]:
    """Options that the tensors of a checkpoint tell, one guess; none when the variant cannot be it."""
    scaling = "dam" if "dam.fc1.weight" in shapes else "se" if "se.fc.0.weight" in shapes else None
    if scaling != variant.scaling:
        return []
    encoder_names = [name for name in shapes if name.startswith(("enc.", "enc_list."))]
    if encoder_names and encoder_names[0].startswith("enc_list.") != variant.sequence:
        return []
    options: dict[str, Any] = {}
    if not encoder_names:
        options["encoder"] = None
    elif any(".enc.18." in f".{name}" for name in encoder_names):
        options["encoder"] = "Deep"
    if modalities := _modalities(variant, shapes, len(encoder_names) > 0):
        options["modalities"] = modalities
    if norm := shapes.get("att_lstm.sequence_norm.weight"):
        options |= {"sequence_len": norm[0], "sequence_norm": True}
    out = shapes.get("saliency_out.weight")
    if out and out[0] != 1:
        options["out_channels"] = out[0]
    return [options]


def _modalities(variant: Variant, shapes: Mapping[str, Shape], encoded: bool) -> int | None:
    if "gmu.hidden_bias" in shapes:
        return prod(shapes["gmu.hidden_bias"]) // _LATENT
    fused = shapes.get("saliency_in.weight")
    if fused is None and variant.fusion[0] == "att_lstm":
        fused = shapes.get("att_lstm.W_a.weight")
    if fused is None or len(fused) < 2 or "add" in variant.fusion:
        return None
    return fused[1] // (_LATENT if encoded else 3)
