"""A pipeline that can be begun any number of times: its settings, and its networks, which are loaded once."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

import torch

from gasp.config.pipelines import CueSettings, ProgramSettings
from gasp.config.settings import PredictSettings
from gasp.cues.cue import CUES, PUBLISHED_CUES
from gasp.fusion.coalitions import method_of
from gasp.pipeline.networks import Networks
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.timing import step_of
from gasp.video.source import VideoSource
from gasp.weights import describe
from gasp.work.files import checksum


@dataclass(frozen=True, slots=True)
class Predictor:
    """Makes pipelines without any memory of what came before, all with the same settings and networks."""

    settings: PredictSettings
    networks: Networks

    @classmethod
    def load(cls, settings: PredictSettings) -> Predictor:
        """With the networks that the settings ask for.

        Raises:
            WeightsError: Weights are missing or damaged; the message names the command that fetches them.
            UsageError: The device or the combination of parts cannot be used.
        """
        if settings.threads:
            torch.set_num_threads(settings.threads)
        return cls(settings, Networks.load(settings))

    def begin(self, source: VideoSource) -> Pipeline:
        """A new pipeline for frames of this source."""
        return Pipeline(self.settings, self.networks, step=step_of(source, self.settings), still=source.still)

    def weights(self) -> list[dict[str, str]]:
        """What a manifest says of each file of weights."""
        return [{"name": name, **_described(path)} for name, path in self.networks.weights.items()]

    def statements(self) -> dict[str, str]:
        """What each cue says, in words, by name."""
        return {cue.name: _statement(cue) for cue in self._cues()}

    def contributions(self) -> dict[str, Any] | None:
        """How contributions are computed and how many seconds apart the looks are; None where they are left out."""
        if not self.settings.why:
            return None
        return {"method": method_of(self.networks.fusion.network), "seconds": self.settings.why}

    def decisive(self) -> dict[str, Any]:
        """All of it that decides what results are, down to the order in which numbers are added up."""
        return {
            "settings": self.settings.decisive(),
            "weights": sorted((entry["name"], entry["sha256"]) for entry in self.weights()),
            "device": str(self.networks.device),
            "threads": self.settings.threads or torch.get_num_threads(),
            "programs": self._programs(),
        }

    def _cues(self) -> list[CueSettings]:
        """Those that are computed."""
        return [cue for cue in self.settings.pipeline.cues if cue.name in self.settings.cues]

    def _programs(self) -> list[tuple[str, str]]:
        """Checksums of the files that command lines of external programs name, such as a script."""
        parts: list[ProgramSettings] = [*self._cues(), self.settings.face_finding]
        words = {word for part in parts for word in part.command or ()}
        return sorted((word, _contents(word, state)) for word in words if (state := _state(word)))


def _statement(cue: CueSettings) -> str:
    if cue.command is not None:
        return f"an external program: {shlex.join(cue.command)}"
    if cue.address is not None:
        return f"an external program at {cue.address}"
    entry = CUES.get(cue.name) or PUBLISHED_CUES.get(cue.name)
    return "a cue of another package" if entry is None else entry.statement


def _described(path: Path) -> dict[str, str]:
    """What is said of weights, whose checksum is the same for a thousand videos; files that change are read again."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    state = tuple(
        (str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()
    )
    return dict(_description(path, state))


def _state(word: str) -> tuple[int, int] | None:
    """Size and time of the file that a word of a command line names, None where it names none."""
    try:
        found = Path(word).stat()
    except (OSError, ValueError):
        return None  # a text too long for a path, say
    return (found.st_size, found.st_mtime_ns) if S_ISREG(found.st_mode) else None


@lru_cache(maxsize=64)
def _contents(file: str, _state: tuple[int, int]) -> str:
    return checksum(Path(file))


@lru_cache(maxsize=64)
def _description(path: Path, _state: tuple[tuple[str, int, int], ...]) -> dict[str, str]:
    return describe(path)
