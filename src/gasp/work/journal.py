"""The journal of what failed, beside the results of a run over many inputs: ``failed.jsonl``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gasp.errors import OutputError
from gasp.work.files import replacing

NAME = "failed.jsonl"
_LARGEST = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be done: its ``name``, the ``reason`` in words, and how many ``tries`` there were."""

    name: str
    reason: str
    tries: int = 1


class Journal:
    """One line of JSON for each thing that failed and was not done since; no file while nothing has failed.

    Lines of others are left as they are.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def failures(self) -> dict[str, Failure]:
        """What failed, by name. Never raises."""
        return self._read()[0]

    def failed(self, name: str, reason: str) -> None:
        """Notes that something failed, once more perhaps. Raises :class:`~gasp.errors.OutputError` if it cannot."""
        failures, others = self._read()
        tries = failures[name].tries + 1 if name in failures else 1
        self._write({**failures, name: Failure(name, reason, tries)}, others)

    def done(self, name: str) -> None:
        """Notes that something is done: it counts as failed no longer."""
        failures, others = self._read()
        if failures.pop(name, None) is not None:
            self._write(failures, others)

    def _read(self) -> tuple[dict[str, Failure], list[bytes]]:
        """The failures by name, and the lines of others."""
        found: dict[str, Failure] = {}
        others: list[bytes] = []
        try:
            lines = self.path.read_bytes().splitlines() if self._is_usable() else []
        except OSError:
            lines = []
        for line in lines:
            failure = _parse(line)
            if failure is None:
                others.append(line)
            else:
                found[failure.name] = failure
        return found, others

    def _is_usable(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size <= _LARGEST

    def _write(self, failures: dict[str, Failure], others: list[bytes]) -> None:
        if not failures and not others:
            self.path.unlink(missing_ok=True)
            return
        if self.path.exists() and not self._is_usable():
            raise OutputError(f"{self.path} is not a journal of ours and is in the way; move it.")
        lines = [*others, *(json.dumps(asdict(failure)).encode() for failure in failures.values())]
        with replacing(self.path) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in lines))


def _parse(line: bytes) -> Failure | None:
    try:
        values = json.loads(line)
        return Failure(str(values["name"]), str(values["reason"]), int(values.get("tries", 1)))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
