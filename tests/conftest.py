"""What all tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    """Commands that ran within a test set up logging for their process; the next test finds it as it was."""
    logger = logging.getLogger("gasp")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before
