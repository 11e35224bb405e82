"""Memory that two processes share, in slots of one picture each."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

SLOTS = 3

LARGEST = 3 * 4096 * 2304
"""Bytes of a picture; memory is only taken for what is written."""


class Ring:
    """A file mapped into memory by both processes; in memory itself where the system has such a place.

    ``path``: what the other process opens. ``inherited``: file descriptors that it must inherit for that. Where a file
    may lose its name while it is open, it does so at once, and nothing is left behind whoever is killed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.inherited: tuple[int, ...] = ()
        self._file: IO[bytes] | None = None
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SLOTS * LARGEST)

    @classmethod
    def create(cls) -> Ring:
        """A new one."""
        memory = Path("/dev/shm")
        folder = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115  (closed with the ring)
            prefix="gasp-", suffix=".ring", dir=folder, delete=False
        )
        file.truncate(SLOTS * LARGEST)
        ring = cls(file.name)
        ring._file = file
        if os.name == "posix":
            os.unlink(file.name)
            ring.inherited = (file.fileno(),)
            ring.path = f"/dev/fd/{file.fileno()}"
        return ring

    def write(self, slot: int, picture: NDArray[np.uint8]) -> None:
        """Put a picture, uint8 (h, w, 3), into a slot."""
        self._array(slot, picture.shape)[:] = picture

    def read(self, slot: int, height: int, width: int) -> NDArray[np.uint8]:
        """A copy of the picture in a slot."""
        return self._array(slot, (height, width, 3)).copy()

    def close(self) -> None:
        """Give the memory back."""
        if self._file is not None:
            self._file.close()
            if not self.inherited:
                Path(self.path).unlink(missing_ok=True)
        self._memory.close()

    def _array(self, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        size = int(np.prod(shape))
        if not 0 <= slot < SLOTS or not 0 < size <= LARGEST:
            raise ValueError(f"there is no place for a picture {shape} in slot {slot}")
        return np.frombuffer(self._memory, np.uint8, size, slot * LARGEST).reshape(shape)
