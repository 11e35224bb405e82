"""A short clip with people and sound, to try everything on; see README.txt beside it for its origin."""

from __future__ import annotations

from pathlib import Path


def clip_path() -> Path:
    """The clip, an MP4 file of 640 x 360 pixels and about 15 seconds."""
    return Path(__file__).with_name("clip.mp4")
