"""Folders of results: whose they are, what may be replaced in them, and how results get there."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gasp.errors import OutputError
from gasp.results import manifest as manifests
from gasp.work import provenance
from gasp.work.files import flush, flush_names, is_name, read_json, remove, write_json
from gasp.work.folder import NAME as WORK
from gasp.work.folder import PUBLISHING

log = logging.getLogger(__name__)

_NAMED = 4


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run has come to.

    ``status``: "complete" or "partial". ``input``: see :func:`gasp.results.manifest.describe_input`. ``done``: frames
    predicted, ``skipped`` by the source, ``failed``: predicted without a proper map. ``events``: what went wrong
    without stopping the run, by description. ``seconds``: of work, over all interruptions. ``sinks``: what each sink
    said of each piece, by the sink's name.
    """

    status: str
    fingerprint: str | None
    input: Mapping[str, Any]
    done: int
    skipped: int
    failed: int
    events: Mapping[str, int]
    started: datetime
    finished: datetime
    seconds: float
    resumed: bool
    sinks: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)


class RunFolder(ABC):
    """Where a run leaves its results. ``work``: the folder in which they grow."""

    folder: Path
    work: Path

    @abstractmethod
    def finished(self, fingerprint: str) -> int | None:
        """How many frames the results there have, if they are complete and of this very run; else None."""

    def recover(self) -> bool:
        """Goes on with a publication in the middle of which a process was ended; whether there was one."""
        return False

    @abstractmethod
    def check(self, names: Iterable[str], *, overwrite: bool) -> None:
        """Raises :class:`~gasp.errors.OutputError` where something that is not ours stands in the way of results.

        Args:
            names: Of the results that will be written.
            overwrite: Whether it may be replaced.
        """

    @abstractmethod
    def describe(self, facts: RunFacts) -> dict[str, Any]:
        """The manifest, without the names of files."""

    @abstractmethod
    def publish(self, assembled: Path, manifest: dict[str, Any], *, overwrite: bool) -> None:
        """Publishes complete results, all that is in ``assembled``, replacing earlier ones of ours."""

    @abstractmethod
    def publish_partial(self, assembled: Path, manifest: dict[str, Any]) -> None:
        """Publishes unfinished results where people find them, beside complete ones."""


@dataclass(frozen=True)
class ResultFolder(RunFolder):
    """``OUT/<name>/``, the results of predicting one input, with ``run.json``.

    Other files may lie there, too; only what a manifest of ours lists is ever replaced. ``about``: what the manifest
    holds of settings, outputs, cues and weights.
    """

    folder: Path
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Path:  # type: ignore[override]
        """``OUT/<name>/.partial/``."""
        return self.folder / WORK

    def finished(self, fingerprint: str) -> int | None:
        """See :class:`RunFolder`."""
        manifest = manifests.read_manifest(self.folder)
        if manifest is None or manifest.status != "complete" or manifest.fingerprint != fingerprint:
            return None
        if not all((self.folder / name).exists() for name in manifest.files):
            return None
        return manifest.frames.done

    def check(self, names: Iterable[str], *, overwrite: bool) -> None:
        """See :class:`RunFolder`. A ``run.json`` that is not ours is no hindrance: it is kept under another name."""
        check_beside(self.folder, self.work, names, overwrite=overwrite)

    def describe(self, facts: RunFacts) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        rate = round(facts.done / facts.seconds, 2) if facts.seconds > 0 else None
        return {
            "format": manifests.FORMAT,
            "status": facts.status,
            "fingerprint": facts.fingerprint,
            "input": facts.input,
            **self.about,
            "frames": {"done": facts.done, "skipped": facts.skipped, "failed": facts.failed},
            "events": dict(facts.events),
            "timing": {
                "started": facts.started.isoformat(timespec="seconds"),
                "finished": facts.finished.isoformat(timespec="seconds"),
                "seconds": round(facts.seconds, 3),
                "frames_per_second": rate,
                "resumed": facts.resumed,
            },
            "versions": provenance.versions(),
            "platform": provenance.describe_platform(),
        }

    def publish(self, assembled: Path, manifest: dict[str, Any], *, overwrite: bool) -> None:
        """See :class:`RunFolder` and :func:`publish_beside`."""
        publish_beside(assembled, self.folder, self.work, manifest, overwrite=overwrite)

    def publish_partial(self, assembled: Path, manifest: dict[str, Any]) -> None:
        """See :class:`RunFolder`: as ``<stem>.partial<suffix>``.

        The manifest is ``run.json`` unless that is the one of an earlier, complete run.
        """
        earlier = manifests.read_manifest(self.folder)
        keep = earlier is not None and earlier.status == "complete"
        ours = ours_in(self.folder, self.work)
        names = sorted(item.name for item in assembled.iterdir())
        partial = {manifests.partial_name(name) for name in names}
        write_json(
            self.work / PUBLISHING, {"names": sorted({*ours, *partial} - _others(self.folder, partial, ours))}
        )
        for name in list(names):
            target = self.folder / manifests.partial_name(name)
            if target.name not in ours and os.path.lexists(target):  # somebody else's
                log.warning("%s is not ours: the unfinished %s is not kept", target, name)
                names.remove(name)
                continue
            remove(target)
            os.replace(assembled / name, target)
        target = self.folder / (manifests.partial_name(manifests.NAME) if keep else manifests.NAME)
        manifests.write_manifest(assembled / manifests.NAME, {**manifest, "files": names})
        if not keep:
            _keep_foreign_manifest(self.folder)
        os.replace(assembled / manifests.NAME, target)


def check_beside(folder: Path, work: Path, names: Iterable[str], *, overwrite: bool) -> None:
    """Raises :class:`~gasp.errors.OutputError` where something that is not ours stands in the way of results.

    Args:
        folder: Where they are to go.
        work: The work folder of the run.
        names: Those of the results.
        overwrite: Whether it may be replaced.
    """
    others = sorted(_others(folder, names, ours_in(folder, work)))
    if others and not overwrite:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise OutputError(
            f"{folder} holds {', '.join(others[:_NAMED])}{more}, which no run.json there says gasp wrote. "
            "Move them, choose another output folder, or have them replaced with --overwrite."
        )


def publish_beside(
    assembled: Path, folder: Path, work: Path, manifest: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Publishes complete results in a folder in which files of others may lie, replacing earlier ones of ours.

    The old manifest goes first and the new one comes last: while there is none, nobody takes the folder for complete.

    Args:
        assembled: The folder with the results.
        folder: Where they go.
        work: The work folder of the run, on the same disk.
        manifest: Goes there too, as ``run.json``, with the names of all files.
        overwrite: Whether something that is not ours is replaced.

    Raises:
        OutputError: Something that is not ours is in the way.
    """
    names = sorted(item.name for item in assembled.iterdir())
    check_beside(folder, work, names, overwrite=overwrite)
    earlier = ours_in(folder, work)
    manifests.write_manifest(assembled / manifests.NAME, {**manifest, "files": names})
    flush(assembled)
    # Whoever comes after a power cut must know these for ours, while no manifest says so.
    write_json(work / PUBLISHING, {"names": sorted({*earlier, *names})})
    _keep_foreign_manifest(folder)
    (folder / manifests.NAME).unlink(missing_ok=True)
    for name in sorted({*earlier, *names}):
        remove(folder / name)
    for name in names:
        os.replace(assembled / name, folder / name)
    flush_names(folder)
    os.replace(assembled / manifests.NAME, folder / manifests.NAME)
    flush_names(folder)


def ours_in(folder: Path, work: Path) -> set[str]:
    """Names of what we wrote in a folder, as manifests say, or the note of a publication that was cut short."""
    note = read_json(work / PUBLISHING) or {}
    names = note.get("names")
    noted = {name for name in names if is_name(name)} if isinstance(names, list) else set()
    return manifests.names_of_ours(folder) | noted


def _others(folder: Path, names: Iterable[str], ours: set[str]) -> set[str]:
    return {name for name in names if name not in ours and os.path.lexists(folder / name)}


def _keep_foreign_manifest(folder: Path) -> None:
    """A ``run.json`` that we did not write, or not so, is somebody's: it gets another name."""
    path = folder / manifests.NAME
    if not os.path.lexists(path) or manifests.read_listing(folder) is not None:
        return
    number = 1
    while os.path.lexists(other := folder / f"run.{number}.json"):
        number += 1
    os.replace(path, other)
    log.warning("%s was not written by gasp as it is; it is kept as %s", path, other.name)
