"""The 17 published GASP networks, as compositions of the same few stages.

Source: Abawi et al., "GASP: Gated Attention for Saliency Prediction", IJCAI 2021, sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
