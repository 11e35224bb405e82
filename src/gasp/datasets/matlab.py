"""Reading MATLAB files with errors that name the file and the field. Nothing is unpickled or executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from gasp.errors import InputError


def read_mat(path: Path, variable: str) -> Any:
    """One variable of a MATLAB file: structs as dicts, cell rows and struct arrays as arrays or lists."""
    try:
        content = loadmat(str(path), variable_names=[variable], simplify_cells=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except NotImplementedError:
        raise InputError(f"{path} is a MATLAB 7.3 file; save it in MATLAB with `save -v7`") from None
    except Exception as error:
        # Of a damaged file SciPy raises whatever its bytes lead to.
        raise InputError(f"{path} cannot be read as a MATLAB file: {error}") from None
    if variable not in content:
        raise InputError(f"{path} lacks the variable {variable!r}")
    return content[variable]


def entry(struct: Any, name: str, where: str) -> Any:
    """A field of a struct. ``where`` says in messages what it is a field of."""
    if not isinstance(struct, dict) or name not in struct:
        has = ", ".join(list(struct)[:8]) if isinstance(struct, dict) else "no fields"
        raise InputError(f"{where} lacks the field {name!r}; it has {has}")
    return struct[name]


def scalar(struct: Any, name: str, where: str) -> float:
    """A scalar field of a struct."""
    value = entry(struct, name, where)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where}: the field {name!r} is not a number") from None


def samples(value: Any, where: str, *, most: int) -> NDArray[np.float64]:
    """Gaze samples, float64 (rows, pictures, observers), 2 to ``most`` rows; one observer may come as 2-D."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where} holds no array of numbers") from None
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not 2 <= array.shape[0] <= most or not array.size:
        raise InputError(f"{where} is {array.shape}, not (2 to {most}, pictures, observers)")
    return array
