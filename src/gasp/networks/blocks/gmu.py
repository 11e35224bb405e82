"""Convolutional gated multimodal units: each pixel chooses between modalities.

Sources: Arevalo et al., "Gated multimodal networks", 2020; Abawi et al., IJCAI 2021, section 3.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.networks.blocks.activations import tanh


class Gates(NamedTuple):
    """What a gated unit fused: ``hidden`` in -1..1 and ``gate`` in 0..1.

    Both (N, M, O, H, W) from the static unit, and flat, (N, M * O, H, W), modality-major, from the recurrent.
    """

    hidden: Tensor
    gate: Tensor


class Apart(NamedTuple):
    """What each modality gives by itself.

    ``hidden``: its state (N, M, O, H, W). ``shares``: what it adds to all gates, (N, M, M * O, H, W).
    """

    hidden: Tensor
    shares: Tensor


class GMUConv2d(nn.Module):
    """Fuses M modalities of I channels into O channels: the sum over modalities of hidden state x gate.

    The hidden state of a modality sees that modality alone; its gate sees all modalities.
    """

    def __init__(self, in_channels: int, out_channels: int, modalities: int) -> None:
        super().__init__()
        self.modalities = modalities
        states = modalities * out_channels
        self.W_h = _small_uniform(states, in_channels, 3, 3)
        self.W_z = _small_uniform(states, modalities * in_channels, 3, 3)
        self.hidden_bias = _small_uniform(states)
        self.gate_bias = _small_uniform(states)

    def forward(self, x: Tensor) -> tuple[Tensor, Gates]:
        """(N, M * I, H, W), modality-major, to fused (N, O, H, W) and the gates (N, M, O, H, W)."""
        hidden, gate = self.drive(x)
        shape = (self.modalities, -1)
        gates = Gates(tanh(hidden).unflatten(1, shape), torch.sigmoid(gate).unflatten(1, shape))
        return (gates.hidden * gates.gate).sum(1), gates

    def drive(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the input contributes to hidden states and gates before activation: two (N, M * O, H, W)."""
        hidden = F.conv2d(x, self.W_h, self.hidden_bias, padding=1, groups=self.modalities)
        return hidden, F.conv2d(x, self.W_z, self.gate_bias, padding=1)

    def take_apart(self, x: Tensor) -> Apart:
        """What each modality of N inputs (N, M * I, H, W) gives by itself, for :meth:`fuse_chosen`."""
        m = self.modalities
        hidden = F.conv2d(x, self.W_h, self.hidden_bias, padding=1, groups=m)
        weight = self.W_z.unflatten(1, (m, -1)).transpose(0, 1).flatten(0, 1)
        shares = F.conv2d(x, weight, padding=1, groups=m)
        return Apart(
            tanh(hidden).unflatten(1, (m, -1)).contiguous(), shares.unflatten(1, (m, -1)).contiguous()
        )

    def fuse_chosen(self, x: Apart, absent: Apart, chosen: Tensor) -> Iterator[Tensor]:
        """For each of N inputs what it would be fused into, (C, O, H, W), under C choices.

        ``chosen``: bool (C, M); in place of the modalities that are not chosen stand those of ``absent``, of a single
        input. A gate before its activation is a sum over modalities, so no choice needs a convolution of its own.
        """
        rest = absent.shares.sum(1).flatten() + self.gate_bias.repeat_interleave(x.hidden[0, 0, 0].numel())
        there = chosen.to(x.hidden.dtype)
        for own, raised in zip(x.hidden, (x.shares - absent.shares).flatten(2), strict=True):
            gate = torch.sigmoid(torch.addmm(rest, there, raised)).unflatten(1, own.shape)
            fused = torch.zeros_like(gate[:, 0])
            for m in range(self.modalities):
                state = torch.where(chosen[:, m, None, None, None], own[m], absent.hidden[0, m])
                fused.addcmul_(gate[:, m], state)
            yield fused


class RGMUConv2d(GMUConv2d):
    """Gated unit over a sequence: hidden states and gates also see their own previous values, depth-wise."""

    def __init__(self, in_channels: int, out_channels: int, modalities: int) -> None:
        super().__init__(in_channels, out_channels, modalities)
        states = modalities * out_channels
        self.W_h_l = _small_uniform(states, 1, 3, 3)
        self.W_z_l = _small_uniform(states, 1, 3, 3)
        self.recurrent_hidden_bias = _small_uniform(states)
        self.recurrent_gate_bias = _small_uniform(states)

    def forward(self, x: Tensor) -> tuple[Tensor, Gates]:
        """(N, T, M * I, H, W) to the last step's fused (N, O, H, W) and its gates, flat (N, M * O, H, W)."""
        steps = x.shape[1]
        hidden, gate = (drive.unflatten(0, (-1, steps)).unbind(1) for drive in self.drive(x.flatten(0, 1)))
        return self.run(list(zip(hidden, gate, strict=True)))

    def run(self, drives: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Gates]:
        """As the call, from what :meth:`drive` gives for the maps of each step."""
        hidden, gate = (torch.zeros_like(drive) for drive in drives[0])
        for hidden_drive, gate_drive in drives:
            hidden_lateral = _depthwise(hidden, self.W_h_l, self.recurrent_hidden_bias)
            gate_lateral = _depthwise(gate, self.W_z_l, self.recurrent_gate_bias)
            hidden = tanh(hidden_drive + hidden_lateral)
            gate = torch.sigmoid(gate_drive + gate_lateral)
        fused = (hidden * gate).unflatten(1, (self.modalities, -1)).sum(1)
        return fused, Gates(hidden, gate)


def _small_uniform(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-0.01, 0.01))


def _depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1, groups=x.shape[1])
