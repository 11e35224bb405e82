"""Files of arrays (.npy, .npz) that may be damaged: one sentence, whatever NumPy makes of them.

Nothing is unpickled.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError

_DAMAGE = (
    OSError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, MemoryError, RuntimeError, SyntaxError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""A header of an array is a line of Python, and an .npz a zip file: damage shows in many ways."""


@contextmanager
def reading_arrays(path: Path, what: str = "as an array", advice: str = "") -> Iterator[None]:
    """Within it, damage of ``path`` becomes an :class:`~gasp.errors.InputError` that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path} does not exist{advice}") from None
    except _DAMAGE as error:
        why = str(error).strip() or type(error).__name__
        raise InputError(f"{path} cannot be read {what}: {why}{advice}") from None


def read_array(
    path: Path, what: str = "as an array", *, mapped: bool = False, advice: str = ""
) -> NDArray[Any]:
    """The array of an .npy file; ``mapped``: read as its parts are used.

    Raises:
        InputError: It is missing or damaged, or would have to be unpickled.
    """
    with reading_arrays(path, what, advice):
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays")
        return array
