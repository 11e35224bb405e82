"""The clips of an experiment for Lightning, checked before the first epoch."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from gasp.config.experiments import ClipsSettings, Experiment
from gasp.datasets.split import read_split
from gasp.errors import InputError
from gasp.naming import nearest
from gasp.training.batch import Clip
from gasp.training.clips import Clips, Part, collate
from gasp.training.sampler import ClipSampler
from gasp.training.sources import ClipSource, Video, open_source

log = logging.getLogger(__name__)

_NAMED = 8


class ClipData(pl.LightningDataModule):
    """Loaders of an experiment's training and validation clips.

    ``root``: the folder that paths of the experiment are relative to. The trainer must be made with
    ``use_distributed_sampler=False``: clips are dealt to processes by :class:`~gasp.training.sampler.ClipSampler`.
    """

    def __init__(self, experiment: Experiment, root: str | Path = ".") -> None:
        super().__init__()
        self.experiment, self.root = experiment, Path(root)
        self.train: Clips | None = None
        self.validation: Clips | None = None

    def check(self) -> None:
        """Opens the source and the lists, and looks for everything that would stop training later.

        Videos that are not there or half-written are named in the log and left out. Raises
        :class:`~gasp.errors.InputError` and :class:`~gasp.errors.UsageError` when nothing useful is left.
        """
        clips = self.experiment.clips
        if self.train is not None:
            return
        source = open_source(self.root / clips.source, clips.size, clips.target_size)
        train = self._clips(source, clips.train, "train")
        if clips.validation is not None:
            self.validation = self._clips(source, clips.validation, "validation")
        self.train = train

    def setup(self, stage: str) -> None:
        """Called by the trainer."""
        self.check()

    @property
    def batch(self) -> int:
        """Clips of a process's batch: the experiment's, or what there is."""
        self.check()
        assert self.train is not None
        fits = max(1, len(self.train) // self._world)
        wanted = self.experiment.trainer.batch
        if fits < wanted:
            log.warning("batches have %d clips instead of %d: there are no more in an epoch", fits, wanted)
        return min(fits, wanted)

    def train_dataloader(self) -> DataLoader[Clip]:
        """Batches (:class:`~gasp.training.batch.ClipBatch`) to learn from, in an order of their own in every epoch."""
        batch = self.batch
        assert self.train is not None
        balance = self.experiment.clips.balance == "datasets"
        return self._loader(self.train, batch, shuffle=True, balance=balance)

    def val_dataloader(self) -> list[DataLoader[Clip]]:
        """Batches to validate on, always in one order; none where the experiment has no such list."""
        batch = self.batch
        return [] if self.validation is None else [self._loader(self.validation, batch, shuffle=False)]

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _loader(self, clips: Clips, batch: int, *, shuffle: bool, balance: bool = False) -> DataLoader[Clip]:
        rank = self.trainer.global_rank if self.trainer else 0
        workers = self.experiment.clips.workers
        return DataLoader(
            clips,
            batch_size=batch,
            # The trainer tells the sampler which epoch it is.
            sampler=ClipSampler(clips, shuffle=shuffle, balance=balance, rank=rank, world=self._world),
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available() and self.experiment.trainer.accelerator != "cpu",
        )

    def _clips(self, source: ClipSource, name: str, part: Part) -> Clips:
        videos = find_videos(source, self.experiment, name, self.root)
        _check_lengths(source, videos, self.experiment, name)
        return Clips(source, videos, self.experiment, part)


def find_videos(source: ClipSource, experiment: Experiment, name: str, root: Path) -> list[Video]:
    """The videos of a list that are in the source, whole, and with targets; what is not is named in the log.

    Raises :class:`~gasp.errors.InputError` when none is left, or a picture's name is unknown.
    """
    videos = _listed(source, experiment.clips, name, root)
    _check_names(source, videos, (*experiment.clips.inputs, *experiment.clips.targets))
    problems = {video: _problem(source, video, experiment.clips) for video in videos}
    for video, problem in problems.items():
        if problem:
            log.warning("%s is left out: it %s", "/".join(video), problem)
    whole = [video for video, problem in problems.items() if not problem]
    if not whole:
        video, problem = next(iter(problems.items()))
        raise InputError(
            f"none of the {len(videos)} videos of the list {name} in {source.folder} can be used: "
            f"{'/'.join(video)} {problem}"
        )
    return whole


def _listed(source: ClipSource, clips: ClipsSettings, name: str, root: Path) -> list[Video]:
    """The videos of a list that are there."""
    there = root / name
    split = read_split(there if there.is_file() else name)
    rows = split.only(clips.scene_type, clips.datasets).rows
    wanted = [(row.dataset, row.video_id) for row in rows]
    wanted = [video for video in wanted if "/".join(video) not in clips.without]
    if not wanted:
        limits = [f" of scene type {clips.scene_type}"] if clips.scene_type else []
        limits += [f" of {' or '.join(clips.datasets)}"] if clips.datasets is not None else []
        limits += [f" but {', '.join(clips.without)}"] if clips.without else []
        raise InputError(
            f"the list {name} has no videos{''.join(limits)} ({len(split)} rows in all); "
            "see clips.scene_type, clips.datasets and clips.without"
        )
    known = set(source.videos)
    missing = [video for video in wanted if video not in known]
    if len(missing) == len(wanted):
        raise InputError(
            f"{source.folder} has none of the {len(wanted)} videos of the list {name}: {_say(missing)}"
            f"{nearest('/'.join(missing[0]), _said(source.videos))}"
        )
    if missing:
        log.warning(
            "%s: %d of %d videos are not in %s: %s",
            name, len(missing), len(wanted), source.folder, _say(missing),
        )  # fmt: skip
    return [video for video in wanted if video in known]


def _problem(source: ClipSource, video: Video, clips: ClipsSettings) -> str | None:
    if problem := source.problem(video):
        return f"{problem}; it looks half-written"
    absent = [target for target in clips.targets if not source.has(video, target)]
    return f"has no {absent[0]} in any frame" if absent else None


def _check_lengths(source: ClipSource, videos: list[Video], experiment: Experiment, name: str) -> None:
    context = experiment.context
    short = [video for video in videos if source.frames(video) < context]
    if len(short) == len(videos):
        longest = max(source.frames(video) for video in videos)
        raise InputError(
            f"{experiment.network} takes {context} frames, but the longest video of the list {name} "
            f"has {longest}; see options.sequence_len"
        )
    if short:
        log.warning(
            "%d videos have less than %d frames; their last one is repeated: %s",
            len(short), context, _say(short),
        )  # fmt: skip


def _check_names(source: ClipSource, videos: list[Video], names: Iterable[str]) -> None:
    """Every picture must be there in some video."""
    for name in names:
        if not any(source.has(video, name) for video in videos):
            known = sorted({known for video in videos for known in source.names(video)})
            raise InputError(
                f"{source.folder} has no picture {name!r} in any of {len(videos)} videos{nearest(name, known)}"
            )


def _said(videos: Iterable[Video]) -> list[str]:
    return ["/".join(video) for video in videos]


def _say(videos: list[Video]) -> str:
    more = f" and {len(videos) - _NAMED} more" if len(videos) > _NAMED else ""
    return f"{', '.join(_said(videos[:_NAMED]))}{more}"
