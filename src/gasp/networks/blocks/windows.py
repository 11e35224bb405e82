"""What overlapping windows of a stream of frames share, computed once.

A position of a window's first layers depends on the few frames that it sees and on where the window ends, where zeros
are put. So its value is kept under just that: windows may repeat frames, jump, or run backwards, and still share
what is the same. Windows are given as numbers of frames, oldest first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from gasp.networks.blocks.resnet3d import STEM_REACH, Stem3D
from gasp.networks.blocks.s3d import S3D, SeparableConv, channels_last_on_cpu

Key = TypeVar("Key", bound=Hashable)


class Seen(NamedTuple):
    """What one position of a temporal convolution sees: ``inputs``, from the kernel's element ``first`` on."""

    first: int
    inputs: tuple[Any, ...]


def seen_by(window: Sequence[Hashable], kernel: int, stride: int = 1) -> list[Seen]:
    """What each position sees of a window that is padded with kernel // 2 zeros at both ends."""
    reach = kernel // 2
    return [
        Seen(max(0, reach - centre), tuple(window[max(0, centre - reach) : centre + reach + 1]))
        for centre in range(0, len(window), stride)
    ]


class Kept:
    """Tensors under keys, computed when they are missing, and dropped when the last windows did not need them."""

    def __init__(self, windows: int) -> None:
        self._values: dict[Hashable, Tensor] = {}
        self._recent: deque[set[Hashable]] = deque(maxlen=windows)

    def get(
        self, windows: Sequence[Sequence[Key]], compute: Callable[[list[Key]], Mapping[Any, Tensor]]
    ) -> list[list[Tensor]]:
        """The values of the keys of each window; ``compute`` gets those that are missing."""
        missing = [key for key in dict.fromkeys(k for w in windows for k in w) if key not in self._values]
        if missing:
            self._values.update(compute(missing))
        values = [[self._values[key] for key in window] for window in windows]
        self._recent.extend(set(window) for window in windows)
        needed = set().union(*self._recent)
        self._values = {key: value for key, value in self._values.items() if key in needed}
        return values


class StemOfWindows:
    """First activations of windows for networks that begin with :class:`Stem3D`, equal to ``stem`` up to rounding.

    A position is a sum of products, of frames it sees with planes of the kernel. Where a position of the window before
    has most of them in common, the others are added and taken away: of a window one frame further, ten products are
    computed in place of a hundred. (Not in half precision, where taking away would cost digits.)
    """

    @torch.no_grad()
    def __init__(self, network: Stem3D) -> None:
        norm = network.bn1
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        # (7, 64, 3, 7, 7): a picture's convolution for each plane.
        self._planes = (network.conv1.weight * scale.view(-1, 1, 1, 1, 1)).movedim(2, 0)
        self._bias = norm.bias - norm.running_mean * scale
        self._activate = network.activate
        self._sums: dict[_Products, Tensor] = {}
        self._active: dict[_Products, Tensor] = {}
        self._frames: dict[int, Tensor] = {}

    def __call__(self, windows: Sequence[Sequence[int]], frames: Mapping[int, Tensor]) -> Tensor:
        """The stem (N, 64, T, h, w) of N windows of T of the ``frames`` (3, H, W); windows in order of time."""
        stems = [self._slide_to(window, frames) for window in windows]
        return torch.stack(stems) if len(stems) > 1 else stems[0][None]  # without a copy

    def _slide_to(self, window: Sequence[int], frames: Mapping[int, Tensor]) -> Tensor:
        positions: list[_Products] = [
            frozenset(enumerate(seen.inputs, seen.first)) for seen in seen_by(window, 2 * STEM_REACH + 1)
        ]
        self._frames.update({frame: frames[frame] for frame in window})
        missing = [position for position in dict.fromkeys(positions) if position not in self._sums]
        nearest = {position: self._nearest(position) for position in missing}
        anew = [position for position, known in nearest.items() if known is None]
        moved = {position: known for position, known in nearest.items() if known is not None}
        found = self._add_up(anew) | self._change(moved)
        self._active.update(
            {position: self._activate(value[None, :, None])[0, :, 0] for position, value in found.items()}
        )
        self._sums.update(found)
        needed = set(positions)
        self._sums = {position: value for position, value in self._sums.items() if position in needed}
        self._active = {position: value for position, value in self._active.items() if position in needed}
        self._frames = {frame: self._frames[frame] for frame in window}
        return torch.stack([self._active[position] for position in positions], 1)

    def _nearest(self, position: _Products) -> _Products | None:
        """The known position with the fewest different products, if that is less than to add up all."""
        if self._bias.dtype != torch.float32 or not self._sums:
            return None
        nearest = min(self._sums, key=lambda known: len(known ^ position))
        return nearest if len(nearest ^ position) < len(position) else None

    def _add_up(self, positions: list[_Products]) -> dict[_Products, Tensor]:
        """Positions from nothing; those that see the same planes at once, with their frames for channels."""
        groups: dict[tuple[int, ...], list[list[int]]] = defaultdict(list)
        for position in positions:
            planes, seen = zip(*sorted(position), strict=True)
            groups[planes].append(list(seen))
        found: dict[_Products, Tensor] = {}
        for planes, group in groups.items():
            clips = torch.stack([torch.cat([self._frames[frame] for frame in seen]) for seen in group])
            weight = self._planes[list(planes)].transpose(0, 1).flatten(1, 2)
            values = F.conv2d(clips, weight, self._bias, stride=2, padding=STEM_REACH)
            keys = [frozenset(zip(planes, seen, strict=True)) for seen in group]
            found.update(zip(keys, values, strict=True))
        return found

    def _change(self, moved: Mapping[_Products, _Products]) -> dict[_Products, Tensor]:
        """Positions from others that are known."""
        wanted: dict[int, set[int]] = defaultdict(set)
        for plane, frame in {product for new, old in moved.items() for product in new ^ old}:
            wanted[frame].add(plane)
        products: dict[tuple[int, int], Tensor] = {}
        for frame, chosen in wanted.items():
            planes = sorted(chosen)
            weight = self._planes[planes].flatten(0, 1)
            values = F.conv2d(self._frames[frame][None], weight, stride=2, padding=STEM_REACH)[0]
            products.update(zip([(plane, frame) for plane in planes], values.split(64), strict=True))
        found: dict[_Products, Tensor] = {}
        for new, old in moved.items():
            value = self._sums[old].clone()
            for product in sorted(new - old):
                value += products[product]
            for product in sorted(old - new):
                value -= products[product]
            found[new] = value
        return found


_Products = frozenset[tuple[int, int]]
"""What a position is the sum of: planes of the kernel, each with the frame that it meets."""


class Base1OfWindows:
    """The first stage of :class:`S3D` of windows, equal to ``base1`` up to rounding.

    Kept are the convolution in space per frame, and the steps of the stage, in two phases since the stage halves
    time: of a window two frames further, a quarter of the first and three eighths of the last step are computed.
    """

    def __init__(self, network: S3D) -> None:
        first, self._pool, self._pointwise, second = network.base1
        assert isinstance(first, SeparableConv)
        assert isinstance(second, SeparableConv)
        self._first, self._second = first, second
        self._frames, self._middle, self._last = Kept(windows=2), Kept(windows=2), Kept(windows=2)

    def __call__(self, windows: Sequence[Sequence[int]], frames: Mapping[int, Tensor]) -> Tensor:
        """(N, 192, T/2, H/4, W/4) of N windows of T of the ``frames`` (3, H, W)."""
        spatial = {
            frame: value
            for window, values in zip(
                windows, self._frames.get(windows, lambda missing: self._space(missing, frames)), strict=True
            )
            for frame, value in zip(window, values, strict=True)
        }
        middle_keys = [seen_by(window, 7, stride=2) for window in windows]
        middle_values = self._middle.get(middle_keys, lambda missing: self._middle_step(missing, spatial))
        middle = {
            key: value
            for keys, values in zip(middle_keys, middle_values, strict=True)
            for key, value in zip(keys, values, strict=True)
        }
        last_keys = [seen_by(keys, 3) for keys in middle_keys]
        last = self._last.get(last_keys, lambda missing: _in_time(self._second, missing, middle))
        return channels_last_on_cpu(torch.stack([torch.cat(window, 1) for window in last]))

    def _space(self, missing: list[int], frames: Mapping[int, Tensor]) -> dict[int, Tensor]:
        pictures = torch.stack([frames[frame] for frame in missing])[:, :, None]
        return dict(zip(missing, self._first.in_space(channels_last_on_cpu(pictures)), strict=True))

    def _middle_step(self, missing: list[Seen], spatial: Mapping[int, Tensor]) -> dict[Seen, Tensor]:
        found = _in_time(self._first, missing, spatial)
        values = self._pointwise(self._pool(torch.stack(list(found.values()))))
        return dict(zip(found, self._second.in_space(channels_last_on_cpu(values)), strict=True))


def _in_time(layer: SeparableConv, missing: list[Seen], inputs: Mapping[Any, Tensor]) -> dict[Seen, Tensor]:
    """The second half of a separable convolution at single positions: (C, 1, H, W) each."""
    found: dict[Seen, Tensor] = {}
    for (first, count), keys in _alike(missing):
        clips = torch.stack([torch.cat([inputs[i] for i in key.inputs], 1) for key in keys])
        weight = layer.conv_t.weight[:, :, first : first + count]
        outputs = F.relu_(layer.bn_t(F.conv3d(channels_last_on_cpu(clips), weight)))
        found.update(zip(keys, outputs, strict=True))
    return found


def _alike(keys: Iterable[Seen]) -> Iterable[tuple[tuple[int, int], list[Seen]]]:
    """Keys by the part of the kernel that they see: its first element and their number."""
    groups: dict[tuple[int, int], list[Seen]] = defaultdict(list)
    for key in keys:
        groups[key.first, len(key.inputs)].append(key)
    return groups.items()
