"""Checks of what a network is given."""

from __future__ import annotations

from torch import Tensor

from gasp.errors import InputError


def require_shape(what: str, x: Tensor, shape: tuple[int | None, ...]) -> None:
    """Raise :class:`~gasp.errors.InputError` unless ``x`` holds floats in ``shape`` (None: any size)."""
    fits = len(shape) == x.ndim and all(
        want is None or have == want for want, have in zip(shape, x.shape, strict=True)
    )
    if not fits or not x.is_floating_point():
        wanted = ", ".join("N" if size is None else str(size) for size in shape)
        raise InputError(f"{what} must be floats of shape ({wanted}), not {x.dtype} {tuple(x.shape)}.")


def require_clip(video: Tensor, frames: int, multiple: int = 1) -> None:
    """Raise :class:`~gasp.errors.InputError` unless ``video`` is floats (N, 3, ``frames``, H, W).

    H and W must be multiples of ``multiple``.
    """
    require_shape("video", video, (None, 3, frames, None, None))
    require_multiple(video, multiple)


def require_multiple(pictures: Tensor, multiple: int) -> None:
    """Raise :class:`~gasp.errors.InputError` unless H and W of (..., H, W) are multiples of ``multiple``."""
    height, width = pictures.shape[-2:]
    if height < 1 or width < 1 or height % multiple or width % multiple:
        raise InputError(
            f"Height and width must be multiples of {multiple}, not {height} and {width}: resize them."
        )
