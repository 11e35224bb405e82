"""A compact store of cue maps and targets with random access, for training.

``index.json`` says what is there; ``<dataset>/<video>/<name>.npy`` holds one picture of every frame, uint8
(frames, channels, height, width): 3 channels for coloured maps, 1 for grey ones and for targets; ``present.npy`` tells
which pictures there are. Arrays are mapped into memory, so that opening costs nothing and a window is one copy.

A video is packed as a piece of a :class:`~gasp.work.folder.WorkFolder` and renamed when it is whole; then the index
names it. Whatever is in the index can be relied on, and a run that was stopped goes on with the videos that are
missing. Only files that the index lists are ever replaced or removed.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from gasp._renamed import renamed
from gasp.datasets.grouped import (
    FIXATED,
    FIXATIONS,
    TARGETS,
    GroupedFrames,
    GroupedVideo,
    Window,
    empty_window,
    read_picture,
    read_points,
)
from gasp.errors import InputError, OutputError
from gasp.naming import nearest
from gasp.work.arrays import read_array
from gasp.work.files import is_name, read_json, sha256, write_json
from gasp.work.fingerprint import fingerprint
from gasp.work.folder import NAME as WORK
from gasp.work.folder import Piece, WorkFolder, drop_description, read_piece
from gasp.work.progress import Progress, Report, silent

logger = logging.getLogger(__name__)

FORMAT = "gasp-store-1"
INDEX = "index.json"

Size = tuple[int, int]


@dataclass(frozen=True)
class PackSettings:
    """What is packed. ``maps``: names of pictures (empty: ``captured`` and every detection that any frame has).

    ``size`` and ``target_size``: (height, width). ``fixations_above``: fixation maps are made 0 or 255 at this value
    before they are resized, since JPEG leaves a haze around points; None keeps the haze, as 2021's training did.
    """

    maps: tuple[str, ...] = ()
    targets: tuple[str, ...] = TARGETS
    size: Size = (120, 120)
    target_size: Size = (60, 60)
    fixations_above: int | None = FIXATED


@dataclass(frozen=True)
class StoredVideo:
    """A video of the index. ``missing``: pictures that are not there, by name; ``sha256`` by file."""

    dataset: str
    video: str
    frames: int
    source: str
    channels: dict[str, int]
    missing: dict[str, int]
    sha256: dict[str, str] = field(default_factory=dict)


class PackedStore:
    """A store for reading. ``videos`` maps (dataset, video) to :class:`StoredVideo`, in the order of the index.

    May be copied into other processes; each maps the files anew. Raises :class:`~gasp.errors.InputError` when
    ``folder`` is no store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.options, self.videos = _read_index(self.folder)
        self._arrays: dict[tuple[str, str, str], NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.videos)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_arrays": {}}

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the maps, in the order in which they are read by default."""
        return self.options.maps

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.options.targets

    def video(self, dataset: str, video: str) -> StoredVideo:
        """One video. Raises :class:`~gasp.errors.InputError` for an unknown one."""
        if (dataset, video) not in self.videos:
            known = [name for one, name in self.videos if one == dataset]
            raise InputError(f"{self.folder} has no video {dataset}/{video}{nearest(video, known, most=4)}")
        return self.videos[dataset, video]

    def window(
        self,
        dataset: str,
        video: str,
        start: int,
        length: int,
        maps: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
    ) -> Window:
        """Frames ``start`` (from 0) to ``start + length - 1`` of a video; ``maps`` and ``targets`` default to all."""
        known = self.video(dataset, video)
        maps = self.maps if maps is None else maps
        targets = self.targets if targets is None else targets
        if start < 0 or length < 1:
            raise InputError(f"a window starts at 0 or later and has frames; start {start}, length {length}")
        window = empty_window(length, len(maps), len(targets), self.options.size, self.options.target_size)
        frames = slice(start, min(known.frames, start + length))
        count = max(0, frames.stop - frames.start)
        present = self._array(known, "present")[frames]
        order = [*self.maps, *self.targets]
        for index, name in enumerate(maps):
            window.maps[:count, 3 * index : 3 * index + 3] = self._pictures(known, name, self.maps)[frames]
            window.has_map[:count, index] = present[:, order.index(name)]
        for index, name in enumerate(targets):
            window.targets[:count, index] = self._pictures(known, name, self.targets)[frames, 0]
            window.has_target[:count, index] = present[:, order.index(name)]
        return window

    def verify(self) -> list[str]:
        """What is wrong with the files, in sentences; reads everything."""
        problems = []
        for video in self.videos.values():
            for name, expected in video.sha256.items():
                path = self.folder / video.dataset / video.video / name
                if not path.is_file():
                    problems.append(f"{path} is missing")
                elif sha256(path) != expected:
                    problems.append(f"{path} has changed since it was packed")
        return problems

    def unpack(self, folder: str | Path, *, report: Report = silent) -> None:
        """Write the 2021 folders again, at the store's sizes (JPEG, so not bit for bit) into a new ``folder``."""
        folder = Path(folder)
        for known in self.videos.values():
            place = folder / known.dataset / known.video
            if place.exists():
                raise OutputError(f"{place} is there already; unpack into an empty folder")
        for known in self.videos.values():
            partial = folder / WORK / known.dataset / known.video
            shutil.rmtree(partial, ignore_errors=True)
            for frame in range(known.frames):
                self._unpack_frame(known, frame, partial / str(frame + 1))
                report(Progress(f"{known.dataset}/{known.video}", frame + 1, known.frames))
            (folder / known.dataset).mkdir(parents=True, exist_ok=True)
            os.replace(partial, folder / known.dataset / known.video)
        shutil.rmtree(folder / WORK, ignore_errors=True)

    def _unpack_frame(self, known: StoredVideo, frame: int, folder: Path) -> None:
        folder.mkdir(parents=True)
        present = self._array(known, "present")[frame]
        for name, there in zip((*self.maps, *self.targets), present, strict=True):
            if there:
                pixels = np.asarray(self._array(known, name)[frame])
                picture = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
                Image.fromarray(picture).save(folder / f"{name}_1.jpg", quality=95, subsampling=0)

    def _pictures(self, known: StoredVideo, name: str, names: tuple[str, ...]) -> NDArray[np.uint8]:
        if name not in names:
            raise InputError(f"{self.folder} has no pictures {name!r}{nearest(name, names)}")
        return self._array(known, name)

    def _array(self, known: StoredVideo, name: str) -> NDArray[Any]:
        key = (known.dataset, known.video, name)
        if key not in self._arrays:
            path = self.folder / known.dataset / known.video / f"{name}.npy"
            array = read_array(path, mapped=True, advice="; run `gasp pack` again")
            self._arrays[key] = self._checked(array, known, name, path)
        return self._arrays[key]

    def _checked(self, array: NDArray[Any], known: StoredVideo, name: str, path: Path) -> NDArray[Any]:
        if name == "present":
            shape: tuple[int, ...] = (known.frames, len(self.maps) + len(self.targets))
        else:
            size = self.options.size if name in self.maps else self.options.target_size
            shape = (known.frames, known.channels[name], *size)
        if array.shape != shape or array.dtype != (bool if name == "present" else np.uint8):
            raise InputError(f"{path} is {array.dtype} {array.shape}, but the index says {shape}")
        return array


# --- packing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PackSummary:
    """How packing went: videos packed now, found packed already, and left out with the reason."""

    packed: list[str]
    unchanged: list[str]
    refused: dict[str, str]
    damaged: dict[str, int]


def pack(
    folder: str | Path,
    store: str | Path,
    options: PackSettings | None = None,
    *,
    videos: Iterable[tuple[str, str]] | None = None,
    overwrite: bool = False,
    report: Report = silent,
) -> PackSummary:
    """Pack a ``Grouped_frames`` folder into ``store``; videos that are there unchanged are not packed again.

    ``videos``: only these (dataset, video). Half-written folders are left out and named. ``report`` hears of every
    frame. Raises :class:`~gasp.errors.OutputError` when the store was made with other options (``overwrite`` begins
    anew).
    """
    grouped, store = GroupedFrames(folder), Path(store)
    wanted = list(grouped.videos.values()) if videos is None else [grouped.video(*video) for video in videos]
    options = _complete(options or PackSettings(), wanted)
    _check_place(store)
    work = WorkFolder(store / WORK)
    with work.locked():
        index = _begin(store, options, overwrite)
        pieces = work.begin(fingerprint({"format": FORMAT, "settings": asdict(options)}), anew=overwrite)
        packing = _Packing(store, options, index, work, {piece.name: piece for piece in pieces}, report)
        for video in wanted:
            packing.pack(video)
        work.remove()
    return packing.summary


@dataclass
class _Packing:
    """A store while it is written."""

    store: Path
    options: PackSettings
    index: dict[tuple[str, str], StoredVideo]
    work: WorkFolder
    pieces: dict[str, Piece]
    report: Report
    summary: PackSummary = field(default_factory=lambda: PackSummary([], [], {}, {}))

    def pack(self, video: GroupedVideo) -> None:
        """Packs a video, unless it is there unchanged or half-written."""
        label, place = f"{video.dataset}/{video.name}", self.store / video.dataset / video.name
        problem = video.problem()
        if problem is not None:
            self.summary.refused[label] = f"{video.folder} {problem}; it looks half-written"
            logger.error("%s", self.summary.refused[label])
            return
        source = video.fingerprint((*self.options.maps, *self.options.targets))
        known = self.index.get((video.dataset, video.name))
        if known is not None and known.source == source and place.is_dir():
            if read_piece(place) is not None:
                # An earlier run was stopped between its last two steps.
                drop_description(place)
            self.summary.unchanged.append(label)
            return
        if known is not None:
            # What the index says must be true whenever we are stopped.
            del self.index[video.dataset, video.name]
            write_index(self.store, self.options, self.index)
        piece = self._piece(video, source)
        stored = _stored(piece.about["video"])
        if piece.about["damaged"]:
            self.summary.damaged[label] = piece.about["damaged"]
            logger.warning(
                "%s: %d pictures cannot be decoded; they count as missing", label, piece.about["damaged"]
            )
        with _writing(self.store):
            self._put_in_place(piece, place, known)
            self.index[video.dataset, video.name] = stored
            write_index(self.store, self.options, self.index)
            drop_description(place)
        self.summary.packed.append(label)

    def _piece(self, video: GroupedVideo, source: str) -> Piece:
        """The video as a piece: one of an earlier run, or a new one."""
        name = fingerprint({"dataset": video.dataset, "video": video.name, "source": source})[:32]
        place = self.store / video.dataset / video.name
        there = self.pieces.get(name) or read_piece(place)
        if there is not None and there.about.get("name") == name and there.about.get("damaged") is not None:
            return there
        with _writing(self.store):
            folder = self.work.writing()
            stored, damaged = _pack_video(video, folder, self.options, source, self.report)
            about = {"name": name, "video": asdict(stored), "damaged": damaged}
            return self.work.commit(folder, name, about)

    def _put_in_place(self, piece: Piece, place: Path, known: StoredVideo | None) -> None:
        if piece.folder == place:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            _remove_ours(place, known)
        if os.path.lexists(place):
            raise OutputError(
                f"{place} holds something that `gasp pack` did not write; move it away, or choose another store"
            )
        os.replace(piece.folder, place)


def _remove_ours(place: Path, known: StoredVideo | None) -> None:
    """Removes the files of a video that the index, or its own description, lists; and the folder if nothing is left."""
    piece = read_piece(place)
    names = set(known.sha256) if known is not None else set()
    if piece is not None:
        names |= {path.name for path in place.iterdir() if path.suffix == ".npy"}
        drop_description(place)
    for name in names:
        (place / name).unlink(missing_ok=True)
    with suppress(OSError):
        place.rmdir()


@contextmanager
def _writing(store: Path) -> Iterator[None]:
    """Turns what the disk refuses into words."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{store}: cannot be written: {error.strerror or error}.") from None


def _complete(options: PackSettings, videos: Sequence[GroupedVideo]) -> PackSettings:
    """The options with the names of the maps filled in."""
    if options.maps:
        return options
    found = {name for video in videos for name in video.names()}
    maps = tuple(
        sorted((n for n in found if n.startswith(("captured", "det_transformed_"))), key=_usual_order)
    )
    if not maps:
        raise InputError("no frame holds captured_1.jpg or a det_transformed_..._1.jpg")
    return PackSettings(**{**asdict(options), "maps": maps})


_USUAL_ORDER = (
    "captured",
    *(f"det_transformed_{cue}" for cue in ("dave", "esr9", "vidgaze", "gaze360")),
    *(f"det_transformed_{cue}" for cue in ("glance", "faces", "speaking", "motion")),
)
"""The modalities of 2021 and those of the default pipeline, in the order in which their networks take them."""


def _usual_order(name: str) -> tuple[int, str]:
    return (_USUAL_ORDER.index(name) if name in _USUAL_ORDER else len(_USUAL_ORDER), name)


def _check_place(store: Path) -> None:
    """Raises :class:`~gasp.errors.OutputError` where a store cannot be made."""
    if (store / INDEX).is_file():
        return
    others = [item.name for item in store.iterdir() if item.name != WORK] if store.is_dir() else []
    if others:
        raise OutputError(f"{store} holds something else than a store ({others[0]}); choose an empty folder")


def _begin(store: Path, options: PackSettings, overwrite: bool) -> dict[tuple[str, str], StoredVideo]:
    """The videos that an earlier run has packed with the same options."""
    if not (store / INDEX).is_file():
        write_index(store, options, {})  # from now on it is known for a store
        return {}
    earlier, index = _read_index(store)
    if earlier == options and not overwrite:
        return index
    if earlier != options and not overwrite:
        raise OutputError(f"{store} was packed with other options; choose another folder, or --overwrite")
    # The old index must not describe what is written from now on.
    write_index(store, options, {})
    for video in index.values():
        _remove_ours(store / video.dataset / video.video, video)
    return {}


def _pack_video(
    video: GroupedVideo, folder: Path, options: PackSettings, source: str, report: Report
) -> tuple[StoredVideo, int]:
    """Writes one video's arrays; what goes into the index, and how many pictures cannot be decoded."""
    names = (*options.maps, *options.targets)
    present = np.zeros((video.frames, len(names)), bool)
    damaged = 0
    arrays = {name: _new_array(folder / f"{name}.npy", video.frames, name, options) for name in names}
    for frame, number in enumerate(video.numbers):
        for column, name in enumerate(names):
            path = video.path(number, name)
            picture = _read(path, name, options)
            if picture is not None:
                arrays[name][frame] = picture
                present[frame, column] = True
            elif path.exists():
                damaged += 1
        report(Progress(f"{video.dataset}/{video.name}", frame + 1, video.frames))
    np.save(folder / "present.npy", present)
    channels = {name: _finish_array(folder / f"{name}.npy", arrays.pop(name)) for name in names}
    checksums = {path.name: sha256(path) for path in sorted(folder.glob("*.npy"))}
    missing = dict(zip(names, (~present).sum(0).tolist(), strict=True))
    stored = StoredVideo(video.dataset, video.name, video.frames, source, channels, missing, checksums)
    return stored, damaged


def _new_array(path: Path, frames: int, name: str, options: PackSettings) -> NDArray[np.uint8]:
    channels, size = (3, options.size) if name in options.maps else (1, options.target_size)
    return np.lib.format.open_memmap(path, "w+", np.uint8, (frames, channels, *size))


def _finish_array(path: Path, array: NDArray[np.uint8]) -> int:
    """Writes everything to disk; grey pictures shrink to one channel. The number of channels."""
    if isinstance(array, np.memmap):
        array.flush()
    if array.shape[1] == 3 and all(_is_grey(frame) for frame in array):
        np.save(path.with_suffix(".grey.npy"), array[:, :1])
        os.replace(path.with_suffix(".grey.npy"), path)
        return 1
    return int(array.shape[1])


def _is_grey(picture: NDArray[np.uint8]) -> bool:
    return bool((picture[0] == picture[1]).all() and (picture[0] == picture[2]).all())


def _read(path: Path, name: str, options: PackSettings) -> NDArray[np.uint8] | None:
    if name in options.maps:
        return read_picture(path, options.size)
    if name == FIXATIONS and options.fixations_above is not None:
        return read_points(path, options.target_size, options.fixations_above)
    return read_picture(path, options.target_size, grey=True)


# --- the index -------------------------------------------------------------------------------------------


def write_index(store: Path, options: PackSettings, index: dict[tuple[str, str], StoredVideo]) -> None:
    """Writes ``index.json``, atomically."""
    content = {
        "format": FORMAT,
        "options": asdict(options),
        "videos": [asdict(index[key]) for key in sorted(index)],
    }
    write_json(store / INDEX, content)


class _StoredOptions(BaseModel):
    """Options in an index."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    maps: tuple[str, ...] = Field(strict=False)
    targets: tuple[str, ...] = Field(strict=False)
    size: tuple[int, int] = Field(strict=False)
    target_size: tuple[int, int] = Field(strict=False)
    fixations_above: int | None


class _StoredVideo(BaseModel):
    """A video in an index."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dataset: str
    video: str
    frames: int = Field(ge=0)
    source: str
    channels: dict[str, int]
    missing: dict[str, int]
    sha256: dict[str, str]


def _stored(values: Any) -> StoredVideo:
    """A video of an index. Raises ValueError where a name in it would lead out of the store, or a value is wrong."""
    video = _StoredVideo(**values)
    for name in (video.dataset, video.video, *video.channels, *video.sha256):
        if not is_name(name) or name.startswith("."):
            raise ValueError(f"{name!r} cannot be the name of a file in a store")
    return StoredVideo(**video.model_dump())


def _read_index(store: Path) -> tuple[PackSettings, dict[tuple[str, str], StoredVideo]]:
    path = store / INDEX
    if not path.is_file():
        raise InputError(f"{store} is no store: there is no index.json. Make one with `gasp pack`.")
    content = read_json(path)
    try:
        if content is None:
            raise ValueError("it holds no JSON object")
        if content["format"] != FORMAT:
            raise InputError(f"{path} has the format {content['format']!r}; this version reads {FORMAT}")
        options = _StoredOptions(**content["options"])
        for name in (*options.maps, *options.targets):
            if not is_name(name):
                raise ValueError(f"{name!r} cannot be the name of a map")
        videos = [_stored(video) for video in content["videos"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path} is damaged ({reason}). Run `gasp pack` again, into an empty folder."
        ) from None
    return PackSettings(**options.model_dump()), {(video.dataset, video.video): video for video in videos}


__getattr__ = renamed(__name__, {"PackOptions": "PackSettings"})
