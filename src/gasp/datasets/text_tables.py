"""Text tables as people have them: found out the same way every time, whatever the encoding and the separators.

Encodings: UTF-8 with or without byte-order mark, UTF-16 (also without mark), otherwise Latin-1. Columns are separated
by commas, semicolons, tabs or bars: whichever the header uses. Where that is no comma, ``3,5`` is a number. Lines that
begin with ``#`` are comments; a first line ``sep=;``, as spreadsheets write it, is passed over. Names of columns are
taken whatever the case of their letters and the spaces around them.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gasp.errors import InputError

SEPARATORS = (",", ";", "\t", "|")

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with a header. ``rows`` are (line of the file, fields); blank lines and comments are left out."""

    header: list[str]
    rows: list[tuple[int, list[str]]]


def read_text(path: Path, *, most: int = -1) -> str:
    """A text file, decoded; with ``most`` only its start, of so many bytes.

    Raises :class:`~gasp.errors.InputError` when it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; a table was expected there")
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        return data.decode(_encoding(data), "strict" if most < 0 else "replace")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged text ({error}); save it as CSV UTF-8") from None


def read_table(
    path: Path, columns: Collection[str] = (), *, separators: Iterable[str] = SEPARATORS
) -> TextTable:
    """The table in a file; ``columns`` (in lower case) help to find its separator.

    Names of the header are as in the file, without spaces around them; see :func:`fold`. Raises
    :class:`~gasp.errors.InputError` for a file that cannot be read.
    """
    lines = list(_lines(read_text(path)))
    try:
        separator = _separator(lines, columns, tuple(separators))
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t")
        rows = [(reader.line_num, [value.strip() for value in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from None
    header = rows[0][1] if rows else []
    folded = [fold(name) for name in header if name]
    twice = next(
        (name for name in folded if folded.count(name) > 1 and (not columns or name in columns)), None
    )
    if twice is not None:
        raise InputError(f"{path}: the column {twice!r} occurs twice; keep one of them")
    if separator != ",":
        rows = [(line, [_with_point(value) for value in row]) for line, row in rows]
    return TextTable(header, rows[1:])


def fold(name: str) -> str:
    """A column's name without regard to case and to spaces around it."""
    return name.strip().casefold()


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    start = data[:1000]
    if b"\0" in start:  # Latin letters in UTF-16 without a mark: every other byte is zero
        return "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _lines(text: str) -> Iterator[str]:
    """The lines; comments and what says the separator are blank, so that lines are still counted right."""
    for number, line in enumerate(io.StringIO(text, newline=None)):
        hidden = line.lstrip().startswith("#") or (number == 0 and _says_separator(line))
        yield "\n" if hidden else line


def _says_separator(line: str) -> bool:
    return re.fullmatch(r"\"?sep=.\"?\s*", line, re.IGNORECASE) is not None


def _separator(lines: list[str], columns: Collection[str], separators: tuple[str, ...]) -> str:
    """The one that finds the most of ``columns`` in the header, or else divides it into the most fields."""
    header = next((line for line in lines if line.strip()), "")

    def found(separator: str) -> tuple[int, int, int]:
        names = [
            fold(name) for name in next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])
        ]
        return len(set(columns) & set(names)), len(names), -separators.index(separator)

    return max(separators, key=found)


def _with_point(value: str) -> str:
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value
