from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.command import make_clip
from helpers.fork_server import ForkServer, forking


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    """Forks commands."""
    with forking() as one:
        yield one


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of 96 x 64, with sound."""
    return make_clip(tmp_path_factory.mktemp("clips") / "talk.mp4", 4)
