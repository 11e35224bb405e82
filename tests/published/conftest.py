from __future__ import annotations

from pathlib import Path

import pytest

from helpers.command import make_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of 96 x 64 at 25 per second, with sound."""
    return make_clip(tmp_path_factory.mktemp("clips") / "talk.mp4", 12)
