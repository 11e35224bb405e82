"""What could not be used, counted and named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_NAMED = 12


@dataclass(slots=True)
class Problems:
    """Descriptions of what was left out or repaired, with how often and, for the first ones, where."""

    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def note(self, what: str, where: str = "", count: int = 1) -> None:
        """Counts ``what``; ``where`` names the culprit."""
        if count < 1:
            return
        self.counts[what] = self.counts.get(what, 0) + count
        self._name(what, where)

    def add(self, other: Problems) -> None:
        """Adds those of a part."""
        for what, count in other.counts.items():
            self.note(what, count=count)
            for name in other.names.get(what, ()):
                self._name(what, name)

    def sentences(self) -> list[str]:
        """One line each: count, description, names."""
        return [
            f"{count:,} × {what}"
            + (f": {', '.join(self.names[what])}{self._more(what)}" if self.names.get(what) else "")
            for what, count in self.counts.items()
        ]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            what: {"count": count, "names": self.names.get(what, [])} for what, count in self.counts.items()
        }

    @classmethod
    def load(cls, plain: dict[str, Any]) -> Problems:
        """From :meth:`plain`."""
        return cls(
            {what: entry["count"] for what, entry in plain.items()},
            {what: list(entry["names"]) for what, entry in plain.items()},
        )

    def _name(self, what: str, where: str) -> None:
        names = self.names.setdefault(what, [])
        if where and where not in names and len(names) < _NAMED:
            names.append(where)

    def _more(self, what: str) -> str:
        return ", …" if len(self.names[what]) == _NAMED else ""
