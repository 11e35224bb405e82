"""What all metrics share: from the caller's arrays to checked rows of pixels and back, and resizing."""

from __future__ import annotations

import math
from collections.abc import Callable
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

_PIXELS_PER_STEP_CPU = 2**19  # as float64 a few megabytes: the working set stays in the processor's cache
_PIXELS_PER_STEP_GPU = 2**25


class Argument(NamedTuple):
    """One map argument of a metric: its name for messages, its value, and what it has to be."""

    name: str
    value: Maps
    is_fixations: bool = False
    non_negative: bool = False


class Rows(NamedTuple):
    """Checked maps, one per row: ``values`` (n, pixels), and each row's extremes, (n, 1) in float64."""

    values: Tensor
    low: Tensor
    high: Tensor


def evaluate(function: Callable[..., Tensor], *arguments: Argument) -> Scores:
    """Check the arguments, run ``function`` on rows of pixels and shape its answer like the leading axes.

    ``function`` takes :class:`Rows` for each argument, or booleans (n, pixels) for fixations, and returns n
    scores. Leading axes of the arguments broadcast. A few maps are done at a time, so that the memory for
    float64 copies stays small. Raises :class:`~gasp.errors.InputError` naming the argument.
    """
    on_arrays = not any(isinstance(argument.value, Tensor) for argument in arguments)
    maps = [_as_tensor(argument) for argument in arguments]
    maps = [each.to(maps[0].device) for each in maps]
    _check_sizes(arguments, maps)
    leading = _leading_shape(arguments, maps)
    rows = [_as_rows(each, leading) for each in maps]

    count, pixels = math.prod(leading), maps[0].shape[-2] * maps[0].shape[-1]
    budget = _PIXELS_PER_STEP_CPU if maps[0].device.type == "cpu" else _PIXELS_PER_STEP_GPU
    step = max(1, budget // pixels)
    scores = [torch.empty(0, dtype=torch.float64, device=maps[0].device)]
    for start in range(0, count, step):
        part = [each[start : start + step] for each in rows]
        checked = [_checked(argument, each) for argument, each in zip(arguments, part, strict=True)]
        scores.append(function(*checked))
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


def nonzero(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of the true entries of a (n, pixels) mask, row by row."""
    if mask.device.type == "cpu":  # NumPy is several times faster here when few entries are true
        flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    else:
        flat = mask.reshape(-1).nonzero().squeeze(1)
    return flat.div(mask.shape[1], rounding_mode="floor"), flat % mask.shape[1]


def mean_by_row(values: Tensor, rows: Tensor, height: int) -> Tensor:
    """Mean of the values that belong to each of the rows 0..height - 1; NaN for a row without any."""
    sums = values.new_zeros(height).index_add(0, rows, values)
    return sums / torch.bincount(rows, minlength=height)


def from_zero(rows: Rows) -> Tensor:
    """Rows in float64, shifted so that the smallest value is 0; NaN for a constant row.

    For metrics that depend neither on scale nor on offset. With any other offset, squares and sums could lose
    all digits; with this one they lose about log10(pixels) of float64's 16. Rows of extreme range are scaled
    to 0..1, because their squares would leave the range of float64.
    """
    shifted, extent = rows.values.to(torch.float64, copy=True).sub_(rows.low), rows.high - rows.low
    usual = (extent > 1e-100) & (extent < 1e100)
    return shifted if usual.all() else shifted / torch.where(usual, extent.new_ones(()), extent)


def near_zero(rows: Rows) -> Tensor:
    """As :func:`from_zero`, but left where they are if that is near enough to 0 for the same precision."""
    extent = rows.high - rows.low
    if ((extent > 1e-100) & (extent < 1e100) & (rows.low.abs() <= extent)).all():
        return rows.values.double()
    return from_zero(rows)


def dot(first: Tensor, second: Tensor) -> Tensor:
    """Sum of products along each row, (n,)."""
    return (first[:, None] @ second[:, :, None]).reshape(len(first))


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
    """Shape (number of maps, pixels), without a copy when all share one map."""
    count, pixels = math.prod(leading), maps.shape[-2] * maps.shape[-1]
    if maps.shape[:-2].numel() == 1:
        return maps.reshape(1, pixels).expand(count, pixels)
    return maps.expand(*leading, *maps.shape[-2:]).reshape(count, pixels)


def _checked(argument: Argument, values: Tensor) -> Rows | Tensor:
    """Rows of finite numbers, or booleans (n, pixels) for fixations."""
    if argument.is_fixations and values.dtype == torch.bool:
        return values
    if values.dtype == torch.bool or values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()
    low, high = (extreme.double() for extreme in (values.amin(-1, True), values.amax(-1, True)))
    smallest, largest = low.min().item(), high.max().item()
    magnitude = max(abs(smallest), abs(largest))
    # Twice the sum has to be finite too: then so are sums, ranges and means, and no metric can overflow.
    if not math.isfinite(2 * values.shape[1] * magnitude):
        problem = "NaN" if math.isnan(smallest + largest) else f"values as large as {magnitude:g}"
        raise InputError(
            f"{argument.name}: a map holds {problem}; every value must be a finite, usual number"
        )
    if smallest < 0 and (argument.is_fixations or argument.non_negative):
        what = "a fixation map" if argument.is_fixations else "a density"
        raise InputError(f"{argument.name}: {what} cannot be negative, but a value is {smallest:g}")
    return values > 0 if argument.is_fixations else Rows(values, low, high)
