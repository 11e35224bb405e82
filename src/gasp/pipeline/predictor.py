"""A pipeline that can be begun any number of times: its settings, and its networks, which are loaded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from gasp.config.settings import PredictSettings
from gasp.cues.cue import CUES, PUBLISHED_CUES
from gasp.fusion.coalitions import method_of
from gasp.pipeline.networks import Networks
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.timing import step_of
from gasp.video.source import VideoSource
from gasp.weights import describe


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
        return {name: _statement(name) for name in self.settings.cues}

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
        }


def _statement(cue: str) -> str:
    entry = CUES.get(cue) or PUBLISHED_CUES.get(cue)
    return "a cue of another package" if entry is None else entry.statement


def _described(path: Path) -> dict[str, str]:
    """What is said of weights, whose checksum is the same for a thousand videos; files that change are read again."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    state = tuple(
        (str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()
    )
    return dict(_description(path, state))


@lru_cache(maxsize=64)
def _description(path: Path, _state: tuple[tuple[str, int, int], ...]) -> dict[str, str]:
    return describe(path)
