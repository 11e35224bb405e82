"""Reading the small CSV and NPZ tables of datasets, with errors that name the file and the field."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError

T = TypeVar("T")


DAMAGED = "?"
"""What a lenient reader gives for every field of a row that has too few or too many."""


def read_csv(path: Path, columns: Iterable[str], *, lenient: bool = False) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, checked to hold ``columns``; spaces around fields do not count.

    A row with more or fewer fields than the header is an error that names the line; or, with ``lenient``,
    :data:`DAMAGED` in every field.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, columns)
            rows = []
            for values in reader:
                row = _row(header, values)
                if row is None and not lenient:
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(values)} fields instead of {len(header)}"
                    )
                if values:
                    rows.append(row or dict.fromkeys(header, DAMAGED))
            return rows
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); save it as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _check_header(path: Path, header: list[str], columns: Iterable[str]) -> None:
    missing = [name for name in columns if name not in header]
    if not missing:
        return
    if not header:
        raise InputError(f"{path} is empty; its first line should name the columns {', '.join(columns)}")
    separated = len(header) == 1 and any(mark in header[0] for mark in ";\t")
    hint = "; columns are separated by commas" if separated else ""
    raise InputError(f"{path} lacks the column(s) {', '.join(missing)}; it has {', '.join(header)}{hint}")


def _row(header: list[str], values: list[str]) -> dict[str, str] | None:
    """The fields by name; None when there are too few or too many (empty ones at the end apart)."""
    if not values:
        return {}
    if len(values) < len(header) or any(value.strip() for value in values[len(header) :]):
        return None
    return {name: value.strip() for name, value in zip(header, values, strict=False)}


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
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive]
            if missing:
                raise InputError(f"{path} lacks the array(s) {', '.join(missing)}")
            arrays = {name: np.asarray(archive[name], np.float64) for name in names}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an NPZ file: {error}") from error
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise InputError(f"{path}: the arrays must be one-dimensional and of one length, but are {shapes}")
    return arrays


def check_name(name: str, path: Path) -> str:
    """``name`` if it can be part of a file name, so that a table cannot point outside its folder."""
    if not name or name != Path(name).name or "\\" in name or name in (".", ".."):
        raise InputError(f"{path}: {name!r} cannot be used as an id, because it is not a plain file name")
    return name
