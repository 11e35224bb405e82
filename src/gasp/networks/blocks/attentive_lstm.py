"""Attentive convolutional LSTM.

Sources: Cornia et al., "Predicting Human Eye Fixations via an LSTM-based Saliency Attentive Model", IEEE TIP
2018, section III-B; Abawi et al., IJCAI 2021, section 3.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import InputError


class _AttentiveCell(nn.Module):
    """The layers of the attentive ConvLSTM and its recurrence; D input, hidden and attention channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.W_a = _conv(channels)
        self.U_a = _conv(channels)
        self.V_a = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        self.W_i, self.U_i = _conv(channels), _conv(channels)
        self.W_f, self.U_f = _conv(channels), _conv(channels)
        self.W_c, self.U_c = _conv(channels), _conv(channels)
        self.W_o, self.U_o = _conv(channels), _conv(channels)

    def _unroll(self, inputs: Sequence[Tensor], keys: Sequence[Tensor]) -> Tensor:
        """Last hidden state after one step per input (N, D, H, W); ``keys`` are the inputs through U_a.

        Convolutions of the same operand run as one, with their weights side by side.
        """
        of_hidden = _joined(self.W_a, self.U_i, self.U_f, self.U_o, self.U_c)
        of_input = _joined(self.W_i, self.W_f, self.W_o, self.W_c)
        d = self.channels
        hidden = cell = inputs[0]
        for x, key in zip(inputs, keys, strict=True):
            query, lateral = F.conv2d(hidden, *of_hidden, padding=1).split([d, 4 * d], 1)
            energy = self.V_a(torch.tanh(query + key))
            # Over the width alone, row by row: what the published weights were trained with.
            attended = torch.softmax(energy, -1) * x
            drive = lateral + F.conv2d(attended, *of_input, padding=1)
            gates, candidate = drive.split([3 * d, d], 1)
            keep_input, keep_cell, show = torch.sigmoid(gates).chunk(3, 1)
            cell = torch.tanh(candidate) * keep_input + keep_cell * cell
            hidden = torch.tanh(cell) * show
        return hidden


class AttentiveLSTM(_AttentiveCell):
    """Refines one feature map in a fixed number of steps, each looking at it anew."""

    def __init__(self, channels: int, steps: int = 4) -> None:
        super().__init__(channels)
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, H, W) to the last hidden state, same shape."""
        return self._unroll([x] * self.steps, [self.U_a(x)] * self.steps)


class SequenceAttentiveLSTM(_AttentiveCell):
    """Summarises a sequence of feature maps; the state starts as the first map, which is also stepped over.

    With ``sequence_norm`` the maps are first normalised per position in time, over everything else, and the
    sequence must have exactly ``sequence_len`` maps.
    """

    def __init__(self, channels: int, sequence_len: int, sequence_norm: bool = False) -> None:
        super().__init__(channels)
        self.sequence_len = sequence_len
        self.sequence_norm = nn.BatchNorm3d(sequence_len) if sequence_norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D, H, W), oldest first, to the last hidden state (N, D, H, W)."""
        if self.sequence_norm is not None:
            if x.shape[1] != self.sequence_len:
                raise InputError(
                    f"This network normalises over {self.sequence_len} frames and cannot take {x.shape[1]}."
                )
            x = self.sequence_norm(x)
        # Channels last: a fifth faster on a CPU for narrow networks, no slower for wide ones.
        frames = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        keys = self.U_a(frames).unflatten(0, x.shape[:2])
        return self._unroll(frames.unflatten(0, x.shape[:2]).unbind(1), keys.unbind(1))


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1)


def _joined(*layers: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution whose outputs are those of ``layers``, one after the other."""
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return torch.cat([layer.weight for layer in layers]), torch.cat(biases)
