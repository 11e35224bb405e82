"""Reading the small CSV and NPZ tables of datasets, with errors that name the file and the field."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gasp.datasets.text_tables import fold, read_table, read_text
from gasp.errors import InputError
from gasp.work.arrays import reading_arrays

T = TypeVar("T")


DAMAGED = "?"
"""What a lenient reader gives for every field of a row that has too few or too many."""

LARGEST_SIDE = 65536
"""Pixels of a side of a picture or video."""

_DIGITS = 18  # that surely fit 64 bits


def read_csv(path: Path, columns: Iterable[str], *, lenient: bool = False) -> list[dict[str, str]]:
    """The rows of a text table with a header, checked to hold ``columns`` (in lower case), by the names of columns.

    Separators, encodings, comments and letter case: see :mod:`gasp.datasets.text_tables`. All names are in lower case.
    A row with more or fewer fields than the header is an error that names the line; or, with ``lenient``,
    :data:`DAMAGED` in every field.
    """
    wanted = list(columns)
    table = read_table(path, wanted)
    header = [fold(name) for name in table.header]
    _check_header(path, header, wanted)
    rows = []
    for line, values in table.rows:
        row = _row(header, values)
        if row is None and not lenient:
            raise InputError(f"{path}, line {line}: {len(values)} fields instead of {len(header)}")
        rows.append(row or dict.fromkeys(header, DAMAGED))
    return rows


def _check_header(path: Path, header: list[str], columns: Iterable[str]) -> None:
    missing = [name for name in columns if name not in header]
    if not missing:
        return
    if not header:
        raise InputError(f"{path} is empty; its first line should name the columns {', '.join(columns)}")
    raise InputError(f"{path} lacks the column(s) {', '.join(missing)}; it has {', '.join(header)}")


def _row(header: list[str], values: list[str]) -> dict[str, str] | None:
    """The fields by name; None when there are too few or too many (empty ones at the end apart)."""
    if len(values) < len(header) or any(values[len(header) :]):
        return None
    return dict(zip(header, values, strict=False))


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file. Keys that occur twice, and text that is none, are errors."""
    try:
        found = json.loads(read_text(path), object_pairs_hook=partial(_without_repeats, path))
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path} holds text with lone surrogates, which is no text") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object")
    return found


def _without_repeats(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: the key {twice!r} occurs twice; keep one of them")
    return found


def observer_numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Numbers of observers: their names where all are whole numbers of usual size, else their places when sorted."""
    known, places = np.unique(np.asarray(names, object).astype(str), return_inverse=True)
    if all(name.isdecimal() and len(name) <= _DIGITS for name in known):
        return known.astype(np.int64)[places]
    return np.asarray(places, np.int64).reshape(-1)


def checked_size(width: int, height: int, where: str) -> tuple[int, int]:
    """``width`` and ``height`` of a picture if they can be right, so that no map of them fills the memory."""
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise InputError(
            f"{where} has the size {_short(width)} x {_short(height)}; 1 to {LARGEST_SIDE} can be read"
        )
    return width, height


def _short(value: int) -> str:
    return str(value) if abs(value) < 10**_DIGITS else "a number of very many digits"


def field(row: dict[str, str], name: str, kind: Callable[[str], T], path: Path) -> T:
    """One field of a row as ``kind`` (int, float)."""
    try:
        return kind(row[name])
    except (TypeError, ValueError):
        raise InputError(f"{path}: the column {name!r} holds {row[name]!r} in the row {row}") from None


def column(rows: list[dict[str, str]], name: str, path: Path) -> NDArray[np.float64]:
    """One column as float64; an empty field or "nan" is NaN."""
    return np.array([field(row, name, lambda text: float(text or "nan"), path) for row in rows], np.float64)


def read_npz(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    """One-dimensional arrays of one length from an NPZ file, as float64. Never unpickles."""
    with reading_arrays(path, "as an NPZ file"), np.load(path, allow_pickle=False) as archive:
        missing = [name for name in names if name not in archive]
        if missing:
            raise InputError(f"{path} lacks the array(s) {', '.join(missing)}")
        arrays = {name: np.asarray(archive[name], np.float64) for name in names}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise InputError(f"{path}: the arrays must be one-dimensional and of one length, but are {shapes}")
    return arrays


def check_name(name: str, path: Path) -> str:
    """``name`` if it can be part of a file name, so that a table cannot point outside its folder."""
    if not is_plain_name(name):
        raise InputError(f"{path}: {name!r} cannot be used as an id, because it is not a plain file name")
    return name


def is_plain_name(name: str) -> bool:
    """Whether a name can be part of a file name: no folders, no control characters, nothing that is no text."""
    if not name or len(name) > 200 or name != Path(name).name or "\\" in name or name in (".", ".."):
        return False
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
