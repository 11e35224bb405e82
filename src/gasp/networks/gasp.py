"""GASP: fuses pictures of one moment (the frame, saliency, social cues) into one saliency map.

Source: Abawi, Weber and Wermter, "GASP: Gated Attention for Saliency Prediction", IJCAI 2021.

One class composes every published network from the table in :mod:`gasp.networks.variants`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gasp.errors import InputError, UsageError
from gasp.networks.blocks.attentive_lstm import AttentiveLSTM, PreparedMap, SequenceAttentiveLSTM
from gasp.networks.blocks.dam import DAMLayer
from gasp.networks.blocks.encoder import LAYOUTS, Activation, EncoderLayout, ModalityEncoder
from gasp.networks.blocks.gmu import Apart, Gates, GMUConv2d, RGMUConv2d
from gasp.networks.blocks.squeeze_excitation import SELayer
from gasp.networks.variants import VARIANTS, Stage

PUBLISHED_SEQUENCE_LEN = 16

MOST_MODALITIES = 256
LONGEST_SEQUENCE = 4096
"""More than any window holds; a damaged or hostile header may ask for billions."""

_MOST_NUMBERS = 2**22
"""In the latents of windows that :meth:`GASP.chooser` runs at a time."""


class GASPOutput(NamedTuple):
    """OutputSettings for N samples; h x w is half the input size (rounded down), or all of it without encoders.

    ``logits`` (N, out_channels, h, w), before the sigmoid. ``dam_logits`` for networks with directed
    attention: (N, 1, H // 2, W // 2), with a time axis after N for sequence networks; None for the others and
    from :meth:`GASP.fuse`. ``gates`` for networks with a gated unit, those of the last frame where it runs in
    every frame; see :class:`~gasp.networks.blocks.gmu.Gates`.
    """

    logits: Tensor
    dam_logits: Tensor | None
    gates: Gates | None


class PreparedFrame(NamedTuple):
    """What windows need of N encoded frames, wherever in a window they stand; see :meth:`GASP.prepare`.

    ``parts``: what the first stage with a memory makes of each frame alone. ``gates``: those of a gated unit that runs
    in every frame.
    """

    parts: tuple[Tensor | None, ...]
    gates: Gates | None

    @classmethod
    def join(cls, frames: Sequence[PreparedFrame]) -> PreparedFrame:
        """Frames side by side: the same position of several windows."""
        if len(frames) == 1:
            return frames[0]
        columns = zip(*(frame.parts for frame in frames), strict=True)
        parts = tuple(
            None if c[0] is None else torch.cat([part for part in c if part is not None]) for c in columns
        )
        gates = [frame.gates for frame in frames if frame.gates is not None]
        return cls(parts, Gates(*map(torch.cat, zip(*gates, strict=True))) if gates else None)


class GASP(nn.Module):
    """One of the 17 published networks, by its name, or a smaller or larger one of the same form.

    Call: ``(modules)`` with (N, K, H, W), or (N, T, K, H, W) oldest first for sequence networks, where
    K = modalities * in_channels is modality-major: channels 3m..3m+2 are R, G, B of modality m.

    Published options: ``in_channels`` per modality, ``modalities``, ``out_channels`` of the logits,
    ``encoder`` ("Conv", "Deep" or None: modalities go straight to the fusion), and for sequence networks
    ``sequence_len`` (published default 16) and ``sequence_norm`` (not for the RGMU).
    Further options: ``encoder_widths`` of a chain of your own (two layers before the pooling, the last half
    transposed) in place of the named one; ``latent_channels`` per modality behind the encoder and of the
    gated unit; ``activation`` between encoder layers ("none" or "relu"); ``dam_channels``, hidden in the
    DAM's training path.

    A sequence network can also run frame by frame:
    ``fuse(torch.stack([encode_frame(f) for f in frames], 1))``
    gives in evaluation mode what the whole window gives, without ``dam_logits``; where windows overlap,
    ``fuse_prepared([prepare(encode_frame(f)) for f in frames])`` does so with less work per window.
    """

    ignored_options = frozenset(
        {
            "learning_rate",
            "batch_size",
            "num_workers",
            "loss_weights",
            "dam_loss_weight",
            "inp_img_width",
            "inp_img_height",
            "trg_img_width",
            "trg_img_height",
            "inp_img_mean",
            "inp_img_std",
            "train_dataset_properties",
            "val_dataset_properties",
            "test_dataset_properties",
            "val_store_image_samples",
        }
    )
    """Options of published configurations that belong to training; ``create_model`` accepts and drops them.
    (Picture sizes too: the network takes any.)"""

    def __init__(
        self,
        name: str,
        /,
        *,
        in_channels: int = 3,
        modalities: int = 4,
        out_channels: int = 1,
        encoder: str | None = "Conv",
        sequence_len: int | None = None,
        sequence_norm: bool = False,
        encoder_widths: Sequence[int] | None = None,
        latent_channels: int = 32,
        activation: Activation = "none",
        dam_channels: int = 256,
    ) -> None:
        super().__init__()
        if min(in_channels, modalities, out_channels, latent_channels, dam_channels) < 1:
            raise UsageError("in_channels, modalities and the channel counts must be at least 1.")
        if modalities > MOST_MODALITIES:
            raise UsageError(f"modalities must be at most {MOST_MODALITIES}, not {modalities}.")
        variant = VARIANTS[name]
        self.variant = variant
        self.in_channels = in_channels
        self.modalities = modalities
        self.sequence_len = _sequence_len(name, sequence_len, sequence_norm)
        self.latent_channels = latent_channels
        inputs = in_channels * modalities

        if variant.scaling == "dam":
            self.dam = DAMLayer(inputs, hidden_channels=dam_channels)
        elif variant.scaling == "se":
            self.se = SELayer(inputs)

        layout = _encoder_layout(encoder, encoder_widths, latent_channels)
        self.encoded = layout is not None
        if layout is None:
            if variant.sequence and variant.scaling:
                raise UsageError(f"{name} needs an encoder: 'Conv', 'Deep' or encoder_widths.")
        elif variant.sequence:
            encoders = (ModalityEncoder(in_channels, layout, activation) for _ in range(modalities))
            self.enc_list = nn.ModuleList(encoders)
        else:
            self.enc = ModalityEncoder(in_channels, layout, activation)

        width = modalities * latent_channels if self.encoded else inputs
        for stage in variant.fusion:
            width = self._add_stage(stage, width, sequence_norm)
        self.saliency_out = nn.Conv2d(width, out_channels, 1)

        # In a sequence, what precedes the first stage with a memory runs in every frame.
        memoryless = takewhile(lambda stage: stage not in ("rgmu", "att_lstm"), variant.fusion)
        self._frame_stages = tuple(memoryless) if variant.sequence else ()
        self._window_stages = variant.fusion[len(self._frame_stages) :]

    def _add_stage(self, stage: Stage, width: int, sequence_norm: bool) -> int:
        """Make the layers of a fusion stage for ``width`` input channels; tells its output channels."""
        if stage == "add":
            return 1
        if stage == "att_lstm":
            if self.variant.sequence:
                self.att_lstm: nn.Module = SequenceAttentiveLSTM(width, self.sequence_len, sequence_norm)
            else:
                self.att_lstm = AttentiveLSTM(width)
            return width
        if stage == "conv":
            self.saliency_in = nn.Conv2d(width, self.latent_channels, 3, padding=1)
        else:
            unit = RGMUConv2d if stage == "rgmu" else GMUConv2d
            self.gmu = unit(width // self.modalities, self.latent_channels, self.modalities)
        return self.latent_channels

    def forward(self, modules: Tensor) -> GASPOutput:
        """Saliency logits of a frame, or of the newest frame of a window; ``modules`` stays unchanged."""
        self._check_input(modules, 5 if self.variant.sequence else 4)
        frames = modules.flatten(0, 1) if self.variant.sequence else modules
        dam_logits = self.dam.logits(frames) if self.variant.scaling == "dam" else None
        features, gates = self._run(self._frame_stages, self._encode(frames))
        if self.variant.sequence:
            window = modules.shape[:2]
            features = features.unflatten(0, window)
            dam_logits = None if dam_logits is None else dam_logits.unflatten(0, window)
            gates = None if gates is None else Gates(*(gate.unflatten(0, window)[:, -1] for gate in gates))
        fused, later_gates = self._run(self._window_stages, features)
        return GASPOutput(self.saliency_out(fused), dam_logits, later_gates or gates)

    def encode_frame(self, frames: Tensor) -> Tensor:
        """What depends on one frame only: (N, K, H, W) to features (N, D, h, w), to be kept for :meth:`fuse`.

        Where the gated unit runs in every frame, its hidden states and gates are among the D channels.
        """
        return self.join_latents(self.encode_each(frames))

    @property
    def separate(self) -> bool:
        """Whether the latents of a modality depend on that modality alone, as :meth:`chooser` needs it."""
        return self.encoded and self.variant.sequence and self.variant.scaling is None

    def encode_each(self, frames: Tensor) -> Tensor:
        """The first half of :meth:`encode_frame`: the latents of every modality, (N, modalities * L, h, w)."""
        self._check_input(frames, 4)
        return self._encode(frames)

    def join_latents(self, latents: Tensor) -> Tensor:
        """The second half of :meth:`encode_frame`."""
        features, gates = self._run(self._frame_stages, latents)
        if gates is None:
            return features
        return torch.cat([features, *(gate.flatten(1, 2) for gate in gates)], 1)

    def fuse(self, features: Tensor) -> GASPOutput:
        """Output for windows of encoded frames, (N, T, D, h, w), oldest first, without ``dam_logits``.

        For static networks features are (N, D, h, w) or a window of one frame.
        """
        gates = None
        if not self.variant.sequence and features.ndim == 5:
            features = features.squeeze(1)
        if features.ndim != (5 if self.variant.sequence else 4):
            raise InputError(f"Expected the features of a window of frames, not {tuple(features.shape)}.")
        if self._frame_stages:
            gates = self._split_gates(features[:, -1])[1]
            features = features[:, :, : self.latent_channels]
        fused, later_gates = self._run(self._window_stages, features)
        return GASPOutput(self.saliency_out(fused), None, later_gates or gates)

    @property
    def attends(self) -> bool:
        """Whether an attentive ConvLSTM runs over the window."""
        return self.variant.sequence and self._window_stages[0] == "att_lstm"

    @property
    def lstm_channels(self) -> int:
        """Width of the ConvLSTM of a network that :attr:`attends`."""
        return self._sequence_lstm().channels

    def prepare(self, features: Tensor, *, taps: bool = False) -> PreparedFrame:
        """What windows need of encoded frames (N, D, h, w), to be kept for :meth:`fuse_prepared`.

        ``taps`` (for networks that :attr:`attends`): trade memory for time, see
        :meth:`~gasp.networks.blocks.attentive_lstm.SequenceAttentiveLSTM.prepare`.
        """
        return self._prepare(*self._split_gates(features), taps=taps)

    def fuse_prepared(self, window: Sequence[PreparedFrame]) -> GASPOutput:
        """Output for N windows, in evaluation mode, without ``dam_logits``; ``window`` holds their frames per position,
        oldest first (of which static networks see the newest only).
        """
        gates = window[-1].gates
        stages = self._window_stages
        if self.attends:
            fused = self._sequence_lstm().run([PreparedMap(*frame.parts) for frame in window])  # type: ignore[arg-type]
            stages = stages[1:]
        elif self.variant.sequence:
            fused, gates = self._recurrent_unit().run([frame.parts for frame in window])  # type: ignore[misc]
            stages = stages[1:]
        else:
            [fused] = window[-1].parts  # type: ignore[assignment]
        fused, later_gates = self._run(stages, fused)
        return GASPOutput(self.saliency_out(fused), None, later_gates or gates)

    def take_apart(self, latents: Tensor) -> Apart | Tensor:
        """What choosing needs of the latents (T, modalities * L, h, w) of T frames, whatever is chosen."""
        return self.gmu.take_apart(latents) if self._frame_stages == ("gmu",) else latents

    def chooser(self, window: Sequence[Tensor], absent: Apart | Tensor) -> Callable[[Tensor], Tensor]:
        """What fuses one window of a :attr:`separate` network under choices of modalities, any number of times.

        Args:
            window: The latents of its frames from :meth:`encode_each`, (1, modalities * L, h, w) each, oldest first.
            absent: What :meth:`take_apart` gives of the latents that stand in for modalities that are not chosen.

        Returns:
            A function of bool (C, modalities), which are chosen, that gives logits (C, out_channels, h, w).
        """
        # A frame that stands in the window more than once is joined once.
        frames = list({id(frame): frame for frame in window}.values())
        places = [next(i for i, frame in enumerate(frames) if frame is one) for one in window]
        latents = torch.cat(frames)
        join = self._joins_of(latents, absent)
        size = max(1, _MOST_NUMBERS // (len(window) * latents[0].numel()))

        def fuse(chosen: Tensor) -> Tensor:
            logits = []
            for some in chosen.split(size):
                prepared = [self._prepare(features, None) for features in join(some)]
                logits.append(self.fuse_prepared([prepared[place] for place in places]).logits)
            return torch.cat(logits)

        return fuse

    def _joins_of(self, latents: Tensor, absent: Apart | Tensor) -> Callable[[Tensor], Iterator[Tensor]]:
        """For T frames (T, modalities * L, h, w) what gives the features of each under C choices, (C, D, h, w)."""
        if isinstance(absent, Apart):
            apart = self.gmu.take_apart(latents)
            return lambda chosen: self.gmu.fuse_chosen(apart, absent, chosen)

        def join(chosen: Tensor) -> Iterator[Tensor]:
            there = chosen.repeat_interleave(self.latent_channels, 1)[:, :, None, None]
            for frame in latents:
                yield self._run(self._frame_stages, torch.where(there, frame, absent))[0]

        return join

    def _prepare(self, features: Tensor, gates: Gates | None, *, taps: bool = False) -> PreparedFrame:
        if not self.variant.sequence:
            return PreparedFrame((features,), None)
        if self.attends:
            return PreparedFrame(self._sequence_lstm().prepare(features, taps=taps), gates)
        return PreparedFrame(self._recurrent_unit().drive(features), gates)

    def _split_gates(self, encoded: Tensor) -> tuple[Tensor, Gates | None]:
        """Features and gates of frames from :meth:`encode_frame`, (N, D, h, w)."""
        if not self._frame_stages:
            return encoded, None
        states = encoded[:, self.latent_channels :].unflatten(1, (2, self.modalities, -1))
        return encoded[:, : self.latent_channels], Gates(*states.unbind(1))

    def _sequence_lstm(self) -> SequenceAttentiveLSTM:
        assert isinstance(self.att_lstm, SequenceAttentiveLSTM)
        return self.att_lstm

    def _recurrent_unit(self) -> RGMUConv2d:
        assert isinstance(self.gmu, RGMUConv2d)
        return self.gmu

    def _encode(self, frames: Tensor) -> Tensor:
        """Scale the modalities and encode each: (N, K, H, W) to (N, modalities * L, h, w)."""
        if self.variant.scaling == "dam":
            frames = self.dam(frames)
        elif self.variant.scaling == "se":
            frames = self.se(frames)
        if not self.encoded:
            return frames
        pictures = frames.unflatten(1, (self.modalities, self.in_channels))
        if self.variant.sequence:
            encoded = [encoder(x) for encoder, x in zip(self.enc_list, pictures.unbind(1), strict=True)]
            return torch.cat(encoded, 1)
        features: Tensor = self.enc(pictures.flatten(0, 1))
        return features.unflatten(0, (-1, self.modalities)).flatten(1, 2)

    def _run(self, stages: Sequence[Stage], x: Tensor) -> tuple[Tensor, Gates | None]:
        """Apply fusion stages in order; gates if a gated unit is among them."""
        gates = None
        for stage in stages:
            if stage == "add":
                x = x.sum(1, keepdim=True)
            elif stage == "conv":
                x = self.saliency_in(x)
            elif stage == "att_lstm":
                x = self.att_lstm(x)
            else:
                x, gates = self.gmu(x)
        return x, gates

    def _check_input(self, x: Tensor, ndim: int) -> None:
        channels = self.modalities * self.in_channels
        if x.ndim != ndim or x.shape[-3] != channels:
            axes = "(N, T, K, H, W)" if ndim == 5 else "(N, K, H, W)"
            raise InputError(
                f"Expected pictures {axes} with K = {channels} channels ({self.modalities} modalities of "
                f"{self.in_channels}), not {tuple(x.shape)}."
            )


def gate_scores(output: GASPOutput, modalities: int) -> Tensor | None:
    """How far each modality is let through: means of the gates, (N, modalities) in 0..1, or None."""
    if output.gates is None:
        return None
    gate = output.gates.gate
    return gate.reshape(gate.shape[0], modalities, -1).mean(-1)


def _sequence_len(name: str, sequence_len: int | None, sequence_norm: bool) -> int:
    """The window length of a variant; refuses what its composition has no place for."""
    variant = VARIANTS[name]
    if sequence_norm and not (variant.sequence and "att_lstm" in variant.fusion):
        raise UsageError(f"{name} has no sequence_norm: only sequence networks with a ConvLSTM have one.")
    if not variant.sequence:
        if sequence_len not in (None, 1):
            raise UsageError(f"{name} takes single frames: sequence_len must be 1, not {sequence_len}.")
        return 1
    length = PUBLISHED_SEQUENCE_LEN if sequence_len is None else sequence_len
    if length < 2:
        raise UsageError(f"{name} takes a sequence: sequence_len must be at least 2, not {length}.")
    if length > LONGEST_SEQUENCE:
        raise UsageError(f"sequence_len must be at most {LONGEST_SEQUENCE}, not {length}.")
    return length


def _encoder_layout(
    encoder: str | None, widths: Sequence[int] | None, latent_channels: int
) -> EncoderLayout | None:
    """The encoder's layout from the options, or None for no encoder."""
    if encoder is None:
        if widths is not None:
            raise UsageError("encoder_widths was given together with encoder=None; leave one out.")
        return None
    if encoder not in LAYOUTS:
        raise UsageError(f"encoder must be 'Conv', 'Deep' or None, not {encoder!r}.")
    layout = LAYOUTS[encoder] if widths is None else EncoderLayout.from_widths(widths)
    if layout.out_channels != latent_channels:
        raise UsageError(
            f"The encoder ends with {layout.out_channels} channels but latent_channels is {latent_channels}; "
            "make the last of encoder_widths equal to it."
        )
    return layout
