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
