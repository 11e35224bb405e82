"""Takes typed values out of the objects of a JSON file of 2021, and keeps what is wrong with them."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from typing import Any


class Values:
    """An object of a preset. A value that cannot be right is noted in ``problems``, and something of its kind returned.

    A value that is left out or null counts as false, empty or the default.

    Args:
        values: The object.
        problems: The list that takes what is wrong, shared by the objects of a preset.
        where: Goes before keys in messages.
    """

    def __init__(self, values: Mapping[str, Any], problems: list[str], where: str = "") -> None:
        self._values = values
        self.problems = problems
        self.where = where

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._values.get(key, default)
        if value is not None and not isinstance(value, bool):
            self._note(key, value, "true or false")
        return value is True

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number from ``least`` to ``most``."""
        value = self._values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self._note(key, value, "a whole number")
            return least
        if not least <= value <= most:
            self._note(key, value, f"between {least} and {most}")
        return value

    def text(self, key: str) -> str:
        """A text; empty where there is none."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            self._note(key, value, "a text")
            return ""
        return value or ""

    def names(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        return self._texts(key, self._values.get(key))

    def rows(self, key: str) -> list[tuple[str, ...]]:
        """A list of lists of texts."""
        return [self._texts(key, row) for row in self.entries(key)]

    def entries(self, key: str) -> list[Any]:
        """A list of anything."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, list | tuple):
            self._note(key, value, "a list")
            return []
        return list(value or ())

    def inner(self, key: str) -> Values:
        """An object within this one."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, Mapping):
            self._note(key, value, "an object")
            value = None
        return Values(value or {}, self.problems, f"{self.where}{key}: ")

    def items(self) -> ItemsView[str, Any]:
        """Everything, as it is."""
        return self._values.items()

    def _texts(self, key: str, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            self._note(key, value, "a list of texts")
            return ()
        return tuple(value)

    def _note(self, key: str, value: object, kind: str) -> None:
        problem = f"{self.where}{key} = {value!r} should be {kind}"
        if problem not in self.problems:
            self.problems.append(problem)
