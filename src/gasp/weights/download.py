"""Published checkpoints on this computer: where they lie, fetching them, and checking them ever after.

Files lie below ``<root>/gazenet/models/``, as in 2021, where root is the argument, or the environment
variable ``GASP_CWD``, or the platform's cache folder. Beside each fetched file is a record
(``<file>.download.json``) with its checksum, origin and licence.

Environment: ``GASP_CWD`` (see above), ``GASP_MIRROR`` (base address that is tried first; the same tree lies
below it), ``GASP_OFFLINE`` (1: never use the network), and the usual ``HTTPS_PROXY`` and so on.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
from filelock import FileLock

from gasp.errors import GaspError, InputError, OutputError, UsageError, WeightsError
from gasp.fetching.archives import unpack
from gasp.fetching.records import Record, read_record, record_path, write_record
from gasp.fetching.transfer import DownloadError, Patience, fetch
from gasp.weights.catalogue import MODELS_FOLDER, Entry, RemoteFile, find_entries, find_entry
from gasp.work.files import expand_user, sha256
from gasp.work.progress import Progress, Report, silent

log = logging.getLogger(__name__)

MAX_UNPACKED = 8 * 2**30
"""Bytes that an archive of checkpoints may unpack to."""


@dataclass(frozen=True)
class Store:
    """Where published files lie (below ``root``) and how missing ones are fetched."""

    root: Path
    mirror: str = ""
    offline: bool = False
    patience: Patience = field(default_factory=Patience)

    @classmethod
    def from_environment(cls, root: str | Path | None = None) -> Store:
        """The store that the environment variables describe; ``root`` goes before ``GASP_CWD``."""
        own = os.environ.get("GASP_CWD")
        place = root or own or platformdirs.user_cache_dir("gasp", appauthor=False)
        what = f"{place}" if root or not own else f"GASP_CWD = {own}"
        offline = os.environ.get("GASP_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")
        mirror = check_mirror(os.environ.get("GASP_MIRROR", ""))
        return cls(expand_user(place, UsageError, what), mirror, offline)

    def folder(self, entry: Entry) -> Path:
        """Where the entry's files are, or will be."""
        places = [self.root / MODELS_FOLDER / folder for folder in (entry.folder, *entry.other_folders)]
        return next((place for place in places if _missing(entry, place) == []), places[0])

    def urls(self, entry: Entry, file: RemoteFile) -> list[str]:
        """Addresses to try, in order."""
        folders = (entry.folder, *entry.other_folders) if self.mirror else ()
        return [f"{self.mirror}/{MODELS_FOLDER}/{folder}/{file.name}" for folder in folders] + list(file.urls)


def check_mirror(address: str) -> str:
    """The base address of a mirror without a slash at its end; "" where there is none.

    Raises :class:`gasp.errors.UsageError` for a text that is no web address.
    """
    try:
        parts = urlsplit(address)
        usable = not address or (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"GASP_MIRROR = {address[:200]!r} is no address such as https://example.org/models")
    return address.rstrip("/")


@dataclass(frozen=True)
class _Task:
    """A file to fetch, and the entries that need it."""

    file: RemoteFile
    folder: Path
    entries: tuple[Entry, ...]


def ensure(
    name: str,
    *,
    accept_license: bool = False,
    store: Store | None = None,
    progress: Report = silent,
) -> Path:
    """The checkpoint called ``name`` on this computer, fetched if it is not there yet.

    Returns the path for :func:`gasp.load_checkpoint`. Raises :class:`~gasp.errors.UsageError` for an
    unknown name, or when the checkpoint's terms restrict its use and ``accept_license`` is False;
    :class:`~gasp.fetching.transfer.DownloadError` when it cannot be fetched, or is not there in offline
    mode, or has changed since it was fetched.
    """
    entry = find_entry(name)
    return ensure_all([entry.name], accept_license=accept_license, store=store, progress=progress)[entry.name]


def ensure_all(
    names: Sequence[str],
    *,
    accept_license: bool = False,
    store: Store | None = None,
    progress: Report = silent,
    jobs: int = 4,
) -> dict[str, Path]:
    """As :func:`ensure` for several checkpoints, ``jobs`` at a time; returns the paths by entry.

    ``names`` may also be patterns and groups, see :func:`~gasp.weights.catalogue.find_entries`. When some
    fail the others are still fetched; the error lists those that failed.
    """
    store = store or Store.from_environment()
    entries = list({entry.name: entry for name in names for entry in find_entries(name)}.values())
    tasks = _tasks(entries, store)
    _check_terms([entry for task in tasks for entry in task.entries], accept_license)
    failures = _run(tasks, store, progress, jobs)
    failed = {entry.name for task, _ in failures for entry in task.entries}
    problems = [str(error) for _, error in failures]
    paths = {}
    for entry in entries:
        if entry.name not in failed:
            try:
                paths[entry.name] = _verified(entry, store.folder(entry))
            except GaspError as error:
                problems.append(str(error))
    if len(failures) == len(problems) == 1:
        raise failures[0][1]
    if problems:
        raise DownloadError("\n".join(problems))
    return paths


def terms_of(entries: Sequence[Entry], store: Store) -> str:
    """The terms to accept before these can be fetched, a line each; "" when they are here, or free for every use."""
    return _terms([entry for entry in entries if find_downloaded(entry, store) is None])


def find_downloaded(entry: Entry, store: Store | None = None) -> Path | None:
    """The path of a checkpoint that is on this computer, unchecked; None when it is not."""
    folder = (store or Store.from_environment()).folder(entry)
    return None if _missing(entry, folder) else _checkpoint(entry, folder)


def require(name: str, store: Store | None = None, *, command: Callable[[Entry], str] | None = None) -> Path:
    """The checkpoint called ``name``, checked, which must be on this computer: nothing is fetched.

    ``command`` gives the command that fetches an entry, for the message; `gasp download` if None.

    Raises :class:`~gasp.errors.WeightsError` with the command that fetches it when it is not there, and
    :class:`~gasp.fetching.transfer.DownloadError` when it has changed since it was fetched.
    """
    entry = find_entry(name)
    if find_downloaded(entry, store) is None:
        how = (command or _download_command)(entry)
        raise WeightsError(f"The weights of {entry.title} are not here. Run `{how}`.")
    return ensure(entry.name, store=store)


def _download_command(entry: Entry) -> str:
    return f"gasp download {entry.name}" + (" --accept-license" if entry.licence.restricted else "")


# --- fetching --------------------------------------------------------------------------------------------


def _tasks(entries: Sequence[Entry], store: Store) -> list[_Task]:
    """What has to be fetched; entries that share an archive share the task."""
    tasks: dict[tuple[Path, str], _Task] = {}
    for entry in entries:
        folder = store.folder(entry)
        for file in _missing(entry, folder):
            task = tasks.setdefault((folder, file.name), _Task(file, folder, ()))
            tasks[folder, file.name] = replace(task, entries=(*task.entries, entry))
    return list(tasks.values())


def _missing(entry: Entry, folder: Path) -> list[RemoteFile]:
    """The entry's files that are not in ``folder``."""
    there = {file.name: folder / (entry.checkpoint if file.archive else file.name) for file in entry.files}
    return [file for file in entry.files if not os.path.isfile(there[file.name])]


def _checkpoint(entry: Entry, folder: Path) -> Path:
    return folder if entry.checkpoint == "." else folder / entry.checkpoint


def _check_terms(entries: Sequence[Entry], accepted: bool) -> None:
    terms = "" if accepted else _terms(entries)
    if terms:
        raise UsageError(
            f"Not fetched, because the terms do not clearly allow every use:{terms}"
            "\nRead them, and pass --accept-license (accept_license=True) if your use is allowed."
        )


def _terms(entries: Sequence[Entry]) -> str:
    """A line for each entry whose terms restrict its use; "" when there is none."""
    terms = ""
    for entry in {entry.name: entry for entry in entries if entry.licence.restricted}.values():
        licence = entry.licence
        details = " ".join(text for text in (licence.note, licence.url or entry.homepage) if text)
        terms += f"\n  {entry.name}: licence {licence.name}. {details}"
    return terms


def _run(tasks: Sequence[_Task], store: Store, progress: Report, jobs: int) -> list[tuple[_Task, GaspError]]:
    """Carry out the tasks, several at a time; those that failed, with the error."""
    cancelled = threading.Event()

    def run(task: _Task) -> GaspError | None:
        try:
            _obtain(task, store, progress, cancelled)
        except GaspError as error:
            return error
        return None

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            errors = list(pool.map(run, tasks))
        except BaseException:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [(task, error) for task, error in zip(tasks, errors, strict=True) if error is not None]


def _obtain(task: _Task, store: Store, progress: Report, cancelled: threading.Event) -> None:
    entry, target = task.entries[0], task.folder / task.file.name
    if store.offline:
        raise DownloadError(
            f"{entry.name}: {target} is not there, and GASP_OFFLINE forbids fetching it. Put the file there, "
            "or unset GASP_OFFLINE."
        )

    name = f"{entry.name} {task.file.name}" if len(entry.files) > 1 else entry.name

    def report(event: Progress) -> None:
        progress(replace(event, task=name))

    with _locked(target):
        if not any(task.file in _missing(entry, task.folder) for entry in task.entries):
            return  # another process was faster
        fetched = fetch(
            store.urls(entry, task.file),
            target,
            sha256_expected=task.file.sha256,
            size=task.file.size,
            check=None if task.file.archive or task.file.sha256 else _check_checkpoint,
            progress=report,
            patience=store.patience,
            cancelled=cancelled,
        )
        checksums = {task.file.name: fetched.sha256}
        if task.file.archive:
            checksums = _unpack(task, target)
        record = Record(checksums, fetched.url, entry.licence.name, _now())
        write_record(record_path(task.folder, task.file.name), record)


def _unpack(task: _Task, archive: Path) -> dict[str, str]:
    """Unpack a fetched archive in place; the checksums of its files."""
    try:
        names = unpack(archive, task.folder, strip=task.file.strip, max_bytes=MAX_UNPACKED)
    except InputError as error:
        raise DownloadError(str(error)) from None
    finally:
        archive.unlink(missing_ok=True)
    for entry in task.entries:
        if Path(entry.checkpoint) not in names:
            raise DownloadError(f"{entry.name}: {archive.name} does not hold {entry.checkpoint}.")
    return {name.as_posix(): sha256(task.folder / name) for name in names}


def _check_checkpoint(path: Path) -> None:
    from gasp.weights.checkpoints import find_checkpoints  # here, because it imports torch

    find_checkpoints(path)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Keeps other processes and threads from fetching the same file."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}.") from None
    try:
        yield
    finally:
        lock.release()


# --- checking --------------------------------------------------------------------------------------------


def _verified(entry: Entry, folder: Path) -> Path:
    """The entry's checkpoint, after comparing its files with their recorded checksums."""
    for file in entry.files:
        name = entry.checkpoint if file.archive else file.name
        path = folder / name
        place = record_path(folder, file.name)
        record = read_record(place) or Record({}, licence=entry.licence.name)
        expected = record.files.get(name) or (None if file.archive else file.sha256)
        if expected is None:
            _check_checkpoint(path)
        checksum = sha256(path)
        if expected not in (None, checksum):
            raise DownloadError(
                f"{path}: is not the file that was fetched: its SHA-256 is {checksum} instead of {expected}. "
                f"Delete it and run `gasp download {entry.name}`; or, if you replaced it on purpose, delete "
                f"{place.name}."
            )
        if name not in record.files:
            _remember(place, replace(record, files={**record.files, name: checksum}, time=_now()))
    return _checkpoint(entry, folder)


def _remember(place: Path, record: Record) -> None:
    """Record a file that was found on disk; a folder that cannot be written to is no reason to fail."""
    try:
        write_record(place, record)
    except OutputError as error:
        log.info("%s", error)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
