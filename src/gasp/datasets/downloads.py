"""Fetching the published datasets into the 2021 working directory.

Sources that programs can read are fetched, resumed, unpacked and recorded; for the others the error says which file to
fetch by hand and where to put it, and the next call goes on from there: whole, in parts (``<file>.001``, ...), as
another kind of archive, or unpacked already. Nobody published checksums: they are recorded at the first download
(``<file>.download.json``).
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from gasp.errors import GaspError, InputError, OutputError, UsageError
from gasp.fetching.archives import unpack
from gasp.fetching.records import Record, read_record, record_path, write_record
from gasp.fetching.transfer import DownloadError, Fetched, fetch
from gasp.naming import nearest
from gasp.weights.download import Store
from gasp.work.files import replacing, sha256
from gasp.work.progress import Report, silent

logger = logging.getLogger(__name__)

FOLDER = "datasets"

_HAMBURG = "www2.informatik.uni-hamburg.de/WTM/corpora/GASP/datasets"
_COUTROT = "antoinecoutrot.magix.net/public/assets"
_STAVIS = "cvsp.cs.ntua.gr/research/stavis/data/annotations"
_LICENCE = "see the authors' page"


@dataclass(frozen=True)
class Source:
    """One file of a dataset. ``address``: without its scheme; "" when it has to be fetched by hand from ``page``.

    ``into``: folder below the dataset's that an archive is unpacked to, without the leading folder ``strip`` ("*":
    the only one there is). ``archive`` is False for files that stay as they are. ``gives``: patterns of what an archive
    brings, below the dataset's folder; where one matches, somebody has unpacked it already. ``by_hand``: what to do
    where the page offers something else than ``file``; "{folder}" is the dataset's.
    """

    file: str
    address: str = ""
    page: str = ""
    into: str = ""
    strip: str = ""
    archive: bool = True
    gives: tuple[str, ...] = ()
    by_hand: str = ""

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
    for archive in archives:
        with tempfile.TemporaryDirectory(prefix=".moving-", dir=folder) as temporary:
            unpack(archive, Path(temporary))
            inner = Path(temporary) / archive.stem
            shutil.rmtree(folder / archive.stem, ignore_errors=True)
            os.replace(inner if inner.is_dir() else temporary, folder / archive.stem)
            Path(temporary).mkdir(exist_ok=True)
        archive.unlink()


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
            Source(
                file,
                page=f"https://mega.nz/#!{key}",
                into=f"ERB{number + 2}_Stimuli",
                strip="*",
                gives=(f"ERB{number + 2}_Stimuli/*.avi",),
            ),
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
                    gives=("*.7z", "*/event_data"),
                    by_hand="fetch the 7z archives of the videos from {page} and put them into {folder}",
                ),
            ),
            _unpack_recordings,
        ),
        Dataset(
            "stavis_preprocessed",
            tuple(
                Source(
                    f"{file}.tar.gz",
                    f"{_STAVIS}/{file}.tar.gz",
                    into=name,
                    strip="*",
                    gives=(f"{name}/*/maps",),
                )
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
                    gives=("video_database.mat",),
                ),
            ),
        ),
        Dataset(
            "aveyetracking",
            (
                Source(
                    "SumMe_ETMD.zip",
                    "cvsp.cs.ntua.gr/research/aveyetracking/SumMe_ETMD.zip",
                    gives=("SumMe_ETMD/eyetracking/all_videos.mat",),
                ),
            ),
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


def fetch_datasets(names: Sequence[str], store: Store, progress: Report = silent) -> dict[str, Path]:
    """Fetches the datasets called ``names`` below ``store.root``/datasets; their folders.

    What is there is not fetched again. Raises :class:`~gasp.fetching.transfer.DownloadError` at the end, listing what
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


def _obtain(dataset: Dataset, source: Source, store: Store, progress: Report) -> str | None:
    """Fetches and unpacks one file unless that is done; what somebody has to do by hand, if so."""
    folder = store.root / FOLDER / dataset.name
    place, target = record_path(folder, source.file), folder / source.file
    if read_record(place) is not None and (source.archive or target.is_file()):
        return None
    found = _put_by_hand(folder, source)
    if found is None and any(True for pattern in source.gives for _ in folder.glob(pattern)):
        logger.info("%s: the content of %s is there already", folder, source.file)
        return None
    _check_replaceable(store.root, dataset)
    if found is None:
        fetched = _fetch(dataset, source, target, store, progress)
        if isinstance(fetched, str):
            return fetched
        found, url = target, fetched.url
    else:
        url = "put there by hand"
    checksum = sha256(found)
    if source.archive:
        try:
            _unpack(found, folder / source.into, source.strip)
        except InputError as error:
            raise InputError(
                f"{error} Or unpack it yourself into {folder / source.into}, and remove the archive."
            ) from None
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_record(place, Record({found.name: checksum}, url, _LICENCE, now))
    if source.archive:
        found.unlink()
    return None


def _fetch(dataset: Dataset, source: Source, target: Path, store: Store, progress: Report) -> Fetched | str:
    """Fetches a file; what to do where that cannot be done."""
    by_hand = source.by_hand or "fetch {file} from {page} and put it at {target}"
    by_hand = by_hand.format(
        file=source.file, page=source.page or "its authors", target=target, folder=target.parent
    )
    urls = [f"{store.mirror}/{FOLDER}/{dataset.name}/{source.file}"] if store.mirror else []
    urls += source.urls
    if not urls:
        return (
            f"{dataset.name}: {by_hand}; the page cannot be read by programs. Then run this command again. Parts "
            f"({source.file}.001, ...) and what you have unpacked into {target.parent / source.into} are taken, too."
        )
    if store.offline:
        return f"{dataset.name}: {target} is not there, and GASP_OFFLINE forbids fetching it."
    try:
        return fetch(urls, target, progress=progress, patience=store.patience)
    except DownloadError as error:
        return f"{error}\n  If that does not pass: {by_hand}, and run this command again."


def _put_by_hand(folder: Path, source: Source) -> Path | None:
    """The file where somebody has put it: as it is called, in parts, or as another kind of archive; None if nowhere."""
    names = [source.file]
    if source.archive:
        stem = source.file.removesuffix(".gz").removesuffix(".zip").removesuffix(".tar")
        names += [f"{stem}{ending}" for ending in _ENDINGS if f"{stem}{ending}" != source.file]
    for name in names:
        path = folder / name
        if path.with_name(f"{name}.001").is_file():
            _join(path)
        if path.is_file():
            if path.with_suffix(".z01").is_file():
                raise InputError(
                    f"{path} is the last of several parts (.z01, ...), which only a zip program can join: unpack them "
                    f"with 7-Zip into {folder / source.into} and run this command again"
                )
            return path
    return None


_ENDINGS = (".zip", ".7z", ".tar.gz", ".tgz", ".tar", ".rar")


def _join(whole: Path) -> None:
    """Puts the parts ``<file>.001``, ``<file>.002``, ... together and removes them."""
    parts = sorted(whole.parent.glob(f"{whole.name}.[0-9][0-9][0-9]"))
    numbers = [int(part.suffix[1:]) for part in parts]
    missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
    if missing:
        raise InputError(f"{whole}: part {missing[0]:03d} of {numbers[-1]} is missing")
    with replacing(whole) as temporary, temporary.open("wb") as file:
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file, 2**20)
    for part in parts:
        part.unlink()


def _check_replaceable(root: Path, dataset: Dataset) -> None:
    """Refuses to put published frames in the place of generated ones."""
    parent, _, name = dataset.name.rpartition("/")
    if not parent.endswith("Grouped_frames"):
        return
    if any((root / FOLDER / "processed" / "Manifests" / name).glob("*.json")):
        raise OutputError(
            f"{root / FOLDER / dataset.name} holds frames that `gasp generate` wrote; move that folder and "
            f"{root / FOLDER}/processed/Manifests/{name} away to fetch the published ones"
        )


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
