"""Which clips come when: the order of an epoch, over any number of processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from gasp.training.clips import ORDER, Clips, Picked


class ClipSampler(Sampler[Picked]):
    """(epoch, index) of the clips of an epoch, for one of ``world`` processes.

    The order depends on the experiment's seed and the epoch alone. Process ``rank`` takes every ``world``-th clip of
    it, so that the batches of all processes together are those of one process with a batch ``world`` times as large;
    where the clips are not a multiple, the first ones come twice. With ``balance`` every clip is drawn from a dataset
    that is chosen first, all alike; a clip that is drawn again is another draw of frames of the same video.
    """

    def __init__(
        self, clips: Clips, *, shuffle: bool = True, balance: bool = False, rank: int = 0, world: int = 1
    ) -> None:
        self.clips, self.shuffle, self.balance = clips, shuffle, balance
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.clips) // self.world)

    def __iter__(self) -> Iterator[Picked]:
        # Repeats the first ones where the clips are not a multiple.
        order = np.resize(self.order(self.epoch), len(self) * self.world)
        return ((self.epoch, int(index)) for index in order[self.rank :: self.world])

    def order(self, epoch: int) -> list[int]:
        """Indices of the epoch for all processes together."""
        generator = np.random.default_rng((*self.clips.seed, ORDER, epoch))
        if self.balance:
            return self._balanced(generator)
        count = len(self.clips)
        return [int(index) for index in (generator.permutation(count) if self.shuffle else range(count))]

    def _balanced(self, generator: np.random.Generator) -> list[int]:
        datasets = self.clips.datasets
        _, which, sizes = np.unique(datasets, return_inverse=True, return_counts=True)
        chances = 1 / sizes[which] / len(sizes)
        count = len(self.clips)
        seen = [0] * count
        order = []
        for index in generator.choice(count, count, p=chances):
            order.append(int(index) + seen[index] * count)
            seen[index] += 1
        return order
