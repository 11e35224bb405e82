"""What all metrics share: from the caller's arrays to checked rows of pixels and back, and resizing."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gasp.errors import InputError

Maps: TypeAlias = Tensor | NDArray[Any]
#: A float64 tensor for tensors; a float (one map) or a float64 array (several) for arrays.
Scores: TypeAlias = Any

EPS = 2.2204e-16  # the regulariser of the MIT benchmark's code

_PIXELS_PER_STEP_CPU = 2**19  # a few megabytes: the working set stays in the processor's cache
_PIXELS_PER_STEP_GPU = 2**25

_SMALL = (torch.bool, torch.uint8, torch.int8, torch.int16)  # integers that float32 holds exactly
#: Squares between this and its inverse neither overflow nor lose digits, also when added up.
_SQUARE_LIMIT = {torch.float32: 1e30, torch.float64: 1e200}


#: A fixation map may have this many fixated pixels, or this share of its pixels, whichever is more. Some 40 observers
#: with 25 fixations each stay below the first, whatever the map's size; a blurred map has nearly all pixels above 0.
MOST_FIXATED = 1000
MOST_FIXATED_SHARE = 0.05

#: Most fixated pixels are fixated once or twice. A map with more different values than the first, which are on average
#: more than so many times the smallest, is a grey picture: of a density, or of points with the haze of JPEG.
_GREY_VALUES, _GREY_MEAN = 6, 8


class Argument(NamedTuple):
    """One map argument of a metric: its name for messages, its value, what it has to be, and what is needed of it.

    ``pooled``: fixations of many pictures, which may cover as much of a map as they like.
    """

    name: str
    value: Maps
    is_fixations: bool = False
    pooled: bool = False
    non_negative: bool = False
    squares: bool = False


class Rows:
    """Checked maps: ``values`` (n, H, W) in float32 or float64, and ``total``, their sums (n,) in float64.

    ``square``: the sums of their squares, where they were asked for. Whatever else needs a pass over the pixels is
    found when it is asked for.
    """

    def __init__(self, name: str, values: Tensor, total: Tensor, square: Tensor | None = None) -> None:
        self.name = name
        self.values = values
        self.total = total
        self.square = square

    @property
    def pixels(self) -> int:
        """Number of pixels of a map."""
        return self.values.shape[1] * self.values.shape[2]

    @cached_property
    def extremes(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest value, each (n, 1, 1) in float64.

        Raises :class:`~gasp.errors.InputError` when sums or ranges of such values could overflow.
        """
        flat = self.values.flatten(1)
        low, high = (extreme.double()[:, None, None] for extreme in (flat.amin(-1), flat.amax(-1)))
        smallest, largest = low.min().item(), high.max().item()
        magnitude = max(abs(smallest), abs(largest))
        if not math.isfinite(2 * self.pixels * magnitude):
            problem = "NaN" if math.isnan(smallest + largest) else f"values as large as {magnitude:g}"
            raise InputError(
                f"{self.name}: a map holds {problem}; every value must be a finite, usual number"
            )
        return low, high

    def expand(self, count: int) -> Rows:
        """The same map ``count`` times, without a copy."""
        square = None if self.square is None else self.square.expand(count)
        return Rows(self.name, self.values.expand(count, -1, -1), self.total.expand(count), square)


def evaluate(function: Callable[..., Tensor], *arguments: Argument, at_once: int = 1) -> Scores:
    """Check the arguments, run ``function`` on rows of pixels and shape its answer like the leading axes.

    ``function`` takes :class:`Rows` for each argument, or booleans (n, H, W) for fixations, and returns n
    scores. Leading axes of the arguments broadcast; a map that serves all others is checked once. A few maps
    are done at a time, so that they stay in the cache; ``at_once`` times as many for a function that has
    little to do with each pixel. Raises :class:`~gasp.errors.InputError` naming the argument.
    """
    on_arrays = not any(isinstance(argument.value, Tensor) for argument in arguments)
    maps = [_as_tensor(argument) for argument in arguments]
    maps = [each.to(maps[0].device) for each in maps]
    _check_sizes(arguments, maps)
    leading = _leading_shape(arguments, maps)
    rows = [_as_rows(each, leading) for each in maps]
    shared = [_checked(a, each) if len(each) == 1 else None for a, each in zip(arguments, rows, strict=True)]

    count, pixels = math.prod(leading), maps[0].shape[-2] * maps[0].shape[-1]
    budget = _PIXELS_PER_STEP_CPU if maps[0].device.type == "cpu" else _PIXELS_PER_STEP_GPU
    step = max(1, at_once * budget // pixels)
    scores = [torch.empty(0, dtype=torch.float64, device=maps[0].device)]
    for start in range(0, count, step):
        size = min(step, count - start)
        part = [
            _checked(argument, each[start : start + size]) if one is None else _repeat(one, size)
            for argument, each, one in zip(arguments, rows, shared, strict=True)
        ]
        scores.append(function(*part))
    result = torch.cat(scores).reshape(leading)
    if not on_arrays:
        return result
    return result.numpy() if leading else float(result)


def resize(saliency: Maps, height: int, width: int) -> Maps:
    """Resize predicted maps ``(..., H, W)`` to the size of the ground truth: the policy for all metrics.

    Bilinear, pixel centres at half-integers (``align_corners=False``), smoothed before shrinking so that no
    pixel is left out. Always resize the prediction, never the ground truth: a resized fixation map no longer
    counts fixations. Floats stay as they are, whole numbers become float32. Returns an array for an array.
    """
    maps = _as_tensor(Argument("saliency", saliency))
    if maps.ndim < 2 or min(maps.shape[-2:]) == 0:
        raise InputError(
            f"saliency: a map has the shape (..., H, W) with H and W above 0, not {tuple(maps.shape)}"
        )
    if height < 1 or width < 1:
        raise InputError(f"cannot resize maps to {height} x {width} pixels (height x width)")
    rows = maps.reshape(-1, 1, *maps.shape[-2:])
    rows = rows if rows.is_floating_point() else rows.float()
    if rows.shape[-2:] != (height, width):
        rows = F.interpolate(rows, (height, width), mode="bilinear", align_corners=False, antialias=True)
    result = rows.reshape(*maps.shape[:-2], height, width)
    return result if isinstance(saliency, Tensor) else result.numpy()


class Points(NamedTuple):
    """The true entries of masks (n, H, W): their ``places`` in all pixels as one row, ascending, and how many, (n,)."""

    places: Tensor
    counts: Tensor

    def values_of(self, maps: Tensor) -> Tensor:
        """The values of maps (n, H, W) there, in one row."""
        if maps.stride(0) == 0:  # one map for all masks: not to be copied
            return maps[0].reshape(-1)[self.places % maps[0].numel()]
        return maps.reshape(-1)[self.places]

    def rows(self) -> Tensor:
        """The mask that each belongs to, 0..n - 1."""
        return torch.repeat_interleave(self.counts)

    def mean(self, values: Tensor) -> Tensor:
        """Mean in each mask of the values given in one row, (n,); NaN for a mask without any."""
        return values.new_zeros(len(self.counts)).index_add(0, self.rows(), values) / self.counts


def points_of(mask: Tensor) -> Points:
    """The true entries of a mask (n, H, W) or (n, pixels)."""
    if mask.device.type == "cpu":  # NumPy is several times faster here when few entries are true
        places = torch.from_numpy(_true_places(mask.numpy()))
    else:
        places = mask.reshape(-1).nonzero().squeeze(1)
    ends = torch.arange(len(mask) + 1, device=mask.device) * mask.shape[1:].numel()
    return Points(places, torch.searchsorted(places, ends).diff())


def _true_places(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Indices of the true entries, as ``numpy.flatnonzero``, eight at a time where there are few."""
    flat = flags.ravel()
    if flat.size % 8:
        return np.flatnonzero(flat)
    eights = flat.view(np.uint64)
    words = np.flatnonzero(eights != 0)
    if 128 * len(words) > flat.size:
        return np.flatnonzero(flat)
    places = np.flatnonzero(eights[words].view(np.bool_))
    return np.asarray((words[places >> 3] << 3) + (places & 7))


def total(values: Tensor) -> Tensor:
    """Sums (n,) in float64 of maps (n, H, W).

    Lines of pixels are summed in their own type, a few hundred values with an error of some 1e-7; the errors
    of the lines cancel in the sum of lines.
    """
    return values.sum(-1).sum(-1, dtype=torch.float64)


def dot(first: Tensor, second: Tensor) -> Tensor:
    """Sums (n,) in float64 of the products of maps (n, H, W); lines as in :func:`total`."""
    if on_cpu_alone(first, second):
        with np.errstate(all="ignore"):  # what overflows is seen to by the caller
            lines = torch.from_numpy(np.vecdot(first.numpy(), second.numpy()))  # without keeping the products
    else:
        lines = torch.linalg.vecdot(first, second)
    return lines.sum(-1, dtype=torch.float64)


def sums(values: Tensor) -> tuple[Tensor, Tensor]:
    """Sums (n,) in float64 of maps (n, H, W) and of their squares; lines as in :func:`total`."""
    if not on_cpu_alone(values):
        return total(values), dot(values, values)
    maps = values.numpy()
    ones = np.ones(maps.shape[-1], maps.dtype)
    lines = np.empty((2, *maps.shape[:2]), maps.dtype)
    with np.errstate(all="ignore"):
        for each, of_values, of_squares in zip(maps, *lines, strict=True):
            np.vecdot(each, ones, out=of_values)
            np.vecdot(each, each, out=of_squares)  # while the map is in the cache
    both = torch.from_numpy(lines.sum(-1, dtype=np.float64))
    return both[0], both[1]


def on_cpu_alone(*maps: Tensor) -> bool:
    """Whether NumPy, which is quicker here, can take the place of PyTorch."""
    return not any(each.requires_grad or each.device.type != "cpu" for each in maps)


def from_zero(rows: Rows, dtype: torch.dtype = torch.float64) -> Tensor:
    """Maps (n, H, W) shifted so that the smallest value is 0; zero everywhere for a constant map.

    For metrics that depend neither on scale nor on offset. With any other offset, squares and sums could lose
    all digits; with this one they lose about log10(pixels) of float64's 16. Maps of extreme range are scaled
    to 0..1, in float64, because their squares would leave the range of the type.
    """
    low, high = rows.extremes
    extent = high - low
    limit = _SQUARE_LIMIT[dtype] ** 0.5
    if ((extent > 1 / limit) & (extent < limit)).all():
        return rows.values.to(dtype) - low.to(dtype)
    return (rows.values.double() - low) / torch.where(extent > 0, extent, 1.0)


def moments(rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """Maps (n, H, W) without a large offset, and their means and variances, (n,) in float64.

    The variance is the mean square less the square of the mean. Where that would cost digits, or the squares
    leave the range of the type, the maps are shifted and scaled as by :func:`from_zero`.
    """
    values = rows.values
    square = dot(values, values) if rows.square is None else rows.square
    mean, square = rows.total / rows.pixels, square / rows.pixels
    limit = _SQUARE_LIMIT[values.dtype]
    if not ((square - mean**2 > square / 20) & (square > 1 / limit) & (square < limit)).all():
        values = from_zero(rows)
        mean, square = total(values) / rows.pixels, dot(values, values) / rows.pixels
    return values, mean, square - mean**2


def _as_tensor(argument: Argument) -> Tensor:
    value = argument.value
    if isinstance(value, Tensor):
        tensor = value
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise InputError(f"{argument.name}: a map holds numbers, not {array.dtype}")
        if array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch has few operations for these
            array = array.astype(np.float64)
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    if tensor.is_complex():
        raise InputError(f"{argument.name}: a map holds real numbers, not {tensor.dtype}")
    return tensor


def _check_sizes(arguments: tuple[Argument, ...], maps: list[Tensor]) -> None:
    for argument, each in zip(arguments, maps, strict=True):
        if each.ndim < 2:
            raise InputError(f"{argument.name}: a map has the shape (..., H, W), not {tuple(each.shape)}")
        if min(each.shape[-2:]) == 0:
            raise InputError(f"{argument.name}: the map is empty, its shape is {tuple(each.shape)}")
        if each.shape[-2:] != maps[0].shape[-2:]:
            height, width = each.shape[-2:]
            raise InputError(
                f"{argument.name} is {height} x {width} pixels (height x width), but {arguments[0].name} is "
                f"{maps[0].shape[-2]} x {maps[0].shape[-1]}; resize the prediction with gasp.metrics.resize"
            )


def _leading_shape(arguments: tuple[Argument, ...], maps: list[Tensor]) -> tuple[int, ...]:
    try:
        return tuple(torch.broadcast_shapes(*(each.shape[:-2] for each in maps)))
    except RuntimeError:
        shapes = ", ".join(f"{a.name} {tuple(m.shape)}" for a, m in zip(arguments, maps, strict=True))
        raise InputError(f"the numbers of maps do not fit together: {shapes}") from None


def _as_rows(maps: Tensor, leading: tuple[int, ...]) -> Tensor:
    """Shape (number of maps, H, W), or (1, H, W) when all share one map."""
    size = maps.shape[-2:]
    if maps.shape[:-2].numel() == 1:
        return maps.reshape(1, *size)
    return maps.expand(*leading, *size).reshape(math.prod(leading), *size)


def _checked(argument: Argument, values: Tensor) -> Rows | Tensor:
    """Finite numbers, or booleans for fixations; both (n, H, W)."""
    if argument.is_fixations and values.dtype in (torch.bool, torch.uint8):
        return _fixated(argument, values)
    if not values.is_floating_point() and values.dtype not in _SMALL:
        values = values.double()
    elif values.dtype != torch.float64:
        values = values.float()
    rows = Rows(argument.name, values, *(sums(values) if argument.squares else (total(values),)))
    if not rows.total.isfinite().all():
        _ = rows.extremes  # raises, unless only the sum in float32 overflowed
        rows = Rows(argument.name, values.double(), total(values.double()))
    if (argument.is_fixations or argument.non_negative) and (smallest := values.min().item()) < 0:
        what = "a fixation map" if argument.is_fixations else "a density"
        raise InputError(f"{argument.name}: {what} cannot be negative, but a value is {smallest:g}")
    return _fixated(argument, values) if argument.is_fixations else rows


def _fixated(argument: Argument, values: Tensor) -> Tensor:
    """The fixated pixels of maps (n, H, W) that are zero or more, as booleans; an error if these are no fixations.

    A density handed over as fixations would give a score that looks like one.
    """
    fixated = values if values.dtype == torch.bool else values > 0
    if values.dtype != torch.bool:
        _check_counts(argument, values, points_of(fixated))
    most = max(MOST_FIXATED, MOST_FIXATED_SHARE * fixated.shape[1:].numel())
    if not argument.pooled and (largest := _most_points(fixated)) > most:
        raise InputError(
            f"{argument.name}: {largest} of {values[0].numel()} pixels are above 0, which no recording of fixations "
            "is; this looks like a density or a blurred map. A fixation map counts fixations per pixel and is 0 "
            f"elsewhere (gasp.datasets.fixation_map makes one); at most {most:.0f} pixels of this size can be fixated"
        )
    return fixated


def _most_points(fixated: Tensor) -> int:
    """The largest number of fixated pixels of a map (n, H, W)."""
    if fixated.device.type == "cpu":
        return max((int(np.count_nonzero(each)) for each in fixated.numpy()), default=0)
    return int(fixated.flatten(1).sum(1).max()) if len(fixated) else 0


def _check_counts(argument: Argument, values: Tensor, points: Points) -> None:
    """That what is above 0 are counts (or one value, such as 255), not densities or the greys of a picture."""
    found = points.values_of(values)
    if found.is_floating_point() and (fractions := found[found != found.round()]).numel():
        raise InputError(
            f"{argument.name}: a fixation map holds counts, but values such as {fractions[0].item():g} are fractions; "
            "this looks like a density or a blurred map. Hand over the recorded points "
            "(gasp.datasets.fixation_map makes the map); weighted or scaled points as booleans: map > 0"
        )
    rows = points.rows()
    for place in (points.mean(found.double()) > _GREY_MEAN).nonzero().flatten().tolist():
        here = found[rows == place]
        greys = here.unique()
        if len(greys) > _GREY_VALUES and here.double().mean() > _GREY_MEAN * greys[0]:
            raise InputError(
                f"{argument.name}: a map has {len(greys)} different values up to {greys[-1].item():g}, as a grey "
                "picture has and counts have not. If fixations were stored as JPEG, take the pixels above 127 "
                "(map > 127); a density is no fixation map"
            )


def _repeat(one: Rows | Tensor, count: int) -> Rows | Tensor:
    return one.expand(count) if isinstance(one, Rows) else one.expand(count, -1, -1)
