"""Windows of the published pipeline's cues that look ahead."""

from __future__ import annotations

BUFFER = 16
"""Frames that the published pipeline holds."""


def buffered_window(newest: int, size: int) -> list[int]:
    """The window of the published pipeline when frame ``newest`` has just come (frames count from 0).

    The oldest ``size`` frames of its buffer, which is filled up behind the newest frame while it holds fewer.
    """
    oldest = max(0, newest + 1 - BUFFER)
    return [min(oldest + i, newest) for i in range(size)]
