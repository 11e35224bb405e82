"""Fetching the published datasets into the 2021 working directory.

Sources that programs can read are fetched, resumed, unpacked and recorded; for the others the error says which file to
fetch by hand and where to put it, and the next call goes on from there. Nobody published checksums: they are recorded
at the first download (``<file>.download.json``).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from gasp.errors import GaspError, InputError, UsageError
from gasp.naming import nearest
from gasp.weights.archives import unpack
from gasp.weights.download import Store
from gasp.weights.files import sha256
from gasp.weights.records import Record, read_record, record_path, write_record
from gasp.weights.transfer import DownloadError, Progress, fetch

FOLDER = "datasets"

_HAMBURG = "www2.informatik.uni-hamburg.de/WTM/corpora/GASP/datasets"
_COUTROT = "antoinecoutrot.magix.net/public/assets"
_STAVIS = "cvsp.cs.ntua.gr/research/stavis/data/annotations"
_LICENCE = "see the authors' page"


@dataclass(frozen=True)
class Source:
    """One file of a dataset. ``address``: without its scheme; "" when it has to be fetched by hand from ``page``.

    ``into``: folder below the dataset's that an archive is unpacked to, without the leading folder ``strip`` ("*":
    the only one there is). ``archive`` is False for files that stay as they are.
    """

    file: str
    address: str = ""
    page: str = ""
    into: str = ""
    strip: str = ""
    archive: bool = True

    @property
    def urls(self) -> list[str]:
        """Addresses to try: https first."""
        return [f"{scheme}://{self.address}" for scheme in ("https", "http")] if self.address else []


@dataclass(frozen=True)
class Dataset:
    """A dataset of the 2021 command line. ``finish`` mends names after unpacking."""

    name: str
    sources: tuple[Source, ...]
    finish: Callable[[Path], None] | None = None


def _unpack_recordings(folder: Path) -> None:
    """DIEM: a 7z archive per video, each to be unpacked to a folder of its name."""
    archives = sorted(folder.glob("*.7z"))
    if not archives:
        return
    try:
        import py7zr
    except ImportError:
        raise InputError(
            f"{folder} holds {len(archives)} archives such as {archives[0].name}: install py7zr (`pip install py7zr`) "
            "and run the command again, or unpack each with 7-Zip to a folder of its name"
        ) from None
    for archive in archives:
        try:
            with tempfile.TemporaryDirectory(
                prefix=".unpacking-", dir=folder, ignore_cleanup_errors=True
            ) as temporary:
                with py7zr.SevenZipFile(archive) as file:
                    _check_names(file.getnames(), archive)
                    file.extractall(temporary)
                inner = Path(temporary) / archive.stem
                shutil.rmtree(folder / archive.stem, ignore_errors=True)
                os.replace(inner if inner.is_dir() else temporary, folder / archive.stem)
        except GaspError:
            raise
        except Exception as error:  # py7zr has many
            raise InputError(f"{archive} cannot be unpacked: {error}") from None
        archive.unlink()


def _check_names(names: Iterable[str], archive: Path) -> None:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
            raise InputError(f"{archive}: contains {name[:120]!r}, which leads outside the folder; refused")


def _name_clips(folder: Path) -> None:
    """STAViS: clip7 becomes clip_7."""
    for path in folder.glob("coutrot[12]/clip*"):
        if re.fullmatch(r"clip\d+", path.name):
            os.replace(path, path.with_name(path.name.replace("clip", "clip_")))


def _coutrot(number: int, key: str) -> Dataset:
    file = f"ERB{number + 2}_Stimuli.zip"
    return Dataset(
        f"ave/database{number}",
        (
            Source(
                f"coutrot_database{number}.mat", f"{_COUTROT}/coutrot_database{number}.mat", archive=False
            ),
            Source(file, page=f"https://mega.nz/#!{key}", into=f"ERB{number + 2}_Stimuli", strip="*"),
        ),
    )


def _frames(name: str) -> Dataset:
    address = f"{_HAMBURG}/processed/Grouped_frames/{name}.tar.gz"
    return Dataset(f"processed/Grouped_frames/{name}", (Source(f"{name}.tar.gz", address, strip="*"),))


DATASETS = {
    dataset.name: dataset
    for dataset in (
        _coutrot(1, "At8DWR7L!yf5k0jVwL961-jI4FJ2DGUAUqAu-yNbq3s3i6b52M2I"),
        _coutrot(2, "58dARTDR!AII7nCEktkeMqbZ2XqXBFyDsAeMKqBf9reXR-MHPuKk"),
        Dataset(
            "ave/diem",
            (
                Source(
                    "diem.tar.gz",
                    f"{_HAMBURG}/ave/diem.tar.gz",
                    page="http://www.mediafire.com/?mpu3ot0m2o384",
                    strip="informatik3/wtm/datasets/External Datasets/DIEM",
                ),
            ),
            _unpack_recordings,
        ),
        Dataset(
            "stavis_preprocessed",
            tuple(
                Source(f"{file}.tar.gz", f"{_STAVIS}/{file}.tar.gz", into=name, strip="*")
                for file, name in (("DIEM", "diem"), ("Coutrot_db1", "coutrot1"), ("Coutrot_db2", "coutrot2"))
            ),
            _name_clips,
        ),
        Dataset(
            "findwho",
            (
                Source(
                    "master.tar.gz",
                    "github.com/yufanLIU/find/archive/master.tar.gz",
                    strip="find-master/Our_database",
                ),
            ),
        ),
        Dataset(
            "aveyetracking",
            (Source("SumMe_ETMD.zip", "cvsp.cs.ntua.gr/research/aveyetracking/SumMe_ETMD.zip"),),
        ),
        *(_frames(name) for name in ("coutrot1", "coutrot2", "diem")),
    )
}
"""Name on the command line (path below ``datasets``) -> where it comes from."""


def find_datasets(names: Sequence[str]) -> list[Dataset]:
    """The datasets that the names mean; a trailing "<...>" means everything below."""
    found: dict[str, Dataset] = {}
    for name in names:
        prefix = name.removesuffix("<...>")
        chosen = {
            key: dataset
            for key, dataset in DATASETS.items()
            if key == name.strip("/") or (prefix != name and key.startswith(prefix))
        }
        if not chosen:
            raise UsageError(f"there is no dataset {name!r}{nearest(name, DATASETS)}")
        found |= chosen
    return list(found.values())


def fetch_datasets(names: Sequence[str], store: Store, progress: Progress | None = None) -> dict[str, Path]:
    """Fetches the datasets called ``names`` below ``store.root``/datasets; their folders.

    What is there is not fetched again. Raises :class:`~gasp.weights.transfer.DownloadError` at the end, listing what
    could not be fetched and what to do; the others are still done.
    """
    problems, folders = [], {}
    for dataset in find_datasets(names):
        folder = store.root / FOLDER / dataset.name
        try:
            missing = [
                problem
                for source in dataset.sources
                if (problem := _obtain(dataset, source, store, progress))
            ]
            problems += missing
            if dataset.finish is not None and folder.is_dir():
                dataset.finish(folder)
            if not missing:
                folders[dataset.name] = folder
        except GaspError as error:
            problems.append(f"{dataset.name}: {error}")
    if problems:
        raise DownloadError("\n".join(problems))
    return folders


def _obtain(dataset: Dataset, source: Source, store: Store, progress: Progress | None) -> str | None:
    """Fetches and unpacks one file unless that is done; what somebody has to do by hand, if so."""
    folder = store.root / FOLDER / dataset.name
    place, target = record_path(folder, source.file), folder / source.file
    if read_record(place) is not None and (source.archive or target.is_file()):
        return None
    url = "put there by hand"
    if not target.is_file():
        urls = [f"{store.mirror}/{FOLDER}/{dataset.name}/{source.file}"] if store.mirror else []
        urls += source.urls
        by_hand = (
            f"{dataset.name}: fetch {source.file} from {source.page or 'its authors'} and put it at {target}"
        )
        if not urls:
            return f"{by_hand}; the page cannot be read by programs. Then run this command again."
        if store.offline:
            return f"{dataset.name}: {target} is not there, and GASP_OFFLINE forbids fetching it."
        try:
            url = fetch(urls, target, progress=progress, patience=store.patience).url
        except DownloadError as error:
            return f"{error}\n  If that does not pass: {by_hand.removeprefix(f'{dataset.name}: ')}."
    checksum = sha256(target)
    if source.archive:
        _unpack(target, folder / source.into, source.strip)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_record(place, Record({source.file: checksum}, url, _LICENCE, now))
    if source.archive:
        target.unlink()
    return None


def _unpack(archive: Path, folder: Path, strip: str) -> None:
    """Unpacks an archive; "*" strips the only leading folder where there is one."""
    if strip != "*":
        unpack(archive, folder, strip=strip)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".moving-", dir=folder) as temporary:
        unpack(archive, Path(temporary))
        inner = [path for path in Path(temporary).iterdir() if not path.name.startswith(".")]
        start = inner[0] if len(inner) == 1 and inner[0].is_dir() else Path(temporary)
        for path in list(start.iterdir()):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
