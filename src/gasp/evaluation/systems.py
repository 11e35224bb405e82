"""Where predictions come from: folders of maps, and the pipeline, with and without each cue and with other sound."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.errors import InputError, UsageError
from gasp.evaluation.items import Item
from gasp.pipeline.pipeline import Networks, heights_of, make_fusion
from gasp.pipeline.predict import predict_video
from gasp.pipeline.prediction import Prediction
from gasp.pipeline.predictor import Predictor
from gasp.pipeline.timing import step_of
from gasp.video import Frame, SoundStream, VideoSource
from gasp.video.cuts import CutDetector
from gasp.work.arrays import read_array

PIPELINE = "default"
"""Name of the packaged pipeline; another one goes by the name of its preset."""

ALONE = "glance alone"
"""Name of the saliency network's map without fusion, which stands beside the ablations."""

_SALIENCY = "glance"

MUTED, SHUFFLED, SHIFTED = "sound muted", "sound of another video", "sound shifted"

_MAP_SUFFIXES = (".npy", ".png", ".jpg", ".jpeg")


@dataclass(slots=True)
class Look:
    """One frame: its picture (RGB uint8), the maps of the systems that ran on it (any size, not yet checked), and what
    the pipeline says besides.
    """

    index: int
    image: NDArray[np.uint8]
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    gates: dict[str, float] | None = None
    faces: int | None = None


# --- maps in folders ---------------------------------------------------------------------------------------


class MapFolder:
    """Maps in a folder, as ``gasp predict --maps png|npy`` leaves them: ``<id>/maps/000001.png``, counted from 1.

    ``<id>/000001.png`` and, for pictures, ``<id>.png`` are found too. ``videos`` are the names that it has maps
    of. Raises :class:`~gasp.errors.InputError` when there is no such folder.
    """

    def __init__(self, name: str, folder: str | Path) -> None:
        self.name, self.folder = name, Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"the maps of {name!r}: {folder} is not a folder")
        entries = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        self._singles = {p.stem: p for p in sorted(entries) if p.suffix.lower() in _MAP_SUFFIXES}
        self._folders = {path.name: path for path in entries if path.is_dir()}

    @property
    def videos(self) -> set[str]:
        """Names for which there is something."""
        return {*self._singles, *self._folders}

    def state(self) -> tuple[str, int]:
        """Where it is, and when something was last put into it or its folders (nanoseconds)."""
        places = [self.folder, *self._singles.values(), *self._folders.values()]
        places += [path / "maps" for path in self._folders.values() if (path / "maps").is_dir()]
        return str(self.folder.resolve()), max(path.stat().st_mtime_ns for path in places)

    def files(self, item: Item) -> dict[int, Path]:
        """Frame (from 0) -> the file of its map."""
        if item.id in self._folders:
            folder = self._folders[item.id]
            inner = folder / "maps"
            found = {}
            for path in sorted((inner if inner.is_dir() else folder).iterdir()):
                number = re.search(r"(\d+)$", path.stem)
                if number and path.suffix.lower() in _MAP_SUFFIXES:
                    found[int(number.group(1)) - 1] = path
            return found
        return {0: self._singles[item.id]} if item.id in self._singles else {}


def read_systems(given: Sequence[str]) -> tuple[list[MapFolder], bool]:
    """The folders of maps in words such as NAME=FOLDER, and whether the pipeline is among them (it is when no word is
    given). Raises :class:`~gasp.errors.UsageError` for other words and for a name that is used twice.
    """
    folders, pipeline = [], not given
    for word in given:
        name, equals, folder = word.partition("=")
        if word == PIPELINE:
            pipeline = True
        elif not (name.strip() and equals and folder):
            raise UsageError(f"--system {word!r}: write NAME=FOLDER, or {PIPELINE} for the pipeline")
        else:
            folders.append(MapFolder(name.strip(), folder))
    names = [folder.name for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1 or name == PIPELINE})
    if twice:
        raise UsageError(f"--system: the name {twice[0]!r} is used twice, or is that of the pipeline")
    return folders, pipeline


def read_map(path: Path) -> NDArray[np.float32]:
    """A stored map as float32 (h, w). Raises :class:`~gasp.errors.InputError` for a file that holds none."""
    if path.suffix.lower() == ".npy":
        values: NDArray[np.generic] | None = read_array(path, "as a map")
    else:
        try:
            values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        except (OSError, cv2.error) as error:
            raise InputError(f"{path} cannot be read as a map: {error}") from None
    if values is None or values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
        raise InputError(f"{path} holds no map of numbers with the shape (height, width)")
    return np.asarray(values, np.float32)


# --- the pipeline ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PipelineSystem:
    """The pipeline, run on the fly.

    ``ablated``: modalities of which each is left out in turn. ``sound``: also with the sound muted, with that of
    another video, and shifted by ``shift`` seconds (later).
    """

    settings: PredictSettings
    networks: Networks
    ablated: Sequence[str] = ()
    sound: bool = False
    shift: float = 2.0

    @classmethod
    def load(
        cls, settings: PredictSettings, *, ablation: bool = False, sound: bool = False, shift: float = 2.0
    ) -> PipelineSystem:
        """The pipeline of ``settings`` with its networks; ``ablation``: also with each of its cues left out."""
        networks = Networks.load(settings)
        cues = [name for name in networks.fusion.modalities if name in settings.cues] if ablation else []
        return cls(settings, networks, cues, sound, shift)

    def __post_init__(self) -> None:
        for cue in self.ablated:
            if cue not in self.networks.fusion.modalities:
                known = ", ".join(self.networks.fusion.modalities)
                raise UsageError(f"the fusion has no modality {cue!r} that could be left out; it has {known}")
        if self.sound and not self.settings.sound:
            raise UsageError("sensitivity to the sound cannot be measured in a pipeline that does not listen")

    @property
    def predictor(self) -> Predictor:
        """What predicts."""
        # Maps are scored, not explained.
        return Predictor(self.settings.model_copy(update={"why": 0.0}), self.networks)

    @property
    def name(self) -> str:
        """Name among the systems."""
        return self.settings.pipeline.name

    @property
    def ablations(self) -> list[str]:
        """Names of the systems with a cue left out, and of the saliency network's map alone."""
        names = [f"without {cue}" for cue in self.ablated]
        return [ALONE, *names] if names and _SALIENCY in self.settings.cues else names

    @property
    def variants(self) -> list[str]:
        """Names of the systems with other sound."""
        return [MUTED, SHUFFLED, SHIFTED] if self.sound else []

    def looks(self, item: Item, other: Item | None) -> Generator[Look]:
        """The frames with the maps of the pipeline and its variants; ``other`` lends its sound.

        All variants run side by side, so that no map has to be kept. A video without sound has no variants of sound.
        """
        with ExitStack() as opened:
            source = opened.enter_context(item.open())
            step = step_of(source, self.settings)
            ablation = Ablation(self.settings, self.networks, self.ablated, step, still=source.still)
            runs = {self.name: self._run(source)}
            if self.sound and source.has_sound and item.path is not None:
                runs |= self._with_other_sound(item, item.path, other, opened)
            for predictions in zip(*runs.values(), strict=True):
                main = predictions[0]
                look = Look(main.index, main.image, gates=main.gates, faces=len(main.faces))
                for name, prediction in zip(runs, predictions, strict=True):
                    look.maps[name] = prediction.saliency
                look.maps |= ablation.step(main)
                yield look

    def _with_other_sound(
        self, item: Item, path: Path, other: Item | None, opened: ExitStack
    ) -> dict[str, Iterator[Prediction]]:
        def run(sound: Path | None, offset: float) -> Iterator[Prediction]:
            return self._run(OtherSound(opened.enter_context(item.open()), sound, offset))

        runs = {MUTED: run(None, 0), SHIFTED: run(path, -self.shift)}
        if other is not None and other.path is not None:
            with other.open() as lender, item.open() as borrower:
                offset = lender.start_time - borrower.start_time
            runs[SHUFFLED] = run(other.path, offset)
        return runs

    def _run(self, source: VideoSource) -> Iterator[Prediction]:
        return predict_video(source, self.predictor)


class Ablation:
    """The fusion run beside the pipeline on the same cue maps, each time with one modality black."""

    def __init__(
        self, settings: PredictSettings, networks: Networks, cues: Sequence[str], step: float, *, still: bool
    ) -> None:
        self._modalities = networks.fusion.modalities
        self._fusions = {cue: make_fusion(settings, networks, step, still=still) for cue in cues}
        self._cuts = CutDetector()

    def step(self, prediction: Prediction) -> dict[str, NDArray[np.float32]]:
        """The maps without each cue, by the name ``without <cue>``, and the one of the saliency network alone."""
        if not self._fusions:
            return {}
        black = np.zeros(prediction.saliency.shape, np.uint8)
        maps = {name: prediction.cues.get(name, black) for name in self._modalities}
        cut = self._cuts.step(prediction.cues.get("captured", prediction.image))
        found: dict[str, NDArray[np.float32]] = {}
        heights = heights_of(prediction.faces, prediction.image.shape[0])
        for cue, (fusion, placement) in self._fusions.items():
            left = [values * (name != cue) for name, values in maps.items()]
            saliency = fusion.step([left], [cut])[0].saliency
            if placement is not None:
                saliency, _ = placement.place(saliency, None, heights, cut=cut)
            found[f"without {cue}"] = saliency
        if _SALIENCY in prediction.cues:
            # The cue is drawn as the root of the probability.
            found[ALONE] = np.square(prediction.cues[_SALIENCY] / 255, dtype=np.float32)
        return found


class OtherSound(VideoSource):
    """A source's pictures with the sound of the file ``sound`` (None: without sound).

    What is heard at time t is what that file holds at t + ``offset`` seconds; nothing beyond its ends.
    """

    def __init__(self, pictures: VideoSource, sound: Path | None, offset: float) -> None:
        self._pictures, self._sound, self._offset = pictures, sound, offset
        self.name, self.path = pictures.name, pictures.path
        self.width, self.height, self.fps = pictures.width, pictures.height, pictures.fps
        self.frame_count, self.duration = pictures.frame_count, pictures.duration
        self.start_time, self.has_sound = pictures.start_time, sound is not None

    def frames(self, start_index: int = 0, every: int = 1) -> Iterator[Frame]:
        """The pictures as they are."""
        return self._pictures.frames(start_index, every)

    def sound_stream(self, rate: int = 16000) -> SoundStream | None:
        """The other sound."""
        return None if self._sound is None else ShiftedSound(self._sound, rate, offset=self._offset)

    def close(self) -> None:
        """Closes the pictures."""
        self._pictures.close()


class ShiftedSound(SoundStream):
    """A file's sound in which what is asked for at t is what was recorded at t + ``offset`` seconds."""

    def __init__(self, source: str | PathLike[str], rate: int = 16000, *, offset: float = 0.0) -> None:
        super().__init__(source, rate, start=offset)
        self._offset = offset

    def until(self, t: float) -> NDArray[np.float32]:
        """See :meth:`SoundStream.until`."""
        return super().until(t + self._offset)

    def window(self, t0: float, t1: float) -> NDArray[np.float32]:
        """See :meth:`SoundStream.window`."""
        return super().window(t0 + self._offset, t1 + self._offset)


def plain_looks(item: Item, every: int = 1) -> Generator[Look]:
    """The frames without any map, for systems whose maps are in folders."""
    with item.open() as source:
        for frame in source.frames(0, every):
            yield Look(frame.index, frame.image)
