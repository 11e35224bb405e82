"""Packages that not everybody installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gasp.errors import UsageError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Imports in the block that fail are answered with the extra to install: ``with extra("train"): import lightning``.

    Raises :class:`~gasp.errors.UsageError` for packages that are not here.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "gasp":
            raise
        raise UsageError(
            f"the package {error.name} is not installed; it comes with: pip install 'gasp-saliency[{name}]'"
        ) from None
