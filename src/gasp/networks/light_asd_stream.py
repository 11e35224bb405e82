"""Light-ASD's encoders frame by frame: every layer of the visual one sees a picture once, and keeps what it needs.

Layers across the picture have no memory. A layer along time needs some earlier maps, which are kept, and as many later
ones, for which its result waits: an embedding comes six frames after its picture. Batch norms are folded into
convolutions, and maps lie in memory as time x height x width x channels, so that a layer along time is a product of
matrices. Values are those of :meth:`gasp.networks.light_asd.LightASD.embed_faces` but for rounding.

The encoder of sound costs next to nothing, and is run on as much sound as it sees.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.networks.light_asd import COEFFICIENTS, MEAN, ROWS, SIDE, STD, WIDTH, LightASD

DELAY = 6
"""Frames from a picture to its embedding."""

SOUND_DELAY = 4
"""Frames from the sound of a frame to its embedding."""
SOUND_MEMORY = 5
"""Frames before its own of which an embedding of sound hears something."""

KERNELS = (3, 5)
REACH = 2
"""Frames before and after its own that a block sees."""


class FaceEncoder:
    """The layers of a network's visual encoder, ready for streams; all streams of a video share them.

    The network must be in evaluation mode, and its weights must not change any more.
    """

    def __init__(self, network: LightASD) -> None:
        encoder = network.model.visualEncoder
        self.blocks = [_fold_block(block) for block in (encoder.block1, encoder.block2, encoder.block3)]


class FaceStream:
    """The embeddings of one face while its pictures come.

    How pictures are grouped into calls changes values by no more than rounding.
    """

    def __init__(self, encoder: FaceEncoder) -> None:
        self._blocks = [_BlockStream(block) for block in encoder.blocks]

    @torch.inference_mode()
    def push(self, faces: Tensor) -> Tensor:
        """Takes the next grey pictures (T, 112, 112) in 0..255.

        Returns:
            The embeddings (n, 128) that are complete now: those of all pictures so far but the last six, each once.
        """
        weight = self._blocks[0].layers.across[0].weight
        pictures = (faces[:, None].to(weight) / 255 - MEAN) / STD
        return self._run(pictures.contiguous(memory_format=torch.channels_last), ended=False)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """The embeddings of the pictures that still wait; nothing comes any more."""
        weight = self._blocks[0].layers.across[0].weight
        return self._run(weight.new_zeros(0, 1, SIDE, SIDE), ended=True)

    def _run(self, x: Tensor, *, ended: bool) -> Tensor:
        for number, block in enumerate(self._blocks):
            x = block.push(x, ended=ended)
            if number < 2:
                x = F.max_pool2d(x, 3, 2, 1) if len(x) else x[..., ::2, ::2]
        return x.amax((2, 3))


class SoundStream:
    """The embeddings of sound while its features come."""

    def __init__(self, network: LightASD) -> None:
        self._network = network
        # The newest rows, and how many of their frames have been embedded.
        self._rows = next(network.parameters()).new_zeros(0, COEFFICIENTS)
        self._embedded = 0

    def push(self, rows: Tensor) -> Tensor:
        """Takes the next rows of features (4 T, 13).

        Returns:
            The embeddings (n, 128) that are complete now: those of all frames so far but the last four, each once.
        """
        self._rows = torch.cat([self._rows, rows])
        return self._run(SOUND_DELAY)

    def finish(self) -> Tensor:
        """The embeddings of the frames that still wait; nothing comes any more."""
        return self._run(0)

    @torch.inference_mode()
    def _run(self, delay: int) -> Tensor:
        start, stop = self._embedded, len(self._rows) // ROWS - delay
        if stop <= start:
            return self._rows.new_zeros(0, WIDTH)
        embedded = self._network.embed_sound(self._rows[None])[0, start:stop]
        gone = max(0, stop - SOUND_MEMORY)
        self._rows, self._embedded = self._rows[ROWS * gone :].clone(), stop - gone
        return embedded


class _Layer(NamedTuple):
    """A convolution with its batch norm: ``weight`` (out, in, k, k) across the picture, (k, in, out) along time."""

    weight: Tensor
    bias: Tensor


class _Block(NamedTuple):
    """The layers of a block, those of its two branches in the order of :data:`KERNELS`; ``stride`` of the pictures."""

    across: tuple[_Layer, ...]
    along: tuple[_Layer, ...]
    last: _Layer
    stride: int


class _BlockStream:
    """One block on one stream.

    ``kept``: for each branch, what its layer along time still needs: (n, h, w, C), zeros before the first picture.
    """

    def __init__(self, layers: _Block) -> None:
        self.layers = layers
        self._kept: list[Tensor] | None = None

    def push(self, x: Tensor, *, ended: bool) -> Tensor:
        """The block's maps (n, C', h, w) that are complete with the next ones of its input (T, C, H, W).

        ``ended``: the input ends with these, and zeros follow what the layers across made of it.
        """
        seen = [self._across(x, layer) for layer in self.layers.across]
        before = self._kept or [s.new_zeros(REACH, *s.shape[1:]) for s in seen]
        after = REACH if ended else 0
        maps = [
            torch.cat([b, s, s.new_zeros(after, *s.shape[1:])]) for b, s in zip(before, seen, strict=True)
        ]
        count = max(0, len(maps[0]) - 2 * REACH)
        self._kept = [m[count:].clone() for m in maps]
        branches = [_along(m, layer, count) for m, layer in zip(maps, self.layers.along, strict=True)]
        both = branches[0].add_(branches[1])
        last = torch.addmm(self.layers.last.bias, both.flatten(0, 2), self.layers.last.weight[0]).relu_()
        return last.view(both.shape).permute(0, 3, 1, 2)

    def _across(self, x: Tensor, layer: _Layer) -> Tensor:
        """(T, h, w, C) of (T, C_in, H, W)."""
        size, stride = layer.weight.shape[-1], self.layers.stride
        if not len(x):
            height, width = (-(-side // stride) for side in x.shape[2:])
            return x.new_zeros(0, height, width, len(layer.bias))
        return (
            F.conv2d(x, layer.weight, layer.bias, stride, size // 2).relu_().permute(0, 2, 3, 1).contiguous()
        )


def _along(maps: Tensor, layer: _Layer, count: int) -> Tensor:
    """The ``count`` results of a layer along time on maps (count + 4, h, w, C), the first at index 2."""
    size = len(layer.weight)
    first = REACH - size // 2
    rows = [maps[first + k : first + k + count].flatten(0, 2) for k in range(size)]
    total = torch.addmm(layer.bias, rows[0], layer.weight[0])
    for row, weight in zip(rows[1:], layer.weight[1:], strict=True):
        total.addmm_(row, weight)
    return total.relu_().view(count, *maps.shape[1:3], len(layer.bias))


def _fold_block(block: nn.Module) -> _Block:
    across = tuple(_fold(block, f"s_{size}") for size in KERNELS)
    along = tuple(_fold(block, f"t_{size}") for size in KERNELS)
    stride = getattr(block, f"s_{KERNELS[0]}").stride[1]
    return _Block(
        tuple(
            _Layer(one.weight[:, :, 0].contiguous(memory_format=torch.channels_last), one.bias)
            for one in across
        ),
        tuple(_Layer(_matrices(one.weight), one.bias) for one in along),
        (last := _fold(block, "last"))._replace(weight=_matrices(last.weight)),
        stride,
    )


def _matrices(weight: Tensor) -> Tensor:
    """(k, in, out) of the weight (out, in, k, 1, 1) of a layer along time."""
    return weight[..., 0, 0].permute(2, 1, 0).contiguous()


@torch.no_grad()
def _fold(block: nn.Module, name: str) -> _Layer:
    """A convolution with the batch norm behind it as one layer, weight (out, in, t, h, w)."""
    conv, norm = getattr(block, name), getattr(block, f"bn_{name}")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return _Layer(conv.weight * scale.view(-1, 1, 1, 1, 1), norm.bias - norm.running_mean * scale)
