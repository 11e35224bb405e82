"""Results appear under their name only when they are complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gasp.errors import OutputError


class Target:
    """A file or folder that is written under a temporary name beside its place and moved there at the end.

    Missing parent folders are made. Raises :class:`OutputError` where nothing can be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, folder: bool = False) -> None:
        self.path = Path(path)
        self.temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}-{os.urandom(3).hex()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if folder:
                self.temporary.mkdir()
            elif self.path.is_dir():
                raise OutputError(f"{self.path} cannot be written: a folder of that name is in the way.")
            else:
                self.temporary.touch()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    @property
    def partial_path(self) -> Path:
        """Where an unfinished result goes: ``<stem>.partial<suffix>``."""
        return self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")

    def complete(self) -> None:
        """Move the result to its place."""
        self._move(self.path)

    def keep_partial(self) -> None:
        """Move the unfinished result to :attr:`partial_path`."""
        self._move(self.partial_path)

    def discard(self) -> None:
        """Remove the temporary file or folder; no error if it is gone."""
        if self.temporary.is_dir():
            shutil.rmtree(self.temporary, ignore_errors=True)
        else:
            self.temporary.unlink(missing_ok=True)

    def _move(self, place: Path) -> None:
        try:
            if self.temporary.is_dir() and place.exists():
                shutil.rmtree(place)
            os.replace(self.temporary, place)
        except OSError as error:
            self.discard()
            raise cannot_write(place, error) from error


def cannot_write(path: Path, error: Exception) -> OutputError:
    """The error for a person, from the one of the system."""
    return OutputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.")
