"""Attentive convolutional LSTM.

Sources: Cornia et al., "Predicting Human Eye Fixations via an LSTM-based Saliency Attentive Model", IEEE TIP
2018, section III-B; Abawi et al., IJCAI 2021, section 3.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import InputError
from gasp.networks.blocks.activations import tanh


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

    def _unroll(
        self, start: Tensor, keys: Sequence[Tensor], excite: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        """Last hidden state (N, D, H, W) after one step per key.

        ``start``: hidden state and cell before the first step. ``keys``: the inputs through U_a. ``excite(t,
        attention)``: input t weighed by attention (N, 1, H, W), through the four convolutions of the gates.
        Convolutions of the same operand run as one, with their weights side by side.
        """
        of_hidden = _joined(self.W_a, self.U_i, self.U_f, self.U_o, self.U_c)
        d = self.channels
        hidden = cell = start
        for t, key in enumerate(keys):
            query, lateral = F.conv2d(hidden, *of_hidden, padding=1).split([d, 4 * d], 1)
            energy = self.V_a(tanh(query + key))
            # Over the width alone, row by row: what the published weights were trained with.
            drive = lateral + excite(t, torch.softmax(energy, -1))
            gates, candidate = drive.split([3 * d, d], 1)
            keep_input, keep_cell, show = torch.sigmoid(gates).chunk(3, 1)
            cell = tanh(candidate) * keep_input + keep_cell * cell
            hidden = tanh(cell) * show
        return hidden

    def _of_input(self) -> tuple[Tensor, Tensor]:
        """Weight (4 D, D, 3, 3) and bias of the input's half of the gates."""
        return _joined(self.W_i, self.W_f, self.W_o, self.W_c)

    def _plain_excitation(self, inputs: Sequence[Tensor]) -> Callable[[int, Tensor], Tensor]:
        weight, bias = self._of_input()
        return lambda t, attention: F.conv2d(attention * inputs[t], weight, bias, padding=1)


class AttentiveLSTM(_AttentiveCell):
    """Refines one feature map in a fixed number of steps, each looking at it anew."""

    def __init__(self, channels: int, steps: int = 4) -> None:
        super().__init__(channels)
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, H, W) to the last hidden state, same shape."""
        return self._unroll(x, [self.U_a(x)] * self.steps, self._plain_excitation([x] * self.steps))


class PreparedMap(NamedTuple):
    """What the recurrence over a window needs of N feature maps, wherever in a window they stand.

    ``features`` (N, D, H, W) as they came; ``keys`` (N, D, H, W), the features through U_a without its bias;
    ``taps`` (N, H * W, 9, 4 * D), or None: for each pixel and each of its nine neighbours (rows first), that
    neighbour's contribution to the gates under full attention.
    """

    features: Tensor
    keys: Tensor
    taps: Tensor | None


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
            self._check_length(x.shape[1])
            x = self.sequence_norm(x)
        # Channels last: a fifth faster on a CPU for narrow networks, no slower for wide ones.
        frames = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        keys = self.U_a(frames).unflatten(0, x.shape[:2])
        inputs = frames.unflatten(0, x.shape[:2]).unbind(1)
        return self._unroll(inputs[0], keys.unbind(1), self._plain_excitation(inputs))

    def prepare(self, x: Tensor, *, taps: bool = False) -> PreparedMap:
        """The part of the work that depends on each map (N, D, H, W) alone, to be kept for :meth:`run`.

        With ``taps`` the input's half of the gates is taken apart per kernel tap: attention is one number per pixel, so
        it can be applied behind the convolution. That takes 36 times the memory of the map and saves the convolution
        in every window.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        keys = F.conv2d(x, self.U_a.weight, padding=1)
        return PreparedMap(x, keys, self._taps(x) if taps else None)

    def run(self, window: Sequence[PreparedMap]) -> Tensor:
        """What the plain call gives in evaluation mode for N windows; ``window`` holds their maps per position."""
        self._check_length(len(window))
        scales, offsets = self._norm()
        inputs = [
            scale * maps.features + offset
            for maps, scale, offset in zip(window, scales, offsets, strict=True)
        ]
        keys = self._keys(window, scales, offsets)
        if window[0].taps is None:
            return self._unroll(inputs[0], keys, self._plain_excitation(inputs))
        weight, bias = self._of_input()
        of_ones = weight.sum(1).flatten(1).T  # what the gates make of the norm's offset, (9, 4 D)
        height, width = inputs[0].shape[-2:]

        def excite(t: int, attention: Tensor) -> Tensor:
            patches = F.unfold(attention, 3, padding=1).transpose(1, 2)
            taps = window[t].taps
            assert taps is not None
            drive = torch.matmul((patches * scales[t]).unsqueeze(2), taps).squeeze(2)
            drive = drive + patches @ (of_ones * offsets[t]) + bias
            return drive.unflatten(1, (height, width)).permute(0, 3, 1, 2)

        return self._unroll(inputs[0], keys, excite)

    def _taps(self, x: Tensor) -> Tensor:
        weight, _ = self._of_input()
        n, d, height, width = x.shape
        padded = F.pad(x, (1, 1, 1, 1))
        taps = x.new_empty(n, height, width, 9, 4 * d)
        for k in range(9):
            row, column = divmod(k, 3)
            neighbours = padded[:, :, row : row + height, column : column + width].permute(0, 2, 3, 1)
            taps[:, :, :, k] = neighbours @ weight[:, :, row, column].T
        return taps.flatten(1, 2)

    def _keys(self, window: Sequence[PreparedMap], scales: Tensor, offsets: Tensor) -> list[Tensor]:
        """The normalised maps through U_a."""
        assert self.U_a.bias is not None
        bias = self.U_a.bias[:, None, None]
        if self.sequence_norm is None:
            return [maps.keys + bias for maps in window]
        of_ones = F.conv2d(torch.ones_like(window[0].features[:1]), self.U_a.weight, padding=1)
        return [
            s * maps.keys + (o * of_ones + bias) for maps, s, o in zip(window, scales, offsets, strict=True)
        ]

    def _norm(self) -> tuple[Tensor, Tensor]:
        """Scale and offset per position in the window, as the norm has them in evaluation mode."""
        norm = self.sequence_norm
        if norm is None:
            weight = self.U_a.weight
            return weight.new_ones(self.sequence_len), weight.new_zeros(self.sequence_len)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return scale, norm.bias - norm.running_mean * scale

    def _check_length(self, length: int) -> None:
        if self.sequence_norm is not None and length != self.sequence_len:
            raise InputError(
                f"This network normalises over {self.sequence_len} frames and cannot take {length}."
            )


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1)


def _joined(*layers: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution whose outputs are those of ``layers``, one after the other."""
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return torch.cat([layer.weight for layer in layers]), torch.cat(biases)
