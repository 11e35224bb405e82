from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gasp.config.settings import PredictSettings
from gasp.pipeline.pipeline import Networks
from helpers.videos import moving_square


@pytest.fixture(scope="session")
def networks() -> Networks:
    """The packaged networks."""
    return Networks.load(PredictSettings(device="cpu"))


@pytest.fixture(scope="session")
def pictures() -> NDArray[np.uint8]:
    """Ten pictures of 96 x 64; the scene changes altogether at the sixth."""
    frames = moving_square(10, 96, 64)
    frames[6:] = 255 - frames[6:, ::-1]
    return frames
