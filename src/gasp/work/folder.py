"""The hidden folder in which a run gathers its results, piece by piece, until they are complete.

It holds ``plan.json`` (what the run is: its fingerprint, and what it is made of) and ``pieces/``. A piece is a folder
of files with a ``piece.json`` that has the size and checksum of each, what its maker wants to remember, and a checksum
of all that. It grows
as ``writing/`` and is renamed when it is whole, so that what lies in ``pieces/`` can be relied on whatever happened to
the run; a piece whose files are not as they were written is not taken up. Every resumable run works this way:
predicting, generating, evaluating and packing.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gasp.errors import OutputError
from gasp.work.files import flush_names, is_inside, is_name, read_json, remove, sha256, write_json
from gasp.work.fingerprint import fingerprint

log = logging.getLogger(__name__)

NAME = ".partial"
"""How the folder is called beside the results that grow in it."""

FORMAT = "gasp-work-1"
PUBLISHING = "publishing.json"
"""A note of what is being published."""

_PIECE = "piece.json"
_LOCK = "lock"
_OURS = ("pieces", "writing", "assembled", "replaced", "segments", "frames")
"""Folders that a run makes there, those of earlier versions included."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A whole piece. ``about``: the plain values that its maker gave."""

    folder: Path
    name: str
    about: dict[str, Any]


class Plan(BaseModel):
    """What the run in a work folder is."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    format: str
    fingerprint: str | None
    about: dict[str, Any] = Field(default_factory=dict)


class _Written(BaseModel):
    """A file of a piece."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    size: int
    sha256: str


class _Description(BaseModel):
    """``piece.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: str
    files: dict[str, _Written]
    about: dict[str, Any]
    seal: str


def read_plan(path: Path) -> Plan | None:
    """The plan of the unfinished run in the work folder ``path``; None without one that we wrote."""
    content = read_json(path / "plan.json")
    if content is None:
        return None
    try:
        plan = Plan(**content)
    except (ValidationError, TypeError):
        log.warning("%s is not one of ours and counts as absent", path / "plan.json")
        return None
    return plan if plan.format == FORMAT else None


def read_piece(folder: Path) -> Piece | None:
    """The piece in a folder; None where there is none that is as it was written. Says nothing."""
    return _check(folder)[1]


def drop_description(folder: Path) -> None:
    """Removes ``piece.json``: what was a piece is a plain folder now."""
    (folder / _PIECE).unlink(missing_ok=True)


class WorkFolder:
    """The work folder ``path`` of one run; see the module. Use it within :meth:`locked`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes away. The lock goes with the process, however that ends.

        Raises:
            OutputError: Another process works there, the folder cannot be made, or it is a link or a file.
        """
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise OutputError(f"{self.path} is in the way: a folder of this name is needed; remove it.")
        lock = FileLock(str(self.path / _LOCK), timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise OutputError(
                f"{self.path.parent}: another run is writing there; wait for it to end."
            ) from None
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}.") from None
        try:
            yield
        finally:
            with suppress(OSError):
                if os.listdir(self.path) == [_LOCK]:
                    self.remove()
            lock.release()

    def begin(
        self, fingerprint: str | None, about: Mapping[str, Any] | None = None, *, anew: bool = False
    ) -> list[Piece]:
        """Takes up the run with this fingerprint; what another one left there is removed.

        Args:
            fingerprint: None for a run that cannot be recognised, and is never taken up.
            about: Plain values kept beside it, for people and for :func:`read_plan`.
            anew: Take up nothing.

        Returns:
            The pieces that are whole, by name.
        """
        plan = read_plan(self.path)
        known = fingerprint is not None and plan is not None and plan.fingerprint == fingerprint
        pieces = self._load() if known and not anew else []
        kept = {piece.folder for piece in pieces}
        for name in _OURS:
            if name != "pieces" or not kept:
                remove(self.path / name)
        for place in self._places():
            if place not in kept:
                remove(place)
        (self.path / "pieces").mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "fingerprint": fingerprint, "about": dict(about or {})}
        write_json(self.path / "plan.json", content)
        return pieces

    def writing(self, name: str = "writing") -> Path:
        """An empty folder in which the next piece grows."""
        return self._empty(name)

    def assembled(self) -> Path:
        """An empty folder in which results are put together."""
        return self._empty("assembled")

    def commit(self, folder: Path, name: str, about: Mapping[str, Any]) -> Piece:
        """Makes what was written into ``folder`` (from :meth:`writing`) the piece ``name``.

        The first one of a name stays: who comes second has computed the same.
        """
        if not is_name(name):
            raise ValueError(f"{name!r} cannot be the name of a piece")
        files = {
            file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": sha256(file)}
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        # Plain values come back as they were written: what goes on from them must not depend on an interruption.
        plain: dict[str, Any] = json.loads(json.dumps(dict(about)))
        seal = fingerprint({"files": files, "about": plain})
        write_json(folder / _PIECE, {"format": FORMAT, "files": files, "about": plain, "seal": seal})
        flush_names(folder)
        place = self.path / "pieces" / name
        if place.exists():
            remove(folder)
        else:
            os.replace(folder, place)
            flush_names(place.parent)
        return Piece(place, name, plain)

    def remove(self) -> None:
        """Removes all that a run has made there, and the folder unless something else is in it."""
        for name in (*_OURS, "plan.json", "manifest.json", PUBLISHING, _LOCK):
            with suppress(OSError):
                remove(self.path / name)
        for folder in (self.path, self.path.parent):
            with suppress(OSError):
                folder.rmdir()

    def _empty(self, name: str) -> Path:
        folder = self.path / name
        remove(folder)
        folder.mkdir()
        return folder

    def _places(self) -> list[Path]:
        folder = self.path / "pieces"
        return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []

    def _load(self) -> list[Piece]:
        pieces = []
        for place in self._places():
            problem, piece = _check(place)
            if piece is None:
                log.warning("%s %s and is made again", place, problem)
            else:
                pieces.append(piece)
        return pieces


def _others(place: Path, files: Container[str]) -> bool:
    """Whether anything but these files, and the folders they are in, is in a piece."""
    found = {file.relative_to(place).as_posix() for file in place.rglob("*") if not file.is_dir()}
    return any(name not in files for name in found - {_PIECE})


def _check(place: Path) -> tuple[str, Piece | None]:
    """The piece in a folder; or None, and what is wrong with it."""
    content = (read_json(place / _PIECE) or {}) if not place.is_symlink() else {}
    try:
        description = _Description(**content)
    except (ValidationError, TypeError):
        return "is no piece of ours", None
    if description.format != FORMAT:
        return "was written by another version", None
    if description.seal != fingerprint({"files": content["files"], "about": content["about"]}):
        return "has changed (piece.json)", None
    for name, written in description.files.items():
        file = place / name
        if not is_inside(name) or file.is_symlink() or not file.is_file():
            return f"lacks {name!r}", None
        if file.stat().st_size != written.size or sha256(file) != written.sha256:
            return f"has changed ({name!r})", None
    if _others(place, description.files):
        return "holds files that are none of its own", None
    return "", Piece(place, place.name, description.about)
